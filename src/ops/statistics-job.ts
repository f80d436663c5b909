import type { StatisticsOutcome } from '../messages/statistics.js';
import type { Logger } from '../runtime/logger.js';
import { FailureNotice } from './failure-notice.js';
import { RepeatedJob } from './repeated-job.js';

export interface StatisticsJobOptions {
  readonly log: Logger;
  readonly isUp: () => boolean;
  readonly add: () => Promise<StatisticsOutcome>;
  readonly build: () => Promise<void>;
}

/**
 * How long the job rests after its work: a row for each minute and kind of sum is written once a step however much waits,
 * so that a busy server's are added less often. Sums are at most 5 s behind.
 */
const MIN_REST_MS = 1000;
const MAX_REST_MS = 3000;
const REST_A_WORK = 20;

/** Has a worker keep the statistics' sums up to date, a step every second or few; more while there is more. */
export function statisticsJob({ log, isUp, add, build }: StatisticsJobOptions): RepeatedJob {
  const notice = new FailureNotice(log, 'statistics of older events are not made');
  let isBuilding = false;
  const buildBeside = async (stopped: AbortSignal): Promise<void> => {
    if (isBuilding) return;
    isBuilding = true;
    try {
      await build();
      notice.succeeded();
    } catch (error) {
      if (!stopped.aborted) notice.failed(error);
    } finally {
      isBuilding = false;
    }
  };
  return new RepeatedJob({
    log,
    trouble: 'statistics fall behind',
    isUp,
    firstRestMs: MIN_REST_MS,
    failureRestMs: MIN_REST_MS,
    round: async (stopped) => {
      const startMs = performance.now();
      let step = await add();
      while (step.hasMore && !stopped.aborted) step = await add();
      if (!step.isBuilt) void buildBeside(stopped);
      return Math.min(Math.max((performance.now() - startMs) * REST_A_WORK, MIN_REST_MS), MAX_REST_MS);
    },
  });
}
