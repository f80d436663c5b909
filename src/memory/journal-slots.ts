/**
 * The progress of each gateway's journal, in shared memory: written by its gateway, ingested by the ingest,
 * and therefore which reads of events must wait. A slot belongs to one journal at a time.
 */
const names = [
  /** Clicks whose redirect was answered. */
  'accepted',
  /** Lost clicks: the journal was full, or the disk refused for too long. */
  'lost',
  /** Clicks that the database has, or has refused because their link was deleted. */
  'ingested',
  /** Clicks that are in the journal; set after `written`, to be read before it. */
  'framed',
  /** Clicks of another database: they wait in the journal, and no read waits for them. */
  'elsewhere',
  /** Bytes of journal on the disk, ever written. */
  'writtenBytes',
  /** Bytes of journal that were ingested and removed. */
  'removedBytes',
] as const;

export type JournalValue = (typeof names)[number];

/** The cell of each value, for code that writes at every turn. */
export const JournalCell = Object.freeze(
  Object.fromEntries(names.map((name, cell) => [name, cell])),
) as Readonly<Record<JournalValue, number>>;
const VALUES = names.length;
const SLOTS = 256;
/** Integers of a slot: whether the ingest sleeps, and where the journal ends, a segment and an offset in it. */
const INTEGERS = 3;
const WAKE = 0;
const SEGMENT = 1;
const OFFSET = 2;
const VALUE_BYTES = SLOTS * VALUES * Float64Array.BYTES_PER_ELEMENT;
const ASLEEP = 1;

export class JournalSlot {
  /** Open to the hot path, which increments `accepted`, the first cell. */
  readonly cells: Float64Array;
  readonly #integers: Int32Array;

  constructor(cells: Float64Array, integers: Int32Array) {
    this.cells = cells;
    this.#integers = integers;
  }

  /** The ingest is about to check the journal's progress; later writers must wake it. */
  armWake(): void {
    Atomics.store(this.#integers, WAKE, ASLEEP);
  }

  /** Whether the ingest has to be woken; ask after a write. Answers yes only once. */
  consumeWake(): boolean {
    return Atomics.exchange(this.#integers, WAKE, 0) === ASLEEP;
  }

  /** Makes the slot ready for a new journal. */
  reset(): void {
    this.cells.fill(0);
    this.#integers.fill(0);
    this.armWake();
  }

  get(name: JournalValue): number {
    return this.cells[JournalCell[name]] ?? 0;
  }

  set(name: JournalValue, value: number): void {
    this.cells[JournalCell[name]] = value;
  }

  add(name: JournalValue, amount: number): void {
    this.set(name, this.get(name) + amount);
  }

  /** Clicks that are neither in the database nor given up, nor wait for another database. */
  get pending(): number {
    return Math.max(
      0,
      this.get('accepted') - this.get('lost') - this.get('ingested') - this.get('elsewhere'),
    );
  }

  /** Publishes how far the journal may be read; a thread that sees it also sees everything stored before. */
  setWritten(segment: number, offset: number): void {
    const integers = this.#integers;
    if (integers[SEGMENT] !== segment) {
      // In between it ends at the new segment's beginning, or the old one's: never beyond what is there.
      Atomics.store(integers, OFFSET, 0);
      Atomics.store(integers, SEGMENT, segment);
    }
    Atomics.store(integers, OFFSET, offset);
  }

  get written(): { segment: number; offset: number } {
    for (;;) {
      const segment = Atomics.load(this.#integers, SEGMENT);
      const offset = Atomics.load(this.#integers, OFFSET);
      if (Atomics.load(this.#integers, SEGMENT) === segment) return { segment, offset };
    }
  }
}

export class JournalSlots {
  readonly buffer: SharedArrayBuffer;
  /** Claimed ones, as far as the claiming thread knows; there is one such thread. */
  readonly #claimed = new Set<number>();
  #next = 0;

  constructor(
    buffer: SharedArrayBuffer = new SharedArrayBuffer(
      VALUE_BYTES + SLOTS * INTEGERS * Int32Array.BYTES_PER_ELEMENT,
    ),
  ) {
    this.buffer = buffer;
  }

  slot(index: number): JournalSlot {
    if (index < 0 || index >= SLOTS) throw new RangeError(`journal slot ${index}`);
    const offset = index * VALUES * Float64Array.BYTES_PER_ELEMENT;
    const integersOffset = VALUE_BYTES + index * INTEGERS * Int32Array.BYTES_PER_ELEMENT;
    return new JournalSlot(
      new Float64Array(this.buffer, offset, VALUES),
      new Int32Array(this.buffer, integersOffset, INTEGERS),
    );
  }

  /**
   * A slot for a new journal: the one that has been free the longest.
   * @returns `undefined` if each belongs to a journal.
   */
  claim(): { readonly index: number; readonly slot: JournalSlot } | undefined {
    for (let tried = 0; tried < SLOTS; tried += 1) {
      const index = (this.#next + tried) % SLOTS;
      if (this.#claimed.has(index)) continue;
      this.#claimed.add(index);
      this.#next = (index + 1) % SLOTS;
      const slot = this.slot(index);
      slot.reset();
      return { index, slot };
    }
    return undefined;
  }

  /** The slot's journal is gone. */
  release(index: number): void {
    if (!this.#claimed.delete(index)) throw new Error(`journal slot ${index} was free already`);
  }

  /** A copy of a slot in separate memory, to keep counting a journal whose slot is needed. */
  static detach(slot: JournalSlot): JournalSlot {
    return new JournalSlot(slot.cells.slice(), new Int32Array(1));
  }

  static readonly count = SLOTS;
}
