import { allowedMethods, routes } from '../../api/registry.js';
import { keyHeaders, type RouteDeclaration } from '../../api/route.js';

type Fields = readonly (readonly [name: string, value: string])[];

/** Answer headers that a page of another origin may read, besides the always readable ones. */
const EXPOSED = [
  'Content-Disposition',
  'ETag',
  'Idempotent-Replayed',
  'Link',
  'Location',
  'RateLimit',
  'RateLimit-Policy',
  'Retry-After',
  'WWW-Authenticate',
  'X-Clicks-Pending',
  'X-Request-ID',
  'X-Total-Count',
  'X-Total-Is-Minimum',
].join(', ');

/** Request headers that the API reads, without those that only redirects read. */
const READ = [
  ...new Set([
    ...(routes as readonly RouteDeclaration[]).flatMap(({ performs, headers }) =>
      performs === 'redirect' ? [] : headers,
    ),
    ...keyHeaders,
    'content-encoding',
    'x-request-id',
  ]),
]
  .sort()
  .join(', ');

/** How long a browser may cache the answer. */
const MAX_AGE_SECONDS = 600;

/** Which pages of other origins may use the API (Fetch, "CORS protocol"). Keys travel in headers: no credentials. */
export class Cors {
  readonly #origins: ReadonlySet<string>;
  readonly #isOpen: boolean;

  /** @param origins As browsers write them, or `*` for all. */
  constructor(origins: readonly string[]) {
    this.#origins = new Set(origins);
    this.#isOpen = this.#origins.has('*');
  }

  /** For any answer of the API. @param origin Of the page; empty if the request has none. */
  headersFor(origin: string): Fields {
    const allowed = this.#allowed(origin);
    const vary: Fields = this.#isOpen ? [] : [['Vary', 'Origin']];
    if (allowed === undefined) return vary;
    return [...vary, ['Access-Control-Allow-Origin', allowed], ['Access-Control-Expose-Headers', EXPOSED]];
  }

  /** For an answer to OPTIONS on a path of the API, in addition to those for any answer. */
  optionsHeadersFor(path: string, origin: string): Fields {
    const methods = allowedMethods(path).join(', ');
    const allow: Fields = [['Allow', `${methods}, OPTIONS`]];
    if (this.#allowed(origin) === undefined) return allow;
    return [
      ...allow,
      ['Access-Control-Allow-Methods', methods],
      ['Access-Control-Allow-Headers', READ],
      ['Access-Control-Max-Age', String(MAX_AGE_SECONDS)],
    ];
  }

  #allowed(origin: string): string | undefined {
    if (this.#isOpen) return '*';
    return this.#origins.has(origin) ? origin : undefined;
  }
}
