import { randomBytes } from 'node:crypto';
import { locationOf } from '../../api/location.js';
import { CodeNumbers } from './code-numbers.js';
import { flat } from './flat-text.js';
import { freshUntil } from './freshness.js';
import { bakedHead, type LinkOptions, locationIn, plainOptions, redirectStatuses } from './link-options.js';
import { CodePacker, UNPACKED_HIGH, unpackCode } from './packed-code.js';

/** A link as the database has it; ids are PostgreSQL's own text. */
export interface LinkRow {
  readonly urlId: string;
  readonly userId: string | null;
  readonly shortCode: string;
  /** Its target as given, from which the Location header is made. */
  readonly target: string;
  /** When it was created, ms since 1970. */
  readonly createdMs: number;
  /** Absent for a plain link: 302 at any time, for anyone, any number of times. */
  readonly options?: LinkOptions | undefined;
}

/** The state of a code's coherence before its row was read; see src/memory/coherence.ts. */
export interface Stamp {
  readonly stripe: number;
  readonly version: number;
  readonly epoch: number;
}

/** Columns of an entry, all 32-bit: together they are half a cache line. */
const KEY_HIGH = 1;
/** The coherence stripe, with flags of the entry in the bits above it. */
const STRIPE = 2;
const VERSION = 3;
const EPOCH = 4;
const JOURNAL_SEGMENT = 5;
const JOURNAL_REF = 6;
/** The second from which a hit may not be answered from the head alone. */
const FRESH_UNTIL = 7;
const COLUMNS_BITS = 3;

const STRIPE_MASK = (1 << 18) - 1;
/** Whether the entry was used since the clock's hand last came by. */
const USED_BIT = 1 << 18;
const STATUS_SHIFT = 19;

/** Maximum load of the table: beyond it, probing gets long. */
const MAX_LOAD = 0.75;
const NONE = -1;

/**
 * One gateway's links in columns, a fixed number of them at most, found by short code.
 *
 * A hit among a million objects mostly waits for memory: for the map's bucket, the object, its code, its
 * target. Here a code of up to ten common characters is itself the key, 64 bits with its length, and the
 * place that its hash gives has everything that a hit needs but the answer; the answer's head is kept ready
 * to be written. (A map numbers other codes, and the number is the key.) When the table is full, the clock
 * algorithm chooses the link to evict: nearly the least recently used, and a use writes to no other entry.
 *
 * An entry's number is valid until the next `put` or `remove`: entries move up when one is removed. Columns
 * are allocated for the largest number at once; the system provides their memory on first use.
 */
export class LinkTable {
  static readonly none = NONE;
  readonly #max: number;
  readonly #capacity: number;
  /** From a 32-bit hash to a place. */
  readonly #scale: number;
  readonly #cells: Int32Array;
  /** URL and user of each entry; 0 for no user. */
  readonly #ids: BigInt64Array;
  /** When each link was created; no hit reads it. */
  readonly #created: Float64Array;
  /** The head of each entry's answer; empty without an entry. */
  readonly #heads: string[];
  /** Targets whose Location has another form; few are not ASCII. */
  readonly #targets = new Map<number, string>();
  /** Options of the links that have any. */
  readonly #options = new Map<number, LinkOptions>();
  readonly #packer = new CodePacker();
  /** Without a secret, an attacker could choose codes that all hash to one place and make probing endless. */
  readonly #secret0: number;
  readonly #secret1: number;
  readonly #secret2: number;
  readonly #numbers = new CodeNumbers();
  #size = 0;
  #hand = 0;
  #low = 0;
  #high = 0;
  #transientCode = '';

  constructor(max: number) {
    this.#max = max;
    this.#capacity = Math.max(8, Math.ceil(max / MAX_LOAD));
    const secrets = new Int32Array(randomBytes(12).buffer.slice(0, 12));
    this.#secret0 = secrets[0] as number;
    this.#secret1 = secrets[1] as number;
    this.#secret2 = (secrets[2] as number) | 1;
    this.#scale = this.#capacity / 2 ** 32;
    // One more, for the link that is not kept.
    this.#cells = new Int32Array((this.#capacity + 1) << COLUMNS_BITS);
    this.#ids = new BigInt64Array((this.#capacity + 1) * 2);
    this.#created = new Float64Array(this.#capacity + 1);
    this.#heads = new Array<string>(this.#capacity + 1).fill('');
  }

