import type { StatisticsOutcome } from '../messages/statistics.js';
import { addDifferences, mergeLinkSums, sumBusyLinks, tidySums } from '../store/stats-sums.js';
import type { WorkerThread } from './thread.js';

const STEP_DEADLINE_MS = 120_000;
/** How often what is out of date is removed. */
const TIDY_MS = 600_000;
/** How often links' sums are put in order. */
const LINKS_MS = 60_000;

let tidiedAtMs = 0;
/** The first time at the first step: an upgrade has much to do. */
let linksAtMs = Number.NEGATIVE_INFINITY;

/** One transaction of the sums; now and then, where nothing waits, they are put in order. */
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
    if (performance.now() - linksAtMs > LINKS_MS) {
      linksAtMs = performance.now();
      await pool.run(STEP_DEADLINE_MS, mergeLinkSums);
      // A few at a time, and the others at the next step.
      if ((await pool.run(STEP_DEADLINE_MS, sumBusyLinks)) > 0) linksAtMs = Number.NEGATIVE_INFINITY;
    }
    return step;
  } catch (error) {
    counters.add('statsFailures');
    throw error;
  }
}
