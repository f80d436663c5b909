import type { HttpRequest, HttpResponse, TemplatedApp } from 'uWebSockets.js';
import type { Route } from '../api/http-series.js';
import { isIdText } from '../api/values.js';
import type { Api } from './api.js';
import { Exchange, type ExchangeHost } from './http/exchange.js';
import type { Operations } from './operations.js';
import type { Redirect } from './redirect/redirect.js';

type Handler = (exchange: Exchange) => Promise<void> | void;
type HttpMethod = 'get' | 'post' | 'put' | 'del';

interface RouteEntry {
  readonly path: string;
  readonly route: Route;
  readonly handlers: Partial<Record<HttpMethod, Handler>>;
}

const methodNames: Readonly<Record<HttpMethod, string>> = {
  get: 'GET, HEAD',
  post: 'POST',
  put: 'PUT',
  del: 'DELETE',
};

export interface RouteTargets {
  readonly redirect: Redirect;
  readonly api: Api;
  readonly operations: Operations;
  readonly host: ExchangeHost;
  readonly onFault: (error: unknown, exchange: Exchange) => void;
}

/** Every route of the contract but the redirects. A GET answers HEAD as well. */
function routeTable({ api, operations }: RouteTargets): RouteEntry[] {
  const entry = (route: Route, handlers: RouteEntry['handlers']): RouteEntry => ({
    path: route,
    route,
    handlers,
  });
  return [
    entry('/health', { get: (x) => operations.health(x) }),
    entry('/metrics', { get: (x) => operations.metrics(x) }),
    entry('/logs', { get: (x) => operations.logs(x) }),
    entry('/chaos', { get: (x) => operations.chaos(x) }),
    entry('/shorten', { post: (x) => api.shorten(x) }),
    entry('/users', { get: (x) => api.list(x, 'users'), post: (x) => api.createUser(x) }),
    entry('/users/bulk', { post: (x) => api.importUsers(x) }),
    entry('/users/:id', {
      get: (x) => api.getUser(x),
      put: (x) => api.updateUser(x),
      del: (x) => api.deleteUser(x),
    }),
    entry('/urls', { get: (x) => api.list(x, 'urls'), post: (x) => api.createUrl(x) }),
    entry('/urls/:id', {
      get: (x) => api.getUrl(x),
      put: (x) => api.updateUrl(x),
      del: (x) => api.deleteUrl(x),
    }),
    entry('/events', { get: (x) => api.list(x, 'events'), post: (x) => api.createEvent(x) }),
    entry('/events/:id', { get: (x) => api.getEvent(x), del: (x) => api.deleteEvent(x) }),
  ];
}

/** Registers all routes. Every path that is known answers every method, if only with a 405. */
export function registerRoutes(app: TemplatedApp, targets: RouteTargets): void {
  const { redirect, host } = targets;
  for (const { path, route, handlers } of routeTable(targets)) {
    const allowed = (Object.keys(handlers) as HttpMethod[]).map((method) => methodNames[method]).join(', ');
    const refuseMethod = (res: HttpResponse, req: HttpRequest): void => {
      refuse(new Exchange(res, req, route, host), allowed);
    };
    // Without a handler of its own, a GET here would be taken for one of a path with a parameter.
    if (handlers.get === undefined) app.get(path, refuseMethod).head(path, refuseMethod);
    app.any(path, refuseMethod);
    for (const [method, handler] of Object.entries(handlers) as [HttpMethod, Handler][]) {
      const handle = (res: HttpResponse, req: HttpRequest): void => {
        run(handler, new Exchange(res, req, route, host), targets);
      };
      app[method](path, handle);
      if (method === 'get') app.head(path, handle);
    }
  }
  registerRedirects(app, redirect);
  app.any('/*', (res, req) => {
    new Exchange(res, req, 'unmatched', host).fail('NOT_FOUND');
  });
}

function registerRedirects(app: TemplatedApp, redirect: Redirect): void {
  const alias: Route = '/urls/:short_code/redirect';
  for (const route of ['/:short_code', alias] as const) {
    app.any(route, (res, req) => redirect.visit(res, req, route));
  }
  if (!redirect.hasVisits) app.get('/:short_code', (res, req) => redirect.get(res, req));
}

/** An id that is no integer names no route, whatever the method. */
function refuse(exchange: Exchange, allowed: string): void {
  const isIdRoute = /^\/(users|urls|events)\/[^/]+$/.test(exchange.path) && exchange.parameter !== '';
  if (isIdRoute && !isIdText(exchange.parameter)) exchange.fail('NOT_FOUND');
  else exchange.fail('METHOD_NOT_ALLOWED', undefined, [['Allow', allowed]]);
}

function run(handler: Handler, exchange: Exchange, targets: RouteTargets): void {
  const onFault = (error: unknown): void => {
    targets.onFault(error, exchange);
    exchange.fail('INTERNAL');
  };
  try {
    handler(exchange)?.catch(onFault);
  } catch (error) {
    onFault(error);
  }
}
