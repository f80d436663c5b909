import { type Counters, latencyBuckets } from './counters.js';

/** The HTTP series of each figure, as sets of their numbers. */
export interface LiveSeries {
  readonly redirects: ReadonlySet<number>;
  readonly notFound: ReadonlySet<number>;
}

/** Totals since the start, over all threads there ever were. */
export interface LiveCounts {
  readonly redirects: number;
  readonly misses: number;
  readonly notFound: number;
  readonly created: number;
  /** Answers by latency, not cumulated; the last bucket has no upper bound. */
  readonly latencies: readonly number[];
}

/** Reads the threads' existing counters: no thread counts anything extra for it. */
export function readLiveCounts(counters: Counters, { redirects, notFound }: LiveSeries): LiveCounts {
  const latencies = new Array<number>(latencyBuckets.length + 1).fill(0);
  let redirected = 0;
  let unknown = 0;
  counters.forEachSeries((series, cells, start) => {
    let sum = 0;
    for (let bucket = 0; bucket < latencies.length; bucket += 1) {
      const count = cells[start + bucket] as number;
      if (count === 0) continue;
      sum += count;
      latencies[bucket] = (latencies[bucket] as number) + count;
    }
    if (sum === 0) return;
    if (redirects.has(series)) redirected += sum;
    else if (notFound.has(series)) unknown += sum;
  });
  return {
    redirects: redirected,
    misses: counters.total('redirectMisses'),
    notFound: unknown,
    created: counters.total('linksCreated'),
    latencies,
  };
}

/**
 * The latency in seconds that a share of the answers did not exceed, by linear interpolation within its
 * bucket; beyond the last bound, that bound. @returns `undefined` without answers.
 * @param latencies Answers in each latency bucket, not cumulated.
 */
export function quantileOf(latencies: readonly number[], share: number): number | undefined {
  const total = latencies.reduce((sum, count) => sum + count, 0);
  if (total === 0) return undefined;
  let before = 0;
  for (const [bucket, bound] of latencyBuckets.entries()) {
    const count = latencies[bucket] ?? 0;
    if (before + count >= share * total) {
      const lower = latencyBuckets[bucket - 1] ?? 0;
      return lower + (bound - lower) * ((share * total - before) / count);
    }
    before += count;
  }
  return latencyBuckets.at(-1);
}
