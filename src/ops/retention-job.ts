import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from '../runtime/logger.js';
import type { RetentionCursor, RetentionStep } from '../store/retention.js';
import { FailureNotice } from './failure-notice.js';

export interface RetentionJobOptions {
  readonly log: Logger;
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
  readonly #notice: FailureNotice;
  readonly #stopped = new AbortController();
  #timer: NodeJS.Timeout | undefined;
  #unarchived = 0;
  /** Seconds since 1970. Before the first round, the start, from which on it is due. */
  #lastRun = Date.now() / 1000;

  constructor(options: RetentionJobOptions) {
    this.#options = options;
    this.#notice = new FailureNotice(options.log, 'old events are not removed');
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
    if (this.#options.days === 0) return;
    void this.#round();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#stopped.abort();
  }

  async #round(): Promise<void> {
    const isDone = await this.#isDone();
    if (this.#stopped.signal.aborted) return;
    this.#timer = setTimeout(() => void this.#round(), isDone ? EVERY_MS : AGAIN_MS).unref();
  }

  async #isDone(): Promise<boolean> {
    const { log, days } = this.#options;
    try {
      const removed = await this.#removeAll();
      this.#lastRun = Date.now() / 1000;
      this.#notice.succeeded();
      if (removed > 0)
        log.info({ removed }, `removed ${removed} clicks and previews older than ${days} days`);
      return true;
    } catch (error) {
      if (!this.#stopped.signal.aborted) this.#notice.failed(error);
      return false;
    }
  }

  async #removeAll(): Promise<number> {
    const { signal } = this.#stopped;
    let removed = 0;
    let unarchived = 0;
    let cursor: RetentionCursor | undefined;
    do {
      const begun = performance.now();
      const step = await this.#options.step(cursor);
      removed += step.removed;
      unarchived += step.unarchived;
      cursor = step.next;
      if (cursor !== undefined) await sleep(performance.now() - begun, undefined, { signal, ref: false });
    } while (cursor !== undefined);
    if (unarchived > 0 && unarchived !== this.#unarchived)
      this.#options.log.warn({ unarchived }, `${unarchived} old events stay until their month is archived`);
    this.#unarchived = unarchived;
    return removed;
  }
}