  get size(): number {
    return this.#size;
  }

  /** The entry of a code; `LinkTable.none` when there is none. */
  find(shortCode: string): number {
    const packer = this.#packer;
    let low: number;
    let high: number;
    if (packer.pack(shortCode)) {
      low = packer.low;
      high = packer.high;
    } else {
      const number = this.#numbers.get(shortCode);
      if (number === undefined) return NONE;
      low = number;
      high = UNPACKED_HIGH;
    }
    const cells = this.#cells;
    const heads = this.#heads;
    for (let entry = this.#home(low, high); ; entry = this.#next(entry)) {
      const cell = entry << COLUMNS_BITS;
      // Read the answer first, to fetch its memory together with that of the columns.
      if ((heads[entry] as string).length === 0) return NONE;
      if (cells[cell] === low && cells[cell + KEY_HIGH] === high) return entry;
    }
  }

  /** The number of entries read to find a code, or to find that it is missing. */
  probes(shortCode: string): number {
    const entry = this.find(shortCode);
    if (entry === NONE || !this.#packer.pack(shortCode)) return 1;
    return this.#distance(this.#home(this.#packer.low, this.#packer.high), entry) + 1;
  }

  /** Marks an entry as used. */
  touch(entry: number): void {
    const cell = (entry << COLUMNS_BITS) + STRIPE;
    const word = this.#cells[cell] as number;
    // Most are marked already, and an unwritten cache line need not be fetched for writing.
    if ((word & USED_BIT) === 0) this.#cells[cell] = word | USED_BIT;
  }

  /** Keeps a link, replacing what was known of its code. @returns its entry. */
  put(row: LinkRow, stamp: Stamp): number {
    this.remove(row.shortCode);
    if (this.#size === this.#max) this.#evict();
    if (this.#packer.pack(row.shortCode)) {
      this.#low = this.#packer.low;
      this.#high = this.#packer.high;
    } else {
      this.#low = this.#numbers.add(row.shortCode);
      this.#high = UNPACKED_HIGH;
    }
    let entry = this.#home(this.#low, this.#high);
    while (this.#isTaken(entry)) entry = this.#next(entry);
    this.#cells[entry << COLUMNS_BITS] = this.#low;
    this.#cells[(entry << COLUMNS_BITS) + KEY_HIGH] = this.#high;
    this.#write(entry, row, stamp);
    this.#size += 1;
    return entry;
  }

  /** Makes an entry of a link without keeping it; it is valid until the next call. */
  putTransient(row: LinkRow, stamp: Stamp): number {
    this.#write(this.#capacity, row, stamp);
    this.#transientCode = row.shortCode;
    return this.#capacity;
  }

  remove(shortCode: string): void {
    const entry = this.find(shortCode);
    if (entry !== NONE) this.#vacate(entry);
  }

  stripe(entry: number): number {
    return (this.#cells[(entry << COLUMNS_BITS) + STRIPE] as number) & STRIPE_MASK;
  }

  /** Whether the entry's head is its whole answer at this second, counted from TABLE_EPOCH_SECONDS. */
  isFresh(entry: number, nowSeconds: number): boolean {
    return nowSeconds < (this.#cells[(entry << COLUMNS_BITS) + FRESH_UNTIL] as number);
  }

  /** The index of the redirect's status in `redirectStatuses`. */
  statusIndex(entry: number): number {
    return ((this.#cells[(entry << COLUMNS_BITS) + STRIPE] as number) >>> STATUS_SHIFT) & 3;
  }

  options(entry: number): LinkOptions {
    return this.#options.get(entry) ?? plainOptions;
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

  createdMs(entry: number): number {
    return this.#created[entry] as number;
  }

  /** Status and Location header of a link's answer, as one text. */
  head(entry: number): string {
    return this.#heads[entry] as string;
  }

  location(entry: number): string {
    return locationIn(this.head(entry));
  }

  target(entry: number): string {
    return this.#targets.get(entry) ?? this.location(entry);
  }

  shortCode(entry: number): string {
    if (entry === this.#capacity) return this.#transientCode;
    const low = this.#cells[entry << COLUMNS_BITS] as number;
    const high = this.#cells[(entry << COLUMNS_BITS) + KEY_HIGH] as number;
    return high === UNPACKED_HIGH ? this.#numbers.code(low) : unpackCode(low, high);
  }

  #home(low: number, high: number): number {
    let mixed = Math.imul(low ^ this.#secret0, this.#secret2);
    mixed = Math.imul(mixed ^ (mixed >>> 15) ^ high ^ this.#secret1, 0x85ebca6b);
    mixed = Math.imul(mixed ^ (mixed >>> 15), this.#secret2);
    mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
    return Math.floor(((mixed ^ (mixed >>> 16)) >>> 0) * this.#scale);
  }

  #next(entry: number): number {
    return entry + 1 === this.#capacity ? 0 : entry + 1;
  }

  #isTaken(entry: number): boolean {
    return this.#heads[entry] !== '';
  }

  #write(entry: number, row: LinkRow, { stripe, version, epoch }: Stamp): void {
    const { urlId, userId, target, createdMs, options } = row;
    const cell = entry << COLUMNS_BITS;
    const cells = this.#cells;
    const { status } = options ?? plainOptions;
    cells[cell + STRIPE] = stripe | (redirectStatuses.indexOf(status) << STATUS_SHIFT);
    cells[cell + VERSION] = version;
    cells[cell + EPOCH] = epoch;
    cells[cell + JOURNAL_SEGMENT] = 0;
    cells[cell + FRESH_UNTIL] = freshUntil(options);
    this.#ids[entry * 2] = BigInt(urlId);
    this.#ids[entry * 2 + 1] = BigInt(userId ?? 0);
    this.#created[entry] = createdMs;
    const location = locationOf(target);
    this.#heads[entry] = flat(bakedHead(options ?? plainOptions, location));
    this.#setTarget(entry, location === target ? undefined : target);
    this.#setOptions(entry, options);
  }

  /** Removes the next entry that was not used since the hand's last visit. */
  #evict(): void {
    for (;;) {
      this.#hand = this.#next(this.#hand);
      if (!this.#isTaken(this.#hand)) continue;
      const cell = (this.#hand << COLUMNS_BITS) + STRIPE;
      const word = this.#cells[cell] as number;
      if ((word & USED_BIT) === 0) break;
      this.#cells[cell] = word & ~USED_BIT;
    }
    this.#vacate(this.#hand);
  }

  /** Empties an entry, and moves up the entries that had to probe past it. */
  #vacate(entry: number): void {
    const low = this.#cells[entry << COLUMNS_BITS] as number;
    if (this.#cells[(entry << COLUMNS_BITS) + KEY_HIGH] === UNPACKED_HIGH) this.#numbers.remove(low);
    let hole = entry;
    for (let other = this.#next(hole); this.#isTaken(other); other = this.#next(other)) {
      const cell = other << COLUMNS_BITS;
      const home = this.#home(this.#cells[cell] as number, this.#cells[cell + KEY_HIGH] as number);
      // Whether its probe sequence passes the hole.
      if (this.#distance(home, other) < this.#distance(hole, other)) continue;
      this.#move(other, hole);
      hole = other;
    }
    this.#cells.fill(0, hole << COLUMNS_BITS, (hole + 1) << COLUMNS_BITS);
    this.#heads[hole] = '';
    this.#setTarget(hole, undefined);
    this.#setOptions(hole, undefined);
    this.#size -= 1;
  }

  #distance(from: number, to: number): number {
    return to >= from ? to - from : to - from + this.#capacity;
  }

  #move(from: number, to: number): void {
    this.#cells.copyWithin(to << COLUMNS_BITS, from << COLUMNS_BITS, (from + 1) << COLUMNS_BITS);
    this.#ids.copyWithin(to * 2, from * 2, from * 2 + 2);
    this.#created[to] = this.#created[from] as number;
    this.#heads[to] = this.#heads[from] as string;
    this.#setTarget(to, this.#targets.get(from));
    this.#setOptions(to, this.#options.get(from));
  }

  #setTarget(entry: number, target: string | undefined): void {
    if (target === undefined) this.#targets.delete(entry);
    else this.#targets.set(entry, flat(target));
  }

  #setOptions(entry: number, options: LinkOptions | undefined): void {
    if (options === undefined) this.#options.delete(entry);
    else this.#options.set(entry, options);
  }
}
