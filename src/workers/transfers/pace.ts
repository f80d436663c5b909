/** The weight of older measurements decays at each look. */
const FADE = 0.7;
/** The minimum time over which a rate is given. */
const MIN_WAITED_MS = 1000;

/** A client's speed, measured only while the server waits for it: our own delays are not its fault. */
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

  /** Begins a wait for the client to send or read. */
  wait(): void {
    this.#waitsSinceMs ??= this.#now();
  }

  goOn(): void {
    this.#settle();
    this.#waitsSinceMs = undefined;
  }

  /** The client has sent or read this many bytes. */
  moved(bytes: number): void {
    this.#bytes += bytes;
  }

  /**
   * To be called twice a second.
   * @returns recent bytes a second; `undefined` for a client for which the server hardly ever waits.
   */
  look(): number | undefined {
    this.#settle();
    const rate = this.#waitedMs < MIN_WAITED_MS ? undefined : (this.#bytes / this.#waitedMs) * 1000;
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
