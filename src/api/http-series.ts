import { type AnyRoute, routes } from './registry.js';
import { statuses } from './statuses.js';

/**
 * The endpoints and statuses by which requests are counted. All come from lists in the code, such as the registry's
 * templates, and never from a client, which bounds the number of series.
 */
export const methods = ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'OTHER'] as const;
export type Method = (typeof methods)[number];

/** The label of a request that no route has. */
export const UNMATCHED = 'unmatched';

/** A route's template. */
export type Route = AnyRoute['path'] | typeof UNMATCHED;

/** Numbers the combinations of method, route and status, for counters in shared memory. */
export class HttpSeries<R extends string, S extends number> {
  readonly #routes: readonly R[];
  readonly #statuses: readonly S[];
  readonly #methodPlaces = placesOf(methods);
  readonly #routePlaces: ReadonlyMap<R, number>;
  readonly #statusPlaces: ReadonlyMap<S, number>;
  readonly count: number;

  constructor(allRoutes: readonly R[], allStatuses: readonly S[]) {
    this.#routes = allRoutes;
    this.#statuses = allStatuses;
    this.#routePlaces = placesOf(allRoutes);
    this.#statusPlaces = placesOf(allStatuses);
    this.count = methods.length * allRoutes.length * allStatuses.length;
  }

  /** Compute it once and keep it. @throws for a value that is in none of the lists. */
  indexOf(method: Method, route: R, status: S): number {
    const methodIndex = this.#methodPlaces.get(method);
    const routeIndex = this.#routePlaces.get(route);
    const statusIndex = this.#statusPlaces.get(status);
    // Another series would be counted in its place.
    if (methodIndex === undefined || routeIndex === undefined || statusIndex === undefined)
      throw new Error(`no series for ${method} ${route} ${status}`);
    const endpoint = methodIndex * this.#routes.length + routeIndex;
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

function placesOf<T>(list: readonly T[]): ReadonlyMap<T, number> {
  return new Map(list.map((item, place) => [item, place]));
}

const templates: readonly Route[] = [...new Set<Route>(routes.map(({ path }) => path)), UNMATCHED];

export const httpSeries = new HttpSeries(templates, statuses);
