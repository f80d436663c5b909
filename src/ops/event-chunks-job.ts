import type { Logger } from '../runtime/logger.js';
import { FailureNotice } from './failure-notice.js';

export interface EventChunksJobOptions {
  readonly log: Logger;
  /** Whether PostgreSQL can be reached; otherwise there is nothing to do. */
  readonly isUp: () => boolean;
  /** Settles with whether another chunk may be full. */
  readonly keep: () => Promise<boolean>;
}

/** The chunks made ahead hold the clicks of this time many times over. */
const EVERY_MS = 1000;

/** Has a worker make chunks of events ahead of the clicks, and seal full ones. */
export class EventChunksJob {
  readonly #options: EventChunksJobOptions;
  readonly #notice: FailureNotice;
  #timer: NodeJS.Timeout | undefined;
  #isRunning = false;

  constructor(options: EventChunksJobOptions) {
    this.#options = options;
    this.#notice = new FailureNotice(options.log, 'chunks of events are neither made nor sealed');
  }

  start(): void {
    this.#timer = setInterval(() => void this.#tick(), EVERY_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  async #tick(): Promise<void> {
    if (this.#isRunning || !this.#options.isUp()) return;
    this.#isRunning = true;
    try {
      while (await this.#options.keep()) if (this.#timer === undefined) break;
      this.#notice.succeeded();
    } catch (error) {
      if (this.#timer !== undefined) this.#notice.failed(error);
    } finally {
      this.#isRunning = false;
    }
  }
}
