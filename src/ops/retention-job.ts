import type { Logger } from '../runtime/logger.js';
import type { ClickChunksStep } from '../store/click-chunks.js';
import type { RetentionCursor, RetentionStep } from '../store/retention.js';
import { RepeatedJob, rest } from './repeated-job.js';

export interface RetentionJobOptions {
  readonly log: Logger;
  readonly isUp: () => boolean;
  /** EVENTS_RETENTION_DAYS; 0: nothing is removed for its age. */
  readonly days: number;
  /** CLICK_EVENTS. */
  readonly areClicksKept: boolean;
  /** Removes a piece of old events. */
  readonly step: (cursor: RetentionCursor | undefined) => Promise<RetentionStep>;
  /** Removes the clicks of full chunks, and ends the newest one when it has had some for so long. */
  readonly removeClicks: (stayMs: number) => Promise<ClickChunksStep>;
}

const EVERY_MS = 3_600_000;
/** After a failure. */
const AGAIN_MS = 60_000;

/** Where clicks are not kept: how long they stay that do not fill a chunk, and how often full ones are looked for. */
const CLICKS_STAY_MS = 10_000;
const CLICKS_EVERY_MS = 1000;
/** A drop makes others wait for a moment: one that had to be given up is not tried again at once. */
const BLOCKED_MS = 10_000;
const CLICKS_AGAIN_MS = 5000;
const DAY_MS = 86_400_000;

/**
 * Has a worker remove old clicks and previews at the start and every hour, piece by piece: between two pieces
 * it rests as long as the last one took. Where clicks are not kept, full chunks are emptied every second; the hourly rounds
 * remove what could not go so.
 */
export class RetentionJob {
  readonly #options: RetentionJobOptions;
  readonly #job: RepeatedJob;
  #unarchived = 0;
  /** Seconds since 1970. Before the first round, the start, from which on it is due. */
  #lastRun = Date.now() / 1000;
  /** By `performance.now()`. */
  #nextRoundMs = Number.NEGATIVE_INFINITY;
  #nextClicksMs = Number.NEGATIVE_INFINITY;

  constructor(options: RetentionJobOptions) {
    const { log, isUp, areClicksKept } = options;
    this.#options = options;
    this.#job = new RepeatedJob({
      log,
      trouble: 'old events are not removed',
      isUp,
      firstRestMs: 0,
      failureRestMs: areClicksKept ? AGAIN_MS : CLICKS_AGAIN_MS,
      round: (stopped) => (areClicksKept ? this.#round(stopped) : this.#clicksRound(stopped)),
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

  /** How many days clicks stay; 0: for ever. */
  get days(): number {
    const { days, areClicksKept } = this.#options;
    return areClicksKept ? days : CLICKS_STAY_MS / DAY_MS;
  }

  start(): void {
    if (this.days > 0) this.#job.start();
  }

  stop(): void {
    this.#job.stop();
  }

  /** What can go as a whole goes first. */
  async #clicksRound(stopped: AbortSignal): Promise<number> {
    await this.#removeClicks(stopped);
    if (performance.now() >= this.#nextRoundMs) {
      await this.#round(stopped, () => this.#removeClicks(stopped));
      this.#nextRoundMs = performance.now() + EVERY_MS;
    }
    return CLICKS_EVERY_MS;
  }

  async #removeClicks(stopped: AbortSignal): Promise<void> {
    while (performance.now() >= this.#nextClicksMs && !stopped.aborted) {
      const { isMore, isBlocked } = await this.#options.removeClicks(CLICKS_STAY_MS);
      if (isMore) continue;
      this.#nextClicksMs = performance.now() + (isBlocked ? BLOCKED_MS : CLICKS_EVERY_MS / 2);
    }
  }

  /** @param between Runs between two pieces. */
  async #round(stopped: AbortSignal, between?: () => Promise<void>): Promise<number> {
    const { log, days, areClicksKept, step } = this.#options;
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
      await between?.();
    } while (cursor !== undefined);
    this.#lastRun = Date.now() / 1000;
    if (unarchived > 0 && unarchived !== this.#unarchived)
      log.warn({ unarchived }, `${unarchived} old events stay until their month is archived`);
    this.#unarchived = unarchived;
    const which = areClicksKept ? `older than ${days} days` : 'row by row';
    if (removed > 0) log.info({ removed }, `removed ${removed} clicks and previews ${which}`);
    return EVERY_MS;
  }
}
