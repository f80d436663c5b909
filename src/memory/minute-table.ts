import { createHash } from 'node:crypto';

const CELL_BITS = 14;
const CELLS = 2 ** CELL_BITS;
/** A key may be in any of this many cells, the first of which its hash gives. */
const PROBES = 8;
export const WINDOW_SECONDS = 60;
/** Bits of an entry: a tag of 24, the second its minute began in 20, what is counted in 20. */
const MASK = { second: 0xfffffn, value: 0xfffffn };
/** The largest value. */
export const VALUE_MAX = Number(MASK.value);

/** A key's count in its minute. */
export interface Count {
  /** 0 to `VALUE_MAX`. */
  readonly value: number;
  /** Whole seconds until its minute is over, 1 to 60. */
  readonly secondsLeft: number;
}

interface Entry {
  readonly tag: bigint;
  readonly second: bigint;
  readonly value: number;
}

/**
 * A number for each key and minute, in memory that all threads share, and therefore for the whole server. A
 * key's minute begins when it is first counted. 128 kB in all; if all entries of a key are taken, the oldest is
 * forgotten.
 */
export class MinuteTable {
  readonly #cells: BigInt64Array;

  /** Memory for `new MinuteTable`, for all threads. */
  static allocate(): SharedArrayBuffer {
    return new SharedArrayBuffer(CELLS * BigInt64Array.BYTES_PER_ELEMENT);
  }

  constructor(buffer: SharedArrayBuffer) {
    this.#cells = new BigInt64Array(buffer);
  }

  /**
   * @param nowMs Since 1970.
   * @param change Gives the new value for the old one. It is called again if another thread was faster.
   */
  change(key: string, nowMs: number, change: (count: Count) => number): void {
    const digest = createHash('sha256').update(key).digest();
    const first = digest.readUInt32LE(0) % CELLS;
    // Never 0: an empty entry has that tag.
    const tag = BigInt(digest.readUIntBE(4, 3) | 1);
    const second = secondOf(nowMs);
    for (;;) {
      const { index, bits } = this.#find(first, tag, second);
      const found = unpack(bits);
      const isOwn = found.tag === tag && isFresh(found, second);
      const entry = isOwn ? found : { tag, second, value: 0 };
      const secondsLeft = Math.max(1, WINDOW_SECONDS - Number(ageOf(entry, second)));
      const value = change({ value: entry.value, secondsLeft });
      if (!Number.isInteger(value) || value < 0 || value > VALUE_MAX)
        throw new Error(`${value} can't be counted in an entry`);
      const next = pack({ ...entry, value });
      if (next === bits || Atomics.compareExchange(this.#cells, index, bits, next) === bits) return;
    }
  }

  /** The key's entry; otherwise a free one, or the oldest of its entries. */
  #find(first: number, tag: bigint, second: bigint): { index: number; bits: bigint } {
    let best = { index: first, bits: 0n, age: -1n };
    for (let probe = 0; probe < PROBES; probe += 1) {
      const index = (first + probe) % CELLS;
      const bits = Atomics.load(this.#cells, index);
      const entry = unpack(bits);
      const isLive = bits !== 0n && isFresh(entry, second);
      if (isLive && entry.tag === tag) return { index, bits };
      const age = isLive ? ageOf(entry, second) : BigInt(WINDOW_SECONDS + PROBES - probe);
      if (age > best.age) best = { index, bits, age };
    }
    return best;
  }
}

function secondOf(nowMs: number): bigint {
  return BigInt(Math.floor(nowMs / 1000)) & MASK.second;
}

function ageOf(entry: Entry, second: bigint): bigint {
  return (second - entry.second) & MASK.second;
}

function isFresh(entry: Entry, second: bigint): boolean {
  return ageOf(entry, second) < BigInt(WINDOW_SECONDS);
}

function unpack(bits: bigint): Entry {
  const unsigned = BigInt.asUintN(64, bits);
  return {
    tag: unsigned >> 40n,
    second: (unsigned >> 20n) & MASK.second,
    value: Number(unsigned & MASK.value),
  };
}

function pack({ tag, second, value }: Entry): bigint {
  return BigInt.asIntN(64, (tag << 40n) | (second << 20n) | BigInt(value));
}
