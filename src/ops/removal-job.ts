import type { Logger } from '../runtime/logger.js';
import type { RemovalStep } from '../store/removal.js';
import { RepeatedJob, rest } from './repeated-job.js';

export interface RemovalJobOptions {
  readonly log: Logger;
  readonly isUp: () => boolean;
  /** Removes a piece. */
  readonly step: () => Promise<RemovalStep>;
}

/** How long until the job looks again whether there is something to remove. */
const EVERY_MS = 1000;

/**
 * Has a worker remove the events of deleted links, piece by piece: between two pieces it rests half as long as the last one
 * took.
 */
export function removalJob({ log, isUp, step }: RemovalJobOptions): RepeatedJob {
  return new RepeatedJob({
    log,
    trouble: 'the events of deleted links are not removed',
    isUp,
    firstRestMs: 0,
    failureRestMs: EVERY_MS,
    round: async (stopped) => {
      let removed = 0;
      let links = 0;
      try {
        for (;;) {
          const begun = performance.now();
          const done = await step();
          removed += done.removed;
          links += done.finished;
          if (!done.isMore || !(await rest((performance.now() - begun) / 2, stopped))) return EVERY_MS;
        }
      } finally {
        if (links > 0) log.info({ links, removed }, `removed ${removed} events of ${links} deleted links`);
      }
    },
  });
}
