/** Which host is the primary, and which PostgreSQL it is; as of one moment. */
export interface KnownPrimary {
  /** Differs from what it was before each change. */
  readonly generation: number;
  /** Its place among the hosts; -1 while none is known. */
  readonly host: number;
  /** The system identifier; empty where it is not known. */
  readonly system: string;
  /** 0 where it is not known. */
  readonly timeline: number;
}

const SEQUENCE_CELL = 0;
const HOST_CELL = 1;
const SYSTEM_CELL = 2;
const TIMELINE_CELL = 3;
/** What the supervisor has left in its database; 0 for nothing. */
const MARK_CELL = 4;
const CELLS = 5;

/**
 * The host that may be written to, in shared memory. The supervisor alone writes it; whoever has a connection
 * compares generations, which costs one load: a connection of an older one is of no further use.
 */
export class Primary {
  readonly buffer: SharedArrayBuffer;
  readonly #cells: BigInt64Array;

  constructor(buffer: SharedArrayBuffer = new SharedArrayBuffer(CELLS * BigInt64Array.BYTES_PER_ELEMENT)) {
    this.buffer = buffer;
    this.#cells = new BigInt64Array(buffer);
  }

  get generation(): number {
    return Number(Atomics.load(this.#cells, SEQUENCE_CELL));
  }

  read(): KnownPrimary {
    for (;;) {
      const generation = this.generation;
      const host = Number(Atomics.load(this.#cells, HOST_CELL));
      const system = BigInt.asUintN(64, Atomics.load(this.#cells, SYSTEM_CELL));
      const timeline = Number(Atomics.load(this.#cells, TIMELINE_CELL));
      // Odd: it is being written.
      if (generation % 2 === 0 && generation === this.generation)
        return { generation, host, system: system === 0n ? '' : String(system), timeline };
    }
  }

  /** Begins a new generation, unless nothing is new. @returns whether anything was. */
  set(host: number, system: string, timeline: number): boolean {
    const before = this.read();
    if (before.host === host && before.system === system && before.timeline === timeline) return false;
    Atomics.add(this.#cells, SEQUENCE_CELL, 1n);
    Atomics.store(this.#cells, HOST_CELL, BigInt(host));
    Atomics.store(this.#cells, SYSTEM_CELL, BigInt.asIntN(64, BigInt(system || '0')));
    Atomics.store(this.#cells, TIMELINE_CELL, BigInt(timeline));
    Atomics.add(this.#cells, SEQUENCE_CELL, 1n);
    return true;
  }

  /** A mark that standbys have which follow this primary; `undefined` where none was left. */
  get mark(): string | undefined {
    const mark = Atomics.load(this.#cells, MARK_CELL);
    return mark === 0n ? undefined : String(mark);
  }

  set mark(mark: string | undefined) {
    Atomics.store(this.#cells, MARK_CELL, BigInt(mark ?? 0));
  }

  /** From now on none is known. */
  clear(): void {
    this.mark = undefined;
    this.set(-1, '', 0);
  }
}
