import type { StatisticsOutcome } from '../messages/statistics.js';
import { describeError } from '../runtime/describe-error.js';
import type { Logger } from '../runtime/logger.js';

export interface StatisticsJobOptions {
  readonly log: Logger;
  /** Whether PostgreSQL can be reached; else there is nothing to do. */
  readonly isUp: () => boolean;
  readonly add: () => Promise<StatisticsOutcome>;
  readonly build: () => Promise<void>;
}

/** How often the queue is looked at. */
const EVERY_MS = 1000;

/** Has the statistics' sums kept up, a step a second; more while there is more. The work itself is a worker's. */
export class StatisticsJob {
  readonly #options: StatisticsJobOptions;
  #timer: NodeJS.Timeout | undefined;
  #isRunning = false;
  #isBuilding = false;
  #hasFailed = false;

  constructor(options: StatisticsJobOptions) {
    this.#options = options;
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
      let step = await this.#options.add();
      while (step.hasMore && this.#timer !== undefined) step = await this.#options.add();
      this.#hasFailed = false;
      if (!step.isBuilt) void this.#build();
    } catch (error) {
      this.#fail(error);
    } finally {
      this.#isRunning = false;
    }
  }

  async #build(): Promise<void> {
    if (this.#isBuilding) return;
    this.#isBuilding = true;
    try {
      await this.#options.build();
    } catch (error) {
      this.#fail(error);
    } finally {
      this.#isBuilding = false;
    }
  }

  /** Said once, until a step succeeds. */
  #fail(error: unknown): void {
    if (this.#hasFailed || this.#timer === undefined) return;
    this.#hasFailed = true;
    this.#options.log.warn({ error }, `statistics fall behind: ${describeError(error)}`);
  }
}
