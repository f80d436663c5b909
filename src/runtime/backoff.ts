/**
 * Pauses between attempts: each twice as long as the one before, up to a bound, with jitter, to spread
 * attempts that failed together.
 */
export class Backoff {
  readonly #firstMs: number;
  readonly #maxMs: number;
  #failures = 0;

  constructor({ firstMs, maxMs }: { readonly firstMs: number; readonly maxMs: number }) {
    this.#firstMs = firstMs;
    this.#maxMs = maxMs;
  }

  /** Attempts that failed since the last success. */
  get failures(): number {
    return this.#failures;
  }

  /** An attempt has failed. @returns how long to wait before the next, in ms: half to all of the pause. */
  next(): number {
    const pauseMs = Math.min(this.#maxMs, this.#firstMs * 2 ** Math.min(this.#failures, 30));
    this.#failures += 1;
    return pauseMs * (0.5 + Math.random() / 2);
  }

  /** An attempt has succeeded. */
  reset(): void {
    this.#failures = 0;
  }
}
