import type { Route } from '../../api/http-series.js';
import type { RequestHeader } from '../../api/route.js';
import type { ThreadCounters } from '../../memory/counters.js';
import type { ClientAddresses } from './client-address.js';
import type { Cors } from './cors.js';
import type { RequestLog } from './request-log.js';

/** Shared by all exchanges of a gateway. */
export interface ExchangeHost {
  readonly counters: ThreadCounters;
  readonly requestLog: RequestLog;
  readonly addresses: ClientAddresses;
  /** Present if pages of other origins may use the API. */
  readonly cors: Cors | undefined;
  /** Open exchanges; a drain waits for them. */
  open: number;
  /** Set when the server stops: connections then close after their answer. */
  isDraining: boolean;
  /** Bytes answered since the last check of whether a connection reads. */
  unprovedBytes: number;
}

/** What an exchange needs to know about its route. */
export interface ExchangeRoute {
  readonly template: Route;
  /** Request headers that the route reads; the exchange keeps no others. */
  readonly headers: readonly RequestHeader[];
  readonly usesOrigin?: boolean;
  readonly isQuiet?: boolean;
  /** Whether its handler reads the path's parameter by itself. */
  readonly readsParameter?: boolean;
  /** Whether pages of other origins may use it, if CORS is on. */
  readonly isApi?: boolean;
}
