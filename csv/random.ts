/**
 * A small seeded generator of pseudo-random numbers: mulberry32 (Tommy Ettinger, public domain), 32 bits of
 * state and a period of 2^32. It is for test data only, never for secrets.
 *
 * Only integer operations and the exactly rounded + - * / are used, here and by the callers, so one seed gives
 * the same numbers on every machine and every version of Node.
 */
export class Random {
  #state: number;

  /** @param seed a whole number, 0 to 2^32 - 1 */
  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** The next number, 0 <= x < 1, in steps of 2^-32. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  }

  /** A whole number, lo <= x <= hi. */
  int(lo: number, hi: number): number {
    return lo + Math.floor(this.next() * (hi - lo + 1));
  }

  /** True with the given probability, 0 to 1. */
  chance(probability: number): boolean {
    return this.next() < probability;
  }

  /** One of `items`, each as likely as the others. */
  pick<T>(items: readonly T[]): T {
    return at(items, this.int(0, items.length - 1));
  }

  /** `length` characters drawn from `alphabet`. */
  string(alphabet: string, length: number): string {
    return Array.from({ length }, () => alphabet.charAt(this.int(0, alphabet.length - 1))).join('');
  }

  /** A shuffled copy (Fisher-Yates). */
  shuffle<T>(items: readonly T[]): T[] {
    const copy = [...items];
    for (let i = copy.length - 1; i > 0; i--) {
      const j = this.int(0, i);
      const held = at(copy, i);
      copy[i] = at(copy, j);
      copy[j] = held;
    }
    return copy;
  }

  /** An index into `sums`, a list of running totals from `cumulate`; the step up to it is its weight. */
  weighted(sums: readonly number[]): number {
    const mark = this.next() * at(sums, sums.length - 1);
    return sums.findIndex((sum) => mark < sum);
  }
}

/** The running totals of `weights`, all positive. */
export function cumulate(weights: readonly number[]): number[] {
  let sum = 0;
  return weights.map((weight) => {
    sum += weight;
    return sum;
  });
}

/** `items[index]`, or an error where there is none. */
export function at<T>(items: readonly T[], index: number): T {
  const item = items[index];
  if (item === undefined) throw new RangeError(`no item ${index} in a list of ${items.length}`);
  return item;
}
