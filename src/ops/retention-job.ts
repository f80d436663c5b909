import type { Logger } from '../runtime/logger.js';
import type { RetentionCursor, RetentionStep } from '../store/retention.js';
import { RepeatedJob, rest } from './repeated-job.js';

export interface RetentionJobOptions {
  readonly log: Logger;
  readonly isUp: () => boolean;
  /** EVENTS_RETENTION_DAYS; 0: never removes anything. */
  readonly days: number;
  /** Removes a piece. */
  readonly step: (cursor: RetentionCursor | undefined) => Promise<RetentionStep>;
}

const EVERY_MS = 3_600_000;
/** After a failure. */
const AGAIN_MS = 60_000;

/**
 * Has a worker remove old clicks and previews at the start and every hour, piece by piece: between two pieces
 * it rests as long as the last one took.
 */
export class RetentionJob {
  readonly #options: RetentionJobOptions;
  readonly #job: RepeatedJob;
  #unarchived = 0;
  /** Seconds since 1970. Before the first round, the start, from which on it is due. */
  #lastRun = Date.now() / 1000;

  constructor(options: RetentionJobOptions) {
    const { log, isUp } = options;
    this.#options = options;
    this.#job = new RepeatedJob({
      log,
      trouble: 'old events are not removed',
      isUp,
      firstRestMs: 0,
      failureRestMs: AGAIN_MS,
      round: (stopped) => this.#round(stopped),
    });
  }

  /** When a round was last finished, in seconds since 1970; the start before the first. */
  get lastRun(): number {
    return this.#lastRun;
  }

  /** Events that stayed in the last round because no archive has them. */
  get unarchived(): number {
    return this.#unarchived;
  }

  start(): void {
    if (this.#options.days > 0) this.#job.start();
  }

  stop(): void {
    this.#job.stop();
  }

  async #round(stopped: AbortSignal): Promise<number> {
    const { log, days, step } = this.#options;
    let removed = 0;
    let unarchived = 0;
    let cursor: RetentionCursor | undefined;
    do {
      const begun = performance.now();
      const done = await step(cursor);
      removed += done.removed;
      unarchived += done.unarchived;
      cursor = done.next;
      if (cursor !== undefined && !(await rest(performance.now() - begun, stopped))) return 0;
    } while (cursor !== undefined);
    this.#lastRun = Date.now() / 1000;
    if (unarchived > 0 && unarchived !== this.#unarchived)
      log.warn({ unarchived }, `${unarchived} old events stay until their month is archived`);
    this.#unarchived = unarchived;
    if (removed > 0) log.info({ removed }, `removed ${removed} clicks and previews older than ${days} days`);
    return EVERY_MS;
  }
}
