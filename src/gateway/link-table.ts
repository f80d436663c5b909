/** A link as the database has it; ids are PostgreSQL's own text. */
export interface LinkRow {
  readonly urlId: string;
  readonly userId: string | null;
  readonly shortCode: string;
  /** The value of the Location header. */
  readonly target: string;
}

/** What was known of a code's coherence before its row was read; see src/shared/coherence.ts. */
export interface Stamp {
  readonly slot: number;
  readonly version: number;
  readonly epoch: number;
}

const HEAD = '302 Found\r\nLocation: ';

/** Columns of an entry, all 32-bit: together they are half a cache line. */
const KEY_LOW = 0;
const KEY_HIGH = 1;
const SLOT = 2;
const VERSION = 3;
const EPOCH = 4;
const JOURNAL_SEGMENT = 5;
const JOURNAL_REF = 6;
const FLAGS = 7;
const COLUMNS_BITS = 3;
/** The entry was used since the clock's hand last came by. */
const USED = 1;
/** The code has no key: it stands in a map. */
const UNPACKED = 2;

/** The entry of a link that is not kept. Those of kept links follow; 0 is none. */
const LENT = 1;

const LONGEST_PACKED = 10;
const CHARACTERS_A_WORD = 5;
/** Six bits for each of 64 characters; 255 for the others. */
const sixBits = new Uint8Array(256).fill(255);
const packable = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
for (const [index, character] of [...packable].entries()) sixBits[character.charCodeAt(0)] = index;

/**
 * One gateway's links in columns, a fixed number of them at most, found by short code.
 *
 * A hit in a table of a million objects is mostly waiting for memory: for the map's bucket, the
 * object, its code, its target. Here a code of up to ten usual characters is itself the key, 64 bits
 * with its length, and stands beside all else that a hit needs but the answer; other codes stand in a
 * map. Targets are kept as the head of their answer, ready to be written. Which entry has to go when
 * all are taken is decided by the clock algorithm: least recently used, near enough, without a write
 * to the neighbours of an entry at every use.
 *
 * Columns are allocated for the largest number at once; the system gives them memory as they are used.
 */
export class LinkTable {
  readonly #most: number;
  readonly #cells: Int32Array;
  /** URL and user of each entry; 0 for no user. */
  readonly #ids: BigInt64Array;
  readonly #heads: string[] = ['', ''];
  /** Entries by hash, linear probing; 0 for none. */
  readonly #buckets: Int32Array;
  readonly #mask: number;
  readonly #unpacked = new Map<string, number>();
  readonly #unpackedCodes = new Map<number, string>();
  #size = 0;
  #last = LENT;
  #free: number[] = [];
  #hand = LENT;
  #low = 0;
  #high = 0;

  constructor(most: number) {
    this.#most = most;
    const entries = LENT + most + 1;
    this.#cells = new Int32Array(entries << COLUMNS_BITS);
    this.#ids = new BigInt64Array(entries * 2);
    const bucketBits = Math.max(4, Math.ceil(Math.log2(most * 1.5)));
    this.#buckets = new Int32Array(2 ** bucketBits);
    this.#mask = 2 ** bucketBits - 1;
  }

  get size(): number {
    return this.#size;
  }

