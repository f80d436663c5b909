import type { StatisticsOutcome } from '../messages/statistics.js';
import { addDifferences, tidySums } from '../store/stats-sums.js';
import type { WorkerThread } from './thread.js';

const STEP_DEADLINE_MS = 120_000;
const TIDY_MS = 600_000;

let tidiedAtMs = 0;

/** One transaction of the sums; now and then what is too old is removed. */
export async function stepStatistics({ pool, counters }: WorkerThread): Promise<StatisticsOutcome> {
  try {
    const step = await pool.run(STEP_DEADLINE_MS, addDifferences);
    counters.set('statsQueued', step.queued);
    counters.set('statsBehind', step.behindSeconds);
    counters.set('statsBuilding', step.isBuilt ? 0 : 1);
    if (step.isBuilt && !step.hasMore && performance.now() - tidiedAtMs > TIDY_MS) {
      tidiedAtMs = performance.now();
      await pool.run(STEP_DEADLINE_MS, tidySums);
    }
    return step;
  } catch (error) {
    counters.add('statsFailures');
    throw error;
  }
}
