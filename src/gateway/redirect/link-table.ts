import { locationOf } from '../../api/location.js';

/** A link as the database has it; ids are PostgreSQL's own text. */
export interface LinkRow {
  readonly urlId: string;
  readonly userId: string | null;
  readonly shortCode: string;
  /** Where it leads, as it was given; the Location header is made of it. */
  readonly target: string;
}

/** What was known of a code's coherence before its row was read; see src/memory/coherence.ts. */
export interface Stamp {
  readonly slot: number;
  readonly version: number;
  readonly epoch: number;
}

const HEAD = '302 Found\r\nLocation: ';

/** Columns of an entry, all 32-bit: together they are half a cache line. */
const KEY_HIGH = 1;
const SLOT = 2;
const VERSION = 3;
const EPOCH = 4;
const JOURNAL_SEGMENT = 5;
const JOURNAL_REF = 6;
/** Whether the entry was used since the clock's hand last came by. */
const USED = 7;
const COLUMNS_BITS = 3;

/** Share of the table that is taken at most: beyond it, probing gets long. */
const FULLEST = 0.75;
const NONE = -1;

const LONGEST_PACKED = 10;
const CHARACTERS_A_WORD = 5;
/** Six bits for each of 64 characters; 255 for the others. */
const sixBits = new Uint8Array(256).fill(255);
/** Upper half of a key that is only a number: no packed code has both of these bits. */
const NUMBERED = 0xc0000000 | 0;
const packable = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
for (const [index, character] of [...packable].entries()) sixBits[character.charCodeAt(0)] = index;

/**
 * One gateway's links in columns, a fixed number of them at most, found by short code.
 *
 * A hit among a million objects is mostly waiting for memory: for the map's bucket, the object, its
 * code, its target. Here a code of up to ten usual characters is itself the key, 64 bits with its
 * length, and where it hashes to stands all else that a hit needs but the answer; the answer's head is
 * kept ready to be written. (Other codes are numbered by a map, and the number is the key.) Which link
 * has to go when there are enough is decided by the clock algorithm: least recently used, near
 * enough, and a use writes to no other entry.
 *
 * An entry's number is good until the next `put` or `remove`: entries move up when one is removed.
 * Columns are allocated for the largest number at once; the system gives them memory as it is used.
 */
export class LinkTable {
  static readonly none = NONE;
  readonly #most: number;
  readonly #capacity: number;
  /** From a 32-bit hash to a place. */
  readonly #scale: number;
  readonly #cells: Int32Array;
  /** URL and user of each entry; 0 for no user. */
  readonly #ids: BigInt64Array;
  /** Of each entry the head of its answer; empty where there is no entry. */
  readonly #heads: string[];
  /** Targets of those entries whose Location says them in another form: few are not ASCII. */
  readonly #targets = new Map<number, string>();
  readonly #numbers = new Map<string, number>();
  readonly #numbered = new Map<number, string>();
  #lastNumber = 0;
  #size = 0;
  #hand = 0;
  #low = 0;
  #high = 0;
  #lentCode = '';

  constructor(most: number) {
    this.#most = most;
    this.#capacity = Math.max(8, Math.ceil(most / FULLEST));
    this.#scale = this.#capacity / 2 ** 32;
    // One beyond: the link that is not kept.
    this.#cells = new Int32Array((this.#capacity + 1) << COLUMNS_BITS);
    this.#ids = new BigInt64Array((this.#capacity + 1) * 2);
    this.#heads = new Array<string>(this.#capacity + 1).fill('');
  }

  get size(): number {
    return this.#size;
  }

  /** The entry of a code; `LinkTable.none` when there is none. */
  find(shortCode: string): number {
    if (!this.#pack(shortCode)) {
      const number = this.#numbers.get(shortCode);
      if (number === undefined) return NONE;
      this.#low = number;
      this.#high = NUMBERED;
    }
    const low = this.#low;
    const high = this.#high;
    const cells = this.#cells;
    const heads = this.#heads;
    for (let entry = this.#home(low, high); ; entry = this.#next(entry)) {
      const cell = entry << COLUMNS_BITS;
      // The answer is looked at first, so that its memory is on its way together with that of the columns.
      if ((heads[entry] as string).length === 0) return NONE;
      if (cells[cell] === low && cells[cell + KEY_HIGH] === high) return entry;
    }
  }

