import { createHash } from 'node:crypto';

/** A try that has to wait for those under way: any of them may be the last wrong one. */
export type Admission = 'go' | 'wait' | { readonly retrySeconds: number };

const SLOT_BITS = 14;
const SLOTS = 2 ** SLOT_BITS;
/** A key may be in any of so many slots from its own on. */
const PROBES = 8;
const WINDOW_SECONDS = 60;
/** What a gateway that has ended had under way is forgotten with its minute. */
const MASK = { tag: 0xffffffn, second: 0xffffffn, count: 0xffn };

/** Bits of a slot: a tag of 24 bits, the second its minute began in 24, wrong tries and tries under way in 8 each. */
interface Slot {
  readonly tag: bigint;
  readonly second: bigint;
  readonly wrong: number;
  readonly underWay: number;
}

/**
 * Wrong tries at passwords, by link and client, of all gateways: in shared memory, so that the limit is the
 * server's. A try is begun before the password is compared, and no more are begun than may be wrong: many at
 * once are no way around the limit. 128 kB in all; when the slots that a key may have are all taken, the oldest
 * is forgotten.
 */
export class PasswordTries {
  readonly #slots: BigInt64Array;
  readonly #perMinute: number;

  /** Memory for `new PasswordTries`, for all threads. */
  static allocate(): SharedArrayBuffer {
    return new SharedArrayBuffer(SLOTS * BigInt64Array.BYTES_PER_ELEMENT);
  }

  constructor(perMinute: number, buffer: SharedArrayBuffer) {
    this.#perMinute = perMinute;
    this.#slots = new BigInt64Array(buffer);
  }

  /** @param nowMs Since 1970. */
  begin(key: string, nowMs: number): Admission {
    let admission: Admission = 'go';
    this.#change(key, nowMs, (slot) => {
      if (slot.wrong >= this.#perMinute) admission = { retrySeconds: secondsLeft(slot, nowMs) };
      else if (slot.wrong + slot.underWay >= this.#perMinute) admission = 'wait';
      else admission = 'go';
      return admission === 'go' ? { ...slot, underWay: slot.underWay + 1 } : slot;
    });
    return admission;
  }

  /** Ends a try that was let in. */
  end(key: string, nowMs: number, isWrong: boolean): void {
    this.#change(key, nowMs, (slot) => ({
      ...slot,
      wrong: slot.wrong + (isWrong ? 1 : 0),
      underWay: Math.max(0, slot.underWay - 1),
    }));
  }

  #change(key: string, nowMs: number, change: (slot: Slot) => Slot): void {
    const digest = createHash('sha256').update(key).digest();
    const first = digest.readUInt32LE(0) % SLOTS;
    // Never 0: an empty slot has that tag.
    const tag = BigInt(digest.readUIntBE(4, 3) | 1);
    const second = secondOf(nowMs);
    for (;;) {
      const { index, bits } = this.#find(first, tag, second);
      const found = unpack(bits);
      const isOwn = found.tag === tag && isFresh(found, second);
      const next = pack(change(isOwn ? found : { tag, second, wrong: 0, underWay: 0 }));
      if (next === bits || Atomics.compareExchange(this.#slots, index, bits, next) === bits) return;
    }
  }

  /** The key's slot; else one that is free, or the oldest that it may have. */
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

function secondsLeft(slot: Slot, nowMs: number): number {
  return Math.max(1, WINDOW_SECONDS - Number(ageOf(slot, secondOf(nowMs))));
}

function unpack(bits: bigint): Slot {
  const unsigned = BigInt.asUintN(64, bits);
  return {
    tag: unsigned >> 40n,
    second: (unsigned >> 16n) & MASK.second,
    wrong: Number((unsigned >> 8n) & MASK.count),
    underWay: Number(unsigned & MASK.count),
  };
}

function pack({ tag, second, wrong, underWay }: Slot): bigint {
  const counts = (BigInt(wrong) << 8n) | BigInt(underWay);
  return BigInt.asIntN(64, (tag << 40n) | (second << 16n) | counts);
}
