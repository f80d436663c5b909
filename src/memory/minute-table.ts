import { createHash } from 'node:crypto';

const SLOT_BITS = 14;
const SLOTS = 2 ** SLOT_BITS;
/** A key may be in any of this many slots, beginning with its own. */
const PROBES = 8;
export const WINDOW_SECONDS = 60;
/** Bits of a slot: a tag of 24, the second its minute began in 20, what is counted in 20. */
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

interface Slot {
  readonly tag: bigint;
  readonly second: bigint;
  readonly value: number;
}

/**
 * A number for each key and minute, in memory that all threads share, and therefore for the whole server. A
 * key's minute begins when it is first counted. 128 kB in all; if all slots of a key are taken, the oldest is
 * forgotten.
 */
export class MinuteTable {
  readonly #slots: BigInt64Array;

  /** Memory for `new MinuteTable`, for all threads. */
  static allocate(): SharedArrayBuffer {
    return new SharedArrayBuffer(SLOTS * BigInt64Array.BYTES_PER_ELEMENT);
  }

  constructor(buffer: SharedArrayBuffer) {
    this.#slots = new BigInt64Array(buffer);
  }

  /**
   * @param nowMs Since 1970.
   * @param change Gives the new value for the old one. It is called again if another thread was faster.
   */
  change(key: string, nowMs: number, change: (count: Count) => number): void {
    const digest = createHash('sha256').update(key).digest();
    const first = digest.readUInt32LE(0) % SLOTS;
    // Never 0: an empty slot has that tag.
    const tag = BigInt(digest.readUIntBE(4, 3) | 1);
    const second = secondOf(nowMs);
    for (;;) {
      const { index, bits } = this.#find(first, tag, second);
      const found = unpack(bits);
      const isOwn = found.tag === tag && isFresh(found, second);
      const slot = isOwn ? found : { tag, second, value: 0 };
      const secondsLeft = Math.max(1, WINDOW_SECONDS - Number(ageOf(slot, second)));
      const value = change({ value: slot.value, secondsLeft });
      if (!Number.isInteger(value) || value < 0 || value > VALUE_MAX)
        throw new Error(`${value} can't be counted in a slot`);
      const next = pack({ ...slot, value });
      if (next === bits || Atomics.compareExchange(this.#slots, index, bits, next) === bits) return;
    }
  }

  /** The key's slot; otherwise a free one, or the oldest of its slots. */
  #find(first: number, tag: bigint, second: bigint): { index: number; bits: bigint } {
    let best = { index: first, bits: 0n, age: -1n };
    for (let probe = 0; probe < PROBES; probe += 1) {
      const index = (first + probe) % SLOTS;
      const bits = Atomics.load(this.#slots, index);
      const slot = unpack(bits);
      const isLive = bits !== 0n && isFresh(slot, second);
      if (isLive && slot.tag === tag) return { index, bits };
      const age = isLive ? ageOf(slot, second) : BigInt(WINDOW_SECONDS + PROBES - probe);
      if (age > best.age) best = { index, bits, age };
    }
    return best;
  }
}

function secondOf(nowMs: number): bigint {
  return BigInt(Math.floor(nowMs / 1000)) & MASK.second;
}

function ageOf(slot: Slot, second: bigint): bigint {
  return (second - slot.second) & MASK.second;
}

function isFresh(slot: Slot, second: bigint): boolean {
  return ageOf(slot, second) < BigInt(WINDOW_SECONDS);
}

function unpack(bits: bigint): Slot {
  const unsigned = BigInt.asUintN(64, bits);
  return {
    tag: unsigned >> 40n,
    second: (unsigned >> 20n) & MASK.second,
    value: Number(unsigned & MASK.value),
  };
}

function pack({ tag, second, value }: Slot): bigint {
  return BigInt.asIntN(64, (tag << 40n) | (second << 20n) | BigInt(value));
}
