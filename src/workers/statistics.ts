import type { StatisticsOutcome } from '../messages/statistics.js';
import { addDifferences, keepSums, sumBusyLinks, tidySums } from '../store/stats-sums.js';
import type { WorkerThread } from './thread.js';

const STEP_DEADLINE_MS = 120_000;
/** How often what is out of date is removed. */
const TIDY_MS = 600_000;
/** How often what is over is folded, and links with many clicks get sums of their own. */
const KEEP_MS = 60_000;

let tidiedAtMs = 0;
/** The first time at the first step: there is much to do after a stop. */
let keptAtMs = Number.NEGATIVE_INFINITY;

/** One transaction of the sums; now and then, where nothing waits, they are folded and tidied. */
export async function stepStatistics({ pool, counters }: WorkerThread): Promise<StatisticsOutcome> {
  try {
    const step = await pool.run(STEP_DEADLINE_MS, addDifferences);
    counters.set('statsQueued', step.queued);
    counters.set('statsBehind', step.behindSeconds);
    counters.set('statsBuilding', step.isBuilt ? 0 : 1);
    if (!step.isBuilt || step.hasMore) return step;
    if (performance.now() - tidiedAtMs > TIDY_MS) {
      tidiedAtMs = performance.now();
      await pool.run(STEP_DEADLINE_MS, tidySums);
    }
    if (performance.now() - keptAtMs > KEEP_MS) {
      keptAtMs = performance.now();
      const isMore = await pool.run(STEP_DEADLINE_MS, keepSums);
      // A few at a time, and the others at the next step.
      if ((await pool.run(STEP_DEADLINE_MS, sumBusyLinks)) > 0 || isMore) keptAtMs = Number.NEGATIVE_INFINITY;
    }
    return step;
  } catch (error) {
    counters.add('statsFailures');
    throw error;
  }
}