  /** Notes that an entry is of use. */
  touch(entry: number): void {
    const cell = (entry << COLUMNS_BITS) + USED;
    // Most are noted already, and a line that is not written need not be fetched for writing.
    if (this.#cells[cell] === 0) this.#cells[cell] = 1;
  }

  /** Keeps a link in place of what was known of its code. @returns its entry. */
  put(row: LinkRow, stamp: Stamp): number {
    this.remove(row.shortCode);
    if (this.#size === this.#most) this.#evict();
    if (!this.#pack(row.shortCode)) this.#number(row.shortCode);
    let entry = this.#home(this.#low, this.#high);
    while (this.#isTaken(entry)) entry = this.#next(entry);
    this.#cells[entry << COLUMNS_BITS] = this.#low;
    this.#cells[(entry << COLUMNS_BITS) + KEY_HIGH] = this.#high;
    this.#write(entry, row, stamp);
    this.#size += 1;
    return entry;
  }

  /** Makes an entry of a link without keeping it: it lasts until the next call of this. */
  lend(row: LinkRow, stamp: Stamp): number {
    this.#write(this.#capacity, row, stamp);
    this.#lentCode = row.shortCode;
    return this.#capacity;
  }

  remove(shortCode: string): void {
    const entry = this.find(shortCode);
    if (entry !== NONE) this.#vacate(entry);
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

  location(entry: number): string {
    return this.head(entry).slice(HEAD.length);
  }

  target(entry: number): string {
    return this.#targets.get(entry) ?? this.location(entry);
  }

  shortCode(entry: number): string {
    if (entry === this.#capacity) return this.#lentCode;
    const low = this.#cells[entry << COLUMNS_BITS] as number;
    const high = this.#cells[(entry << COLUMNS_BITS) + KEY_HIGH] as number;
    return high === NUMBERED ? (this.#numbered.get(low) as string) : unpack(low, high);
  }

  #home(low: number, high: number): number {
    return Math.floor((hash(low, high) >>> 0) * this.#scale);
  }

  #next(entry: number): number {
    return entry + 1 === this.#capacity ? 0 : entry + 1;
  }

  #isTaken(entry: number): boolean {
    return this.#heads[entry] !== '';
  }

  #write(entry: number, { urlId, userId, target }: LinkRow, { slot, version, epoch }: Stamp): void {
    const cell = entry << COLUMNS_BITS;
    const cells = this.#cells;
    cells[cell + SLOT] = slot;
    cells[cell + VERSION] = version;
    cells[cell + EPOCH] = epoch;
    cells[cell + JOURNAL_SEGMENT] = 0;
    cells[cell + USED] = 0;
    this.#ids[entry * 2] = BigInt(urlId);
    this.#ids[entry * 2 + 1] = BigInt(userId ?? 0);
    const location = locationOf(target);
    this.#heads[entry] = flat(HEAD + location);
    this.#setTarget(entry, location === target ? undefined : target);
  }

  /** Removes the next entry that was not used since the hand came by last. */
  #evict(): void {
    for (;;) {
      this.#hand = this.#next(this.#hand);
      if (!this.#isTaken(this.#hand)) continue;
      const cell = (this.#hand << COLUMNS_BITS) + USED;
      if (this.#cells[cell] === 0) break;
      this.#cells[cell] = 0;
    }
    this.#vacate(this.#hand);
  }

  /** Empties an entry, and moves up what had to probe past it. */
  #vacate(entry: number): void {
    const number = this.#cells[entry << COLUMNS_BITS] as number;
    if (this.#cells[(entry << COLUMNS_BITS) + KEY_HIGH] === NUMBERED) {
      this.#numbers.delete(this.#numbered.get(number) as string);
      this.#numbered.delete(number);
    }
    let hole = entry;
    for (let other = this.#next(hole); this.#isTaken(other); other = this.#next(other)) {
      const cell = other << COLUMNS_BITS;
      const home = this.#home(this.#cells[cell] as number, this.#cells[cell + KEY_HIGH] as number);
      // Whether its way from home to here leads past the hole.
      if (this.#distance(home, other) < this.#distance(hole, other)) continue;
      this.#move(other, hole);
      hole = other;
    }
    this.#cells.fill(0, hole << COLUMNS_BITS, (hole + 1) << COLUMNS_BITS);
    this.#heads[hole] = '';
    this.#setTarget(hole, undefined);
    this.#size -= 1;
  }

  #distance(from: number, to: number): number {
    return to >= from ? to - from : to - from + this.#capacity;
  }

  #move(from: number, to: number): void {
    this.#cells.copyWithin(to << COLUMNS_BITS, from << COLUMNS_BITS, (from + 1) << COLUMNS_BITS);
    this.#ids.copyWithin(to * 2, from * 2, from * 2 + 2);
    this.#heads[to] = this.#heads[from] as string;
    this.#setTarget(to, this.#targets.get(from));
  }

  #setTarget(entry: number, target: string | undefined): void {
    if (target === undefined) this.#targets.delete(entry);
    else this.#targets.set(entry, flat(target));
  }

  /** Sets the key of a code that can't be packed: a number that no other code has. */
  #number(shortCode: string): void {
    do this.#lastNumber = (this.#lastNumber + 1) | 0;
    while (this.#numbered.has(this.#lastNumber));
    this.#numbers.set(shortCode, this.#lastNumber);
    this.#numbered.set(this.#lastNumber, shortCode);
    this.#low = this.#lastNumber;
    this.#high = NUMBERED;
  }

  /** Sets the key of a code. @returns false for a code that can't be packed. */
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