  /** The entry of a code; 0 for none. */
  find(shortCode: string): number {
    if (!this.#pack(shortCode)) return this.#unpacked.get(shortCode) ?? 0;
    const low = this.#low;
    const high = this.#high;
    const buckets = this.#buckets;
    const cells = this.#cells;
    for (let at = hash(low, high) & this.#mask; ; at = (at + 1) & this.#mask) {
      const entry = buckets[at] as number;
      if (entry === 0) return 0;
      const cell = entry << COLUMNS_BITS;
      if (cells[cell] === low && cells[cell + KEY_HIGH] === high) return entry;
    }
  }

  /** Notes that an entry is of use. */
  touch(entry: number): void {
    const cell = (entry << COLUMNS_BITS) + FLAGS;
    const flags = this.#cells[cell] as number;
    // Most are touched already, and a line that is not written is not fetched for writing.
    if ((flags & USED) === 0) this.#cells[cell] = flags | USED;
  }

  /** Keeps a link in place of what was known of its code. @returns its entry. */
  put(row: LinkRow, stamp: Stamp): number {
    this.remove(row.shortCode);
    const entry = this.#allocate();
    this.#write(entry, row, stamp);
    if (this.#pack(row.shortCode)) {
      const cell = entry << COLUMNS_BITS;
      this.#cells[cell + KEY_LOW] = this.#low;
      this.#cells[cell + KEY_HIGH] = this.#high;
      this.#buckets[this.#emptyBucket(this.#low, this.#high)] = entry;
    } else {
      this.#cells[(entry << COLUMNS_BITS) + FLAGS] = UNPACKED;
      this.#unpacked.set(row.shortCode, entry);
      this.#unpackedCodes.set(entry, row.shortCode);
    }
    this.#size += 1;
    return entry;
  }

  /** Makes an entry of a link without keeping it: it lasts until the next call of this. */
  lend(row: LinkRow, stamp: Stamp): number {
    this.#write(LENT, row, stamp);
    this.#cells[(LENT << COLUMNS_BITS) + FLAGS] = UNPACKED;
    this.#unpackedCodes.set(LENT, row.shortCode);
    return LENT;
  }

  remove(shortCode: string): void {
    const entry = this.find(shortCode);
    if (entry === 0) return;
    this.#forget(entry);
    this.#free.push(entry);
  }

  slot(entry: number): number {
    return this.#cells[(entry << COLUMNS_BITS) + SLOT] as number;
  }

  version(entry: number): number {
    return this.#cells[(entry << COLUMNS_BITS) + VERSION] as number;
  }

  epoch(entry: number): number {
    return this.#cells[(entry << COLUMNS_BITS) + EPOCH] as number;
  }

  journalSegment(entry: number): number {
    return this.#cells[(entry << COLUMNS_BITS) + JOURNAL_SEGMENT] as number;
  }

  journalRef(entry: number): number {
    return this.#cells[(entry << COLUMNS_BITS) + JOURNAL_REF] as number;
  }

  setJournalRef(entry: number, segment: number, ref: number): void {
    this.#cells[(entry << COLUMNS_BITS) + JOURNAL_SEGMENT] = segment;
    this.#cells[(entry << COLUMNS_BITS) + JOURNAL_REF] = ref;
  }

  urlId(entry: number): bigint {
    return this.#ids[entry * 2] as bigint;
  }

  userId(entry: number): bigint {
    return this.#ids[entry * 2 + 1] as bigint;
  }

  /** Status and Location header of a link's answer, as one text. */
  head(entry: number): string {
    return this.#heads[entry] as string;
  }

  target(entry: number): string {
    return this.head(entry).slice(HEAD.length);
  }

  shortCode(entry: number): string {
    const cell = entry << COLUMNS_BITS;
    const isUnpacked = ((this.#cells[cell + FLAGS] as number) & UNPACKED) !== 0;
    if (isUnpacked) return this.#unpackedCodes.get(entry) ?? '';
    return unpack(this.#cells[cell] as number, this.#cells[cell + KEY_HIGH] as number);
  }

  #write(entry: number, { urlId, userId, target }: LinkRow, { slot, version, epoch }: Stamp): void {
    const cell = entry << COLUMNS_BITS;
    const cells = this.#cells;
    cells[cell + SLOT] = slot;
    cells[cell + VERSION] = version;
    cells[cell + EPOCH] = epoch;
    cells[cell + JOURNAL_SEGMENT] = 0;
    cells[cell + FLAGS] = 0;
    this.#ids[entry * 2] = BigInt(urlId);
    this.#ids[entry * 2 + 1] = BigInt(userId ?? 0);
    this.#heads[entry] = flat(HEAD + target);
  }

  /** A free entry: one that was removed, one that was never used, or the clock's choice. */
  #allocate(): number {
    const free = this.#free.pop();
    if (free !== undefined) return free;
    if (this.#last < LENT + this.#most) {
      this.#last += 1;
      return this.#last;
    }
    for (;;) {
      this.#hand = this.#hand === LENT + this.#most ? LENT + 1 : this.#hand + 1;
      const cell = (this.#hand << COLUMNS_BITS) + FLAGS;
      const flags = this.#cells[cell] as number;
      if ((flags & USED) === 0) break;
      this.#cells[cell] = flags & ~USED;
    }
    this.#forget(this.#hand);
    return this.#hand;
  }

  #forget(entry: number): void {
    const cell = entry << COLUMNS_BITS;
    if (((this.#cells[cell + FLAGS] as number) & UNPACKED) !== 0) {
      this.#unpacked.delete(this.shortCode(entry));
      this.#unpackedCodes.delete(entry);
    } else {
      this.#vacate(this.#cells[cell] as number, this.#cells[cell + KEY_HIGH] as number, entry);
    }
    this.#heads[entry] = '';
    this.#size -= 1;
  }

  #emptyBucket(low: number, high: number): number {
    let at = hash(low, high) & this.#mask;
    while (this.#buckets[at] !== 0) at = (at + 1) & this.#mask;
    return at;
  }

  /** Empties an entry's bucket, and moves up what had to probe past it. */
  #vacate(low: number, high: number, entry: number): void {
    const buckets = this.#buckets;
    let hole = hash(low, high) & this.#mask;
    while (buckets[hole] !== entry) hole = (hole + 1) & this.#mask;
    for (let at = (hole + 1) & this.#mask; buckets[at] !== 0; at = (at + 1) & this.#mask) {
      const cell = (buckets[at] as number) << COLUMNS_BITS;
      const home = hash(this.#cells[cell] as number, this.#cells[cell + KEY_HIGH] as number) & this.#mask;
      // Whether its way from home to here leads through the hole.
      if (((at - home) & this.#mask) < ((at - hole) & this.#mask)) continue;
      buckets[hole] = buckets[at] as number;
      hole = at;
    }
    buckets[hole] = 0;
  }

  /** Sets the key of a code. @returns false for a code that has none. */
  #pack(shortCode: string): boolean {
    const { length } = shortCode;
    if (length === 0 || length > LONGEST_PACKED) return false;
    let low = length & 3;
    let high = length >> 2;
    for (let index = 0; index < length; index += 1) {
      const unit = shortCode.charCodeAt(index);
      const bits = unit < 256 ? (sixBits[unit] as number) : 255;
      if (bits === 255) return false;
      if (index < CHARACTERS_A_WORD) low = (low << 6) | bits;
      else high = (high << 6) | bits;
    }
    this.#low = low;
    this.#high = high;
    return true;
  }
}

function unpack(low: number, high: number): string {
  // The length stands above the characters: 5 of them, or fewer, in each word.
  for (let length = 1; length <= LONGEST_PACKED; length += 1) {
    const inLow = Math.min(length, CHARACTERS_A_WORD);
    const inHigh = length - inLow;
    if (low >>> (6 * inLow) !== (length & 3) || high >>> (6 * inHigh) !== length >> 2) continue;
    return charactersOf(low, inLow) + charactersOf(high, inHigh);
  }
  throw new Error(`${low}, ${high} is not a code's key`);
}

function charactersOf(word: number, count: number): string {
  let text = '';
  for (let index = count - 1; index >= 0; index -= 1) text += packable[(word >>> (6 * index)) & 63];
  return text;
}

function hash(low: number, high: number): number {
  let mixed = Math.imul(low ^ Math.imul(high, 0x9e3779b1), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 15), 0xc2b2ae35);
  return mixed ^ (mixed >>> 13);
}

/** The same text in one piece of its own: neither a chain of parts nor a window on a larger text. */
function flat(text: string): string {
  const narrow = Buffer.from(text, 'latin1').toString('latin1');
  return narrow === text ? narrow : Buffer.from(text, 'utf16le').toString('utf16le');
}
