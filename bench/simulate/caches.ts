import { LRUCache } from 'lru-cache';

/** What a cache knows of a link: valid, to be asked anew before use, or nothing. */
export type Found = 'hit' | 'suspect' | 'absent';

/** One gateway's links, by number. */
export interface Cache {
  readonly size: number;
  lookup(link: number): Found;
  keep(link: number): void;
  drop(link: number): void;
  /** Everything cached so far is asked anew before it is used. */
  suspectAll(): void;
  clear(): void;
}

export const policies = ['clock', 'lru'] as const;
export type Policy = (typeof policies)[number];

export function createCache(policy: Policy, max: number): Cache {
  return policy === 'clock' ? new ClockCache(max) : new LruCache(max);
}

const EMPTY = -1;
/** As in src/gateway/redirect/link-table.ts. */
const MAX_LOAD = 0.75;

/**
 * The gateways' own policy: links lie where their hash puts them, and a hand evicts the next one that was not
 * used since it last came by.
 */
export class ClockCache implements Cache {
  readonly #max: number;
  readonly #links: Int32Array;
  readonly #used: Uint8Array;
  readonly #epochs: Int32Array;
  #epoch = 0;
  #size = 0;
  #hand = 0;

  constructor(max: number) {
    this.#max = max;
    const capacity = Math.max(8, Math.ceil(max / MAX_LOAD));
    this.#links = new Int32Array(capacity).fill(EMPTY);
    this.#used = new Uint8Array(capacity);
    this.#epochs = new Int32Array(capacity);
  }

  get size(): number {
    return this.#size;
  }

  lookup(link: number): Found {
    const entry = this.#find(link);
    if (this.#links[entry] === EMPTY) return 'absent';
    if (this.#epochs[entry] !== this.#epoch) return 'suspect';
    this.#used[entry] = 1;
    return 'hit';
  }

  keep(link: number): void {
    this.drop(link);
    if (this.#size === this.#max) this.#evict();
    const entry = this.#find(link);
    this.#links[entry] = link;
    this.#used[entry] = 0;
    this.#epochs[entry] = this.#epoch;
    this.#size += 1;
  }

  drop(link: number): void {
    const entry = this.#find(link);
    if (this.#links[entry] !== EMPTY) this.#vacate(entry);
  }

  suspectAll(): void {
    this.#epoch += 1;
  }

  clear(): void {
    this.#links.fill(EMPTY);
    this.#size = 0;
  }

  #evict(): void {
    for (;;) {
      this.#hand = this.#next(this.#hand);
      if (this.#links[this.#hand] === EMPTY) continue;
      if (this.#used[this.#hand] === 0) break;
      this.#used[this.#hand] = 0;
    }
    this.#vacate(this.#hand);
  }

  /** The link's entry, or the empty one where it belongs. */
  #find(link: number): number {
    let entry = this.#home(link);
    while (this.#links[entry] !== EMPTY && this.#links[entry] !== link) entry = this.#next(entry);
    return entry;
  }

  /** Moves up the entries that had to probe past this one. */
  #vacate(entry: number): void {
    let hole = entry;
    for (let other = this.#next(hole); this.#links[other] !== EMPTY; other = this.#next(other)) {
      const home = this.#home(this.#links[other] as number);
      if (this.#distance(home, other) < this.#distance(hole, other)) continue;
      this.#links[hole] = this.#links[other] as number;
      this.#used[hole] = this.#used[other] as number;
      this.#epochs[hole] = this.#epochs[other] as number;
      hole = other;
    }
    this.#links[hole] = EMPTY;
    this.#size -= 1;
  }

  #home(link: number): number {
    return Math.floor((mix(link) / 2 ** 32) * this.#links.length);
  }

  #next(entry: number): number {
    return entry + 1 === this.#links.length ? 0 : entry + 1;
  }

  #distance(from: number, to: number): number {
    return to >= from ? to - from : to - from + this.#links.length;
  }
}

/** The textbook's policy, whose hit ratio is known from theory. */
export class LruCache implements Cache {
  readonly #epochs: LRUCache<number, number>;
  #epoch = 0;

  constructor(max: number) {
    this.#epochs = new LRUCache({ max });
  }

  get size(): number {
    return this.#epochs.size;
  }

  lookup(link: number): Found {
    const epoch = this.#epochs.get(link);
    if (epoch === undefined) return 'absent';
    return epoch === this.#epoch ? 'hit' : 'suspect';
  }

  keep(link: number): void {
    this.#epochs.set(link, this.#epoch);
  }

  drop(link: number): void {
    this.#epochs.delete(link);
  }

  suspectAll(): void {
    this.#epoch += 1;
  }

  clear(): void {
    this.#epochs.clear();
  }
}

/** A hash of 32 bits. */
export function mix(value: number): number {
  let mixed = Math.imul(value ^ (value >>> 16), 0x45d9f3b);
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x45d9f3b);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}
