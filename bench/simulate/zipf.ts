import type { Random } from '../../csv/random.js';

/**
 * Draws ranks 1 to `count` with a probability proportional to 1 / rank^exponent, by rejection-inversion (Hörmann
 * and Derflinger, 1996): no table, for a billion links as for ten.
 */
export class ZipfRanks {
  readonly #count: number;
  readonly #exponent: number;
  readonly #random: Random;
  readonly #atFirst: number;
  readonly #atLast: number;
  readonly #sure: number;

  constructor(count: number, exponent: number, random: Random) {
    this.#count = count;
    this.#exponent = exponent;
    this.#random = random;
    this.#atFirst = this.#area(1.5) - 1;
    this.#atLast = this.#area(count + 0.5);
    this.#sure = 2 - this.#inverse(this.#area(2.5) - 2 ** -exponent);
  }

  next(): number {
    for (;;) {
      const area = this.#atLast + this.#random.next() * (this.#atFirst - this.#atLast);
      const x = this.#inverse(area);
      const rank = Math.min(this.#count, Math.max(1, Math.round(x)));
      if (rank - x <= this.#sure || area >= this.#area(rank + 0.5) - rank ** -this.#exponent) return rank;
    }
  }

  /** The integral of x^-exponent from 1. */
  #area(x: number): number {
    const power = 1 - this.#exponent;
    return power === 0 ? Math.log(x) : (x ** power - 1) / power;
  }

  #inverse(area: number): number {
    const power = 1 - this.#exponent;
    return power === 0 ? Math.exp(area) : (1 + area * power) ** (1 / power);
  }
}
