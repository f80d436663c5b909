import { describeError } from '../runtime/describe-error.js';
import type { Logger } from '../runtime/logger.js';

/** Warns of what a job can't do: once, until it succeeds. */
export class FailureNotice {
  readonly #log: Logger;
  readonly #what: string;
  #isGiven = false;

  /** @param what What happens meanwhile, in the words of the log line. */
  constructor(log: Logger, what: string) {
    this.#log = log;
    this.#what = what;
  }

  failed(error: unknown): void {
    if (!this.#isGiven) this.#log.warn({ error }, `${this.#what}: ${describeError(error)}`);
    this.#isGiven = true;
  }

  succeeded(): void {
    this.#isGiven = false;
  }
}
