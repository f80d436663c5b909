import type { HttpRequest, HttpResponse, TemplatedApp } from 'uWebSockets.js';
import { CONSOLE_PATH, consoleRoutes } from '../api/console.js';
import { UNMATCHED } from '../api/http-series.js';
import { allowedMethods, routes } from '../api/registry.js';
import type { Method } from '../api/route.js';
import { isIdText } from '../api/values.js';
import type { Api, ApiRoute } from './api.js';
import { Exchange, type Headers } from './http/exchange.js';
import type { ExchangeRoute } from './http/exchange-route.js';
import type { GatewayState } from './http/gateway-state.js';
import { wantsPage } from './redirect/pages.js';
import { type Redirect, visitedPaths } from './redirect/redirect.js';

export interface RouteTargets {
  readonly redirect: Redirect;
  readonly api: Api;
  readonly gateway: GatewayState;
  /** Whether the console is served; otherwise its addresses are unknown ones. */
  readonly hasConsole: boolean;
  readonly onFault: (error: unknown, exchange: Exchange) => void;
}

/** The library's names of its registrations. */
const registrations = {
  GET: 'get',
  POST: 'post',
  PUT: 'put',
  PATCH: 'patch',
  DELETE: 'del',
} as const satisfies Record<Method, keyof TemplatedApp>;

/** Registers all routes. Every known path answers every method, if only with a 405. */
export function registerRoutes(app: TemplatedApp, targets: RouteTargets): void {
  const { gateway, hasConsole } = targets;
  const absent: ReadonlySet<unknown> = new Set(hasConsole ? [] : consoleRoutes);
  const apiRoutes = routes.filter(
    (route): route is ApiRoute => route.performs !== 'redirect' && !absent.has(route),
  );
  for (const path of new Set(apiRoutes.map((route) => route.path))) registerRefusal(app, path, gateway);
  for (const route of apiRoutes) registerApi(app, route, targets);
  registerRedirects(app, targets);
  if (hasConsole) registerLanding(app, gateway);
  const unmatched: ExchangeRoute = { template: UNMATCHED, headers: [], isApi: true };
  app.any('/*', (res, req) => new Exchange(res, req, unmatched, gateway).fail('NOT_FOUND'));
}

/** Answers the methods that a path lacks; its own methods are registered over this. */
function registerRefusal(app: TemplatedApp, path: ApiRoute['path'], gateway: GatewayState): void {
  const methods = allowedMethods(path);
  const allow = (gateway.cors === undefined ? methods : [...methods, 'OPTIONS']).join(', ');
  const route: ExchangeRoute = { template: path, headers: [], isApi: true };
  const refuse = (res: HttpResponse, req: HttpRequest): void => {
    const exchange = new Exchange(res, req, route, gateway);
    if (exchange.isOver) return;
    if (gateway.cors !== undefined && exchange.method === 'OPTIONS') {
      exchange.addHeaders(gateway.cors.optionsHeadersFor(path, req.getHeader('origin')));
      exchange.noContent();
      return;
    }
    // A path whose id is no integer is no route, whatever the method.
    if (path.includes('/:id') && !isIdText(exchange.parameter)) exchange.fail('NOT_FOUND');
    else exchange.fail('METHOD_NOT_ALLOWED', undefined, [['Allow', allow]]);
  };
  // Without its own handlers, such a path would match one with a parameter.
  for (const [method, registration] of Object.entries(registrations)) {
    if (!path.includes(':') && !methods.includes(method)) app[registration](path, refuse);
  }
  if (!methods.includes('HEAD')) app.head(path, refuse);
  app.any(path, refuse);
}

function registerApi(app: TemplatedApp, route: ApiRoute, { api, gateway, onFault }: RouteTargets): void {
  const exchangeRoute: ExchangeRoute = {
    ...route,
    template: route.path,
    isApi: true,
    headers: api.headersOf(route),
  };
  const handle = (res: HttpResponse, req: HttpRequest): void => {
    const exchange = new Exchange(res, req, exchangeRoute, gateway);
    if (exchange.isOver) return;
    api.answer(route, exchange).catch((error: unknown) => {
      onFault(error, exchange);
      exchange.fail('INTERNAL');
    });
    exchange.hold();
  };
  app[registrations[route.method]](route.path, handle);
  if (route.method === 'GET') app.head(route.path, handle);
}

/** A browser is redirected to the console; for programs there is nothing here, by any method. */
function registerLanding(app: TemplatedApp, gateway: GatewayState): void {
  const landing: ExchangeRoute = { template: UNMATCHED, headers: ['accept'] };
  const vary: Headers = [['Vary', 'Accept']];
  const answer = (res: HttpResponse, req: HttpRequest): void => {
    const exchange = new Exchange(res, req, landing, gateway);
    if (wantsPage(exchange)) exchange.redirect(302, CONSOLE_PATH, [['Cache-Control', 'no-cache'], ...vary]);
    else exchange.fail('NOT_FOUND', undefined, vary);
  };
  app.get('/', answer);
  app.head('/', answer);
}

/** The hot path, as raw as it can be. */
function registerRedirects(app: TemplatedApp, { redirect }: RouteTargets): void {
  for (const path of visitedPaths) app.any(path, (res, req) => redirect.visit(res, req, path));
  app.get('/:short_code', (res, req) => redirect.get(res, req));
}
