import { Random } from '../../csv/random.js';

/**
 * Draws ranks 1 to `count` with a probability proportional to 1 / rank^exponent: as in reality, few links get
 * most of the clicks.
 */
export class Zipf {
  readonly #cumulated: Float64Array;
  readonly #random: Random;

  constructor(count: number, exponent: number, seed: number) {
    this.#random = new Random(seed);
    this.#cumulated = new Float64Array(count);
    let sum = 0;
    for (let rank = 1; rank <= count; rank += 1) {
      sum += rank ** -exponent;
      this.#cumulated[rank - 1] = sum;
    }
  }

  next(): number {
    const wanted = this.#random.next() * (this.#cumulated.at(-1) ?? 0);
    let low = 0;
    let high = this.#cumulated.length - 1;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#cumulated[middle] ?? 0) <= wanted) low = middle + 1;
      else high = middle;
    }
    return low + 1;
  }
}
