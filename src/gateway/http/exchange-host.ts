import type { Route } from '../../api/http-series.js';
import type { RequestHeader } from '../../api/route.js';
import type { ThreadCounters } from '../../memory/counters.js';
import type { ClientAddresses } from './client-address.js';
import type { Cors } from './cors.js';
import type { RequestLog } from './request-log.js';

/** What every exchange of a gateway shares. */
export interface ExchangeHost {
  readonly counters: ThreadCounters;
  readonly requestLog: RequestLog;
  readonly addresses: ClientAddresses;
  /** Where pages of other origins may use the API. */
  readonly cors: Cors | undefined;
  /** Exchanges that have begun and not ended; a drain waits for them. */
  open: number;
  /** Set when the server stops: connections are closed after their answer. */
  isDraining: boolean;
  /** Bytes answered since a connection was last found to have read what came before. */
  unprovedBytes: number;
}

/** What an exchange has to know of its route. */
export interface ExchangeRoute {
  readonly template: Route;
  /** Request headers that the route reads; no others are kept. */
  readonly headers: readonly RequestHeader[];
  readonly usesOrigin?: boolean;
  readonly isQuiet?: boolean;
  /** Whether pages of other origins may use it, where any may. */
  readonly isApi?: boolean;
}
