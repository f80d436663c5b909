/**
 * The endpoints and statuses that requests are counted by. All are lists in the code, never what a
 * client sent, which bounds the number of series.
 */
export const methods = ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'OTHER'] as const;
export type Method = (typeof methods)[number];

export const routes = [
  '/:short_code',
  '/urls/:short_code/redirect',
  '/shorten',
  '/users',
  '/users/bulk',
  '/users/:id',
  '/urls',
  '/urls/:id',
  '/events',
  '/events/:id',
  '/health',
  '/metrics',
  '/logs',
  '/chaos',
  'unmatched',
] as const;
export type Route = (typeof routes)[number];

export const statuses = [
  200, 201, 204, 301, 302, 303, 307, 308, 400, 401, 404, 405, 408, 409, 410, 413, 500, 503,
] as const;
export type Status = (typeof statuses)[number];

/** Numbers the combinations of method, route and status, for counters in shared memory. */
export class HttpSeries<R extends string, S extends number> {
  readonly #routes: readonly R[];
  readonly #statuses: readonly S[];
  readonly count: number;

  constructor(allRoutes: readonly R[], allStatuses: readonly S[]) {
    this.#routes = allRoutes;
    this.#statuses = allStatuses;
    this.count = methods.length * allRoutes.length * allStatuses.length;
  }

  /** To be computed once and kept by whoever counts often. @throws for what is in no list. */
  indexOf(method: Method, route: R, status: S): number {
    const routeIndex = this.#routes.indexOf(route);
    const statusIndex = this.#statuses.indexOf(status);
    // Another series would be counted in its place.
    if (routeIndex < 0 || statusIndex < 0) throw new Error(`no series for ${method} ${route} ${status}`);
    const endpoint = methods.indexOf(method) * this.#routes.length + routeIndex;
    return endpoint * this.#statuses.length + statusIndex;
  }

  /** @throws when there is no such series. */
  labelsOf(index: number): { method: Method; route: R; status: S } {
    const endpoint = Math.floor(index / this.#statuses.length);
    const method = methods[Math.floor(endpoint / this.#routes.length)];
    const route = this.#routes[endpoint % this.#routes.length];
    const status = this.#statuses[index % this.#statuses.length];
    if (method === undefined || route === undefined || status === undefined) {
      throw new Error(`no series has the number ${index}`);
    }
    return { method, route, status };
  }
}

export const httpSeries = new HttpSeries(routes, statuses);
