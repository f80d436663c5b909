import type { Route, Status } from '../../api/http-series.js';
import type { ThreadCounters } from '../../memory/counters.js';
import { type Logger, thisPlace } from '../../runtime/logger.js';
import type { Exchange } from './exchange.js';

/** Asked for every few seconds by machines; their lines would push everything else out of the ring. */
const quietRoutes: ReadonlySet<Route> = new Set(['/health', '/metrics', '/logs']);
/** The hot path's misses; a flood of unknown codes must not become a flood of lines. */
const debugRoutes: ReadonlySet<Route> = new Set(['/:short_code', '/urls/:short_code/redirect']);

const place = thisPlace();

/**
 * One line for each API request, and at most so many a second: under load the counters tell what is
 * going on, and a line costs more than many a request.
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

  note(exchange: Exchange, route: Route, status: Status, milliseconds: number): void {
    const isFailure = status >= 500;
    if (!isFailure && (quietRoutes.has(route) || debugRoutes.has(route))) {
      if (!this.#log.isLevelEnabled('debug')) return;
    }
    if (!this.#mayWrite()) return;
    const fields = {
      ...place,
      method: exchange.method,
      path: exchange.path.slice(0, 500),
      route,
      status,
      duration_ms: Math.round(milliseconds * 1000) / 1000,
      request_id: exchange.requestId,
    };
    const message = `${fields.method} ${fields.path} ${status}`;
    if (status === 500) this.#log.error(fields, message);
    else if (isFailure) this.#log.warn(fields, message);
    else if (quietRoutes.has(route) || debugRoutes.has(route)) this.#log.debug(fields, message);
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
