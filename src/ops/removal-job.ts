import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from '../runtime/logger.js';
import type { RemovalStep } from '../store/removal.js';
import { FailureNotice } from './failure-notice.js';

export interface RemovalJobOptions {
  readonly log: Logger;
  /** Whether PostgreSQL can be reached; otherwise there is nothing to do. */
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
export class RemovalJob {
  readonly #options: RemovalJobOptions;
  readonly #notice: FailureNotice;
  readonly #stopped = new AbortController();

  constructor(options: RemovalJobOptions) {
    this.#options = options;
    this.#notice = new FailureNotice(options.log, 'the events of deleted links are not removed');
  }

  start(): void {
    void this.#run();
  }

  stop(): void {
    this.#stopped.abort();
  }

  async #run(): Promise<void> {
    while (!this.#stopped.signal.aborted) {
      if (this.#options.isUp()) await this.#round();
      await this.#rest(EVERY_MS);
    }
  }

  async #round(): Promise<void> {
    const { log, step } = this.#options;
    let removed = 0;
    let links = 0;
    try {
      for (let isMore = true; isMore && !this.#stopped.signal.aborted; ) {
        const begun = performance.now();
        const done = await step();
        removed += done.removed;
        links += done.finished;
        isMore = done.isMore;
        if (isMore) await this.#rest((performance.now() - begun) / 2);
      }
      this.#notice.succeeded();
    } catch (error) {
      if (!this.#stopped.signal.aborted) this.#notice.failed(error);
    }
    if (links > 0) log.info({ links, removed }, `removed ${removed} events of ${links} deleted links`);
  }

  async #rest(ms: number): Promise<void> {
    const { signal } = this.#stopped;
    await sleep(ms, undefined, { signal, ref: false }).catch(() => undefined);
  }
}
