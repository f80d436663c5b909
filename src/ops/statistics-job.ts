import type { StatisticsOutcome } from '../messages/statistics.js';
import type { Logger } from '../runtime/logger.js';
import { FailureNotice } from './failure-notice.js';

export interface StatisticsJobOptions {
  readonly log: Logger;
  /** Whether PostgreSQL can be reached; otherwise there is nothing to do. */
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
export class StatisticsJob {
  readonly #options: StatisticsJobOptions;
  readonly #notice: FailureNotice;
  #timer: NodeJS.Timeout | undefined;
  #isBuilding = false;

  constructor(options: StatisticsJobOptions) {
    this.#options = options;
    this.#notice = new FailureNotice(options.log, 'statistics fall behind');
  }

  start(): void {
    this.#rest(MIN_REST_MS);
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #rest(ms: number): void {
    this.#timer = setTimeout(() => void this.#tick(), ms);
  }

  async #tick(): Promise<void> {
    const startMs = performance.now();
    if (this.#options.isUp()) await this.#step();
    const workedMs = performance.now() - startMs;
    const restMs = Math.min(Math.max(workedMs * REST_A_WORK, MIN_REST_MS), MAX_REST_MS);
    if (this.#timer !== undefined) this.#rest(restMs);
  }

  async #step(): Promise<void> {
    try {
      let step = await this.#options.add();
      while (step.hasMore && this.#timer !== undefined) step = await this.#options.add();
      this.#notice.succeeded();
      if (!step.isBuilt) void this.#build();
    } catch (error) {
      this.#fail(error);
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

  #fail(error: unknown): void {
    if (this.#timer !== undefined) this.#notice.failed(error);
  }
}
