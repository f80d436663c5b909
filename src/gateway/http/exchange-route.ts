import type { Route } from '../../api/http-series.js';
import type { RequestHeader } from '../../api/route.js';

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
