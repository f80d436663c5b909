import type { Route } from '../../api/http-series.js';
import type { Status } from '../../api/statuses.js';
import type { ThreadCounters } from '../../memory/counters.js';
import { type Logger, thisPlace } from '../../runtime/logger.js';

/** What a log line says about a request. */
export interface LoggedRequest {
  readonly method: string;
  readonly path: string;
  readonly requestId: string;
}

const place = thisPlace();

/**
 * One line for each API request, up to a limit a second: under load the counters show what is going on, and a
 * line costs more than many a request.
 */
export class RequestLog {
  readonly #log: Logger;
  readonly #counters: ThreadCounters;
  readonly #perSecond: number;
  #second = 0;
  #written = 0;

  constructor(log: Logger, counters: ThreadCounters, perSecond: number) {
    this.#log = log;
    this.#counters = counters;
    this.#perSecond = perSecond;
  }

  /** @param isQuiet For a route whose lines would push everything else out of the ring. */
  note(request: LoggedRequest, route: Route, isQuiet: boolean, status: Status, milliseconds: number): void {
    const isFailure = status >= 500;
    if (!isFailure && isQuiet && !this.#log.isLevelEnabled('debug')) return;
    if (!this.#mayWrite()) return;
    const fields = {
      ...place,
      method: request.method,
      path: request.path.slice(0, 500),
      route,
      status,
      duration_ms: Math.round(milliseconds * 1000) / 1000,
      request_id: request.requestId,
    };
    const message = `${fields.method} ${fields.path} ${status}`;
    if (status === 500) this.#log.error(fields, message);
    else if (isFailure) this.#log.warn(fields, message);
    else if (isQuiet) this.#log.debug(fields, message);
    else this.#log.info(fields, message);
  }

  #mayWrite(): boolean {
    const second = Math.floor(performance.now() / 1000);
    if (second !== this.#second) {
      this.#second = second;
      this.#written = 0;
    }
    this.#written += 1;
    if (this.#written <= this.#perSecond) return true;
    this.#counters.add('logLinesSuppressed');
    return false;
  }
}
