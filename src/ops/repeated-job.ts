import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from '../runtime/logger.js';
import { FailureNotice } from './failure-notice.js';

export interface RepeatedJobOptions {
  readonly log: Logger;
  /** What happens while the job fails, in the words of the log line. */
  readonly trouble: string;
  /** Whether PostgreSQL can be reached; otherwise there is nothing to do. */
  readonly isUp: () => boolean;
  /** Does what there is to do, unless it is stopped meanwhile. @returns the rest until the next round, ms. */
  readonly round: (stopped: AbortSignal) => Promise<number>;
  /** The rest before the first round, ms. */
  readonly firstRestMs: number;
  /** The rest after a failure, and while PostgreSQL can't be reached, ms. */
  readonly failureRestMs: number;
}

/** What a server does again and again for itself, in rounds that never overlap. */
export class RepeatedJob {
  readonly #options: RepeatedJobOptions;
  readonly #notice: FailureNotice;
  readonly #stopped = new AbortController();

  constructor(options: RepeatedJobOptions) {
    this.#options = options;
    this.#notice = new FailureNotice(options.log, options.trouble);
  }

  start(): void {
    void this.#run();
  }

  /** Begins no further round; one under way is not waited for. */
  stop(): void {
    this.#stopped.abort();
  }

  async #run(): Promise<void> {
    let restMs = this.#options.firstRestMs;
    while (await rest(restMs, this.#stopped.signal)) restMs = await this.#round();
  }

  async #round(): Promise<number> {
    const { isUp, round, failureRestMs } = this.#options;
    const { signal } = this.#stopped;
    if (!isUp()) return failureRestMs;
    try {
      const restMs = await round(signal);
      this.#notice.succeeded();
      return restMs;
    } catch (error) {
      if (!signal.aborted) this.#notice.failed(error);
      return failureRestMs;
    }
  }
}

/** @returns whether the job goes on. */
export async function rest(ms: number, stopped: AbortSignal): Promise<boolean> {
  await sleep(ms, undefined, { signal: stopped, ref: false }).catch(() => undefined);
  return !stopped.aborted;
}
