/** What was so long ago counts for so much less at each look. */
const FADE = 0.7;
/** A rate is said of no less time than this. */
const LEAST_WAITED_MS = 1000;

/** How fast a client is, in the time in which it is waited for: what we take ourselves is not its fault. */
export class Pace {
  readonly #now: () => number;
  #bytes = 0;
  #waitedMs = 0;
  #waitsSinceMs: number | undefined;

  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  get isWaiting(): boolean {
    return this.#waitsSinceMs !== undefined;
  }

  /** From now on nothing happens until the client has sent or read. */
  wait(): void {
    this.#waitsSinceMs ??= this.#now();
  }

  goOn(): void {
    this.#settle();
    this.#waitsSinceMs = undefined;
  }

  /** The client has sent or read so much. */
  moved(bytes: number): void {
    this.#bytes += bytes;
  }

  /**
   * To be called twice a second.
   * @returns bytes a second, of late; `undefined` for a client that is hardly ever waited for.
   */
  look(): number | undefined {
    this.#settle();
    const rate = this.#waitedMs < LEAST_WAITED_MS ? undefined : (this.#bytes / this.#waitedMs) * 1000;
    this.#bytes *= FADE;
    this.#waitedMs *= FADE;
    return rate;
  }

  #settle(): void {
    if (this.#waitsSinceMs === undefined) return;
    const now = this.#now();
    this.#waitedMs += now - this.#waitsSinceMs;
    this.#waitsSinceMs = now;
  }
}
