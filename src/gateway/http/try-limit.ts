const MINUTE_MS = 60_000;
/** Beyond so many addresses the oldest are forgotten: whoever has as many may guess as often anyway. */
const ADDRESSES_MAX = 10_000;

interface Tries {
  readonly endsMs: number;
  count: number;
}

/** So many wrong tries a minute from one address, and no more. */
export class TryLimit {
  readonly #perMinute: number;
  /** In the order of their ends. */
  readonly #tries = new Map<string, Tries>();

  constructor(perMinute: number) {
    this.#perMinute = perMinute;
  }

  /** @returns Seconds to wait; 0 when a try is free. */
  waitSeconds(key: string, nowMs: number): number {
    const tries = this.#tries.get(key);
    if (tries === undefined || tries.endsMs <= nowMs || tries.count < this.#perMinute) return 0;
    return Math.ceil((tries.endsMs - nowMs) / 1000);
  }

  /** Counts a wrong try. */
  add(key: string, nowMs: number): void {
    const tries = this.#tries.get(key);
    if (tries !== undefined && tries.endsMs > nowMs) {
      tries.count += 1;
      return;
    }
    this.#tries.delete(key);
    for (const [oldest, { endsMs }] of this.#tries) {
      if (endsMs > nowMs && this.#tries.size < ADDRESSES_MAX) break;
      this.#tries.delete(oldest);
    }
    this.#tries.set(key, { endsMs: nowMs + MINUTE_MS, count: 1 });
  }
}
