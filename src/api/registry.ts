import { bulkLinkRoutes } from './bulk-links.js';
import { consoleRoutes } from './console.js';
import { crawlerRoutes } from './crawlers.js';
import { docsRoutes } from './docs.js';
import { eventRoutes } from './events.js';
import { keyRoutes } from './keys.js';
import { linkRoutes } from './links.js';
import { liveRoutes } from './live.js';
import { operationsRoutes } from './operations.js';
import { qrRoutes } from './qr.js';
import { redirectRoutes } from './redirects.js';
import {
  type InputOf,
  keyHeaders,
  type Method,
  type RequestHeader,
  type RouteDeclaration,
  requestHeaders,
} from './route.js';
import { statsRoutes } from './stats.js';
import { userRoutes } from './users.js';

/**
 * All routes. Routing, refusals, checks, metric labels, reserved words, the proxy's patterns and the
 * documents' tables derive from it.
 */
export const routes = [
  ...redirectRoutes,
  ...linkRoutes,
  ...bulkLinkRoutes,
  ...qrRoutes,
  ...statsRoutes,
  ...userRoutes,
  ...eventRoutes,
  ...keyRoutes,
  ...liveRoutes,
  ...operationsRoutes,
  ...crawlerRoutes,
  ...docsRoutes,
  ...consoleRoutes,
] as const satisfies readonly RouteDeclaration[];

export type AnyRoute = (typeof routes)[number];

type RoutesOf<Performs extends RouteDeclaration['performs']> = Extract<AnyRoute, { performs: Performs }>;

/** The operations that a worker can perform in one call. */
export type OperationName = RoutesOf<'call' | 'list'>['operation'];
export type ListName = RoutesOf<'list'>['operation'];
export type ImportName = RoutesOf<'import'>['operation'];
/** The operations that the gateway answers itself. */
export type LocalName = RoutesOf<'local'>['operation'];

/** The routes that perform an operation. */
export type RouteOf<Name extends string> = Extract<AnyRoute, { operation: Name }>;

type DistributedInput<R> = R extends unknown ? InputOf<R> : never;

/** An operation's input: the same for each of its routes. */
export type InputFor<Name extends string> = DistributedInput<RouteOf<Name>>;

/** The methods of a path in the order of an `Allow` header, HEAD among them where GET is served. */
export function allowedMethods(path: string): string[] {
  const order: readonly Method[] = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'];
  const methods = new Set<Method>(routes.filter((one) => one.path === path).map(({ method }) => method));
  return order.flatMap((method) => {
    if (!methods.has(method)) return [];
    return method === 'GET' ? ['GET', 'HEAD'] : [method];
  });
}

/** First segments of all paths but the short codes' own. */
export const routeWords: readonly string[] = [
  ...new Set(
    (routes as readonly RouteDeclaration[])
      .map(({ path }) => path.split('/')[1] ?? '')
      .filter((segment) => !segment.startsWith(':')),
  ),
];

/** Files that browsers and crawlers request by themselves, and words reserved for future routes. */
const keptWords = [
  'robots.txt',
  'favicon.ico',
  'apple-touch-icon.png',
  'apple-touch-icon-precomposed.png',
  'sitemap.xml',
  'admin',
  'api',
  'app',
  'assets',
  'console',
  'domains',
  'login',
  'static',
  'tags',
  'webhooks',
  'well-known',
];

const reserved: ReadonlySet<string> = new Set(
  [...routeWords, ...keptWords].map((word) => word.toLowerCase()),
);

/** Words that no short code may be, in lower case. */
export const reservedWords: readonly string[] = [...reserved].sort();

/** Whether a short code is the first segment of a present or future path, in any letter case. */
export function isReserved(shortCode: string): boolean {
  return reserved.has(shortCode.toLowerCase());
}

/** Request headers that any route reads, with the longest value that matters. */
export const forwardedHeaders: readonly (readonly [name: RequestHeader, maxLength: number])[] = (
  Object.entries(requestHeaders) as [RequestHeader, number][]
).filter(
  ([name]) =>
    keyHeaders.some((one) => one === name) ||
    (routes as readonly RouteDeclaration[]).some(({ headers }) => headers.includes(name)),
);
