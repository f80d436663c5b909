import type { Logger } from '../runtime/logger.js';
import { RepeatedJob } from './repeated-job.js';

export interface EventChunksJobOptions {
  readonly log: Logger;
  readonly isUp: () => boolean;
  /** Settles with whether another chunk may be full. */
  readonly keep: () => Promise<boolean>;
}

/** The chunks made ahead hold the clicks of this time many times over. */
const EVERY_MS = 1000;

/** Has a worker make chunks of events ahead of the clicks, and seal full ones. */
export function eventChunksJob({ log, isUp, keep }: EventChunksJobOptions): RepeatedJob {
  return new RepeatedJob({
    log,
    trouble: 'chunks of events are neither made nor sealed',
    isUp,
    firstRestMs: EVERY_MS,
    failureRestMs: EVERY_MS,
    round: async (stopped) => {
      while ((await keep()) && !stopped.aborted);
      return EVERY_MS;
    },
  });
}
