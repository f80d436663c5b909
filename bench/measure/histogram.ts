const BUCKETS_AN_OCTAVE = 64;
const OCTAVES = 40;

/** Percentiles at which latency curves are drawn. */
export const curvePercentiles = [
  0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999, 0.9995, 0.9999,
] as const;

/** A point of a latency curve: share of requests, and the milliseconds within which they were answered. */
export type LatencyPoint = readonly [share: number, milliseconds: number];

/** Counts durations in buckets of equal relative width, about 1 %: no value is out of range. */
export class Histogram {
  readonly #counts = new Float64Array(BUCKETS_AN_OCTAVE * OCTAVES);
  #count = 0;
  #largest = 0;

  /** @param micros Microseconds; below one counts as one. */
  record(micros: number): void {
    const value = Math.max(1, micros);
    const bucket = Math.min(this.#counts.length - 1, Math.floor(Math.log2(value) * BUCKETS_AN_OCTAVE));
    this.#counts[bucket] = (this.#counts[bucket] ?? 0) + 1;
    this.#count += 1;
    if (micros > this.#largest) this.#largest = micros;
  }

  get count(): number {
    return this.#count;
  }

  /** Microseconds within which the share `p` of what was recorded lies: the bucket's upper bound. */
  percentile(p: number): number {
    const wanted = Math.max(1, Math.ceil(p * this.#count));
    let seen = 0;
    for (let bucket = 0; bucket < this.#counts.length; bucket += 1) {
      seen += this.#counts[bucket] ?? 0;
      if (seen >= wanted) return Math.min(this.#largest, 2 ** ((bucket + 1) / BUCKETS_AN_OCTAVE));
    }
    return this.#largest;
  }

  curve(): LatencyPoint[] {
    return curvePercentiles.map((share) => [share, this.percentile(share) / 1000]);
  }
}
