import type { HttpRequest, HttpResponse } from 'uWebSockets.js';
import { touchIcon } from '../../api/crawlers.js';
import { isReserved, type RouteOf } from '../../api/registry.js';
import { isWellFormed } from '../../api/values.js';
import type { Visit } from '../../journal/recorder.js';
import type { ClickJournal } from '../../journal/writer.js';
import { Scalar } from '../../memory/counters.js';
import type { BodyReader } from '../http/body-reader.js';
import { Exchange } from '../http/exchange.js';
import type { ExchangeRoute } from '../http/exchange-route.js';
import type { GatewayState } from '../http/gateway-state.js';
import { names } from '../http/request-head.js';
import { BLANK, PROOF_BYTES } from '../http/unread.js';
import type { CodeResolver } from './code-resolver.js';
import type { CachedLink, LinkCache } from './link-cache.js';
import { isPrefetch, type PendingVisit } from './pending-visit.js';
import type { Turn } from './turn.js';
import type { Answers } from './visit-answers.js';
import type { VisitReader } from './visit-reader.js';

type VisitedRoute = RouteOf<'redirect'>['path'];

const HITS = Scalar.redirectHits;

/** No code is longer than 128 characters; anything longer than this is not looked up. */
const CODE_MAX = 255;

/** Paths that lead to a link: those of its routes, and one with a slash by mistake. */
export const visitedPaths = [
  '/:short_code',
  '/:short_code/',
  '/urls/:short_code/redirect',
] as const satisfies (VisitedRoute | '/:short_code/')[];
export type VisitedPath = (typeof visitedPaths)[number];

/** What to read of a request, depending on what is known about its link. */
interface ExchangeRoutes {
  readonly plain: ExchangeRoute;
  /** For a link that has a password, or may have one. */
  readonly guarded: ExchangeRoute;
  readonly preview: ExchangeRoute;
}

function exchangeRoutesOf(template: VisitedRoute): ExchangeRoutes {
  const plain = { template, headers: [], isQuiet: true, readsParameter: true } as const;
  const guarded = { ...plain, headers: ['accept', 'content-type', 'x-link-password'] } as const;
  return { plain, guarded, preview: { ...guarded, usesOrigin: true } };
}

const exchangeRoutes: Readonly<Record<VisitedPath, ExchangeRoutes>> = {
  '/:short_code': exchangeRoutesOf('/:short_code'),
  '/:short_code/': exchangeRoutesOf('/:short_code'),
  '/urls/:short_code/redirect': exchangeRoutesOf('/urls/:short_code/redirect'),
};

export interface RedirectOptions {
  readonly cache: LinkCache;
  readonly journal: ClickJournal;
  readonly turn: Turn;
  readonly answers: Answers;
  readonly resolver: CodeResolver;
  readonly gateway: GatewayState;
  readonly bodies: BodyReader;
  /** Of a form's body. */
  readonly formBytes: number;
  /** Present if a click says more than its link. */
  readonly visits: VisitReader | undefined;
}

/**
 * The redirect.
 *
 * The handler itself answers a hit: one look-up, one click noted, two calls into the library; no promise, no
 * closure, no log line, and the clock is read once a turn. Everything else is a pending visit.
 */
export class Redirect {
  readonly #cache: LinkCache;
  readonly #journal: ClickJournal;
  readonly #turn: Turn;
  readonly #answers: Answers;
  readonly #resolver: CodeResolver;
  readonly #gateway: GatewayState;
  readonly #bodies: BodyReader;
  readonly #formBytes: number;
  readonly #cells: Float64Array;
  readonly #visits: VisitReader | undefined;

  constructor(options: RedirectOptions) {
    this.#cache = options.cache;
    this.#journal = options.journal;
    this.#turn = options.turn;
    this.#answers = options.answers;
    this.#resolver = options.resolver;
    this.#gateway = options.gateway;
    this.#bodies = options.bodies;
    this.#formBytes = options.formBytes;
    this.#cells = options.gateway.counters.cells;
    this.#visits = options.visits;
  }

  /** GET /<short_code>. One with a body needs care: a proxy may see its end elsewhere. */
  get(res: HttpResponse, req: HttpRequest): void {
    const turn = this.#turn;
    if (!turn.isOpen) turn.begin();
    const link = this.#cache.lookup(req.getParameter(0) as string, turn.nowSeconds);
    if (link === undefined || isPrefetch(req) || req.getHeader(names.length) !== '') {
      this.visit(res, req, '/:short_code');
      return;
    }
    const { head } = link;
    const noted = this.#visits?.read(res, req);
    this.#gateway.unprovedBytes += head.length;
    if (this.#gateway.unprovedBytes > PROOF_BYTES) {
      this.#answerProved(res, link, head, noted);
      return;
    }
    turn.countHit(link.statusIndex);
    if (noted === undefined) this.#journal.record(link);
    else this.#journal.recordVisit(link, noted);
    // Two calls where status and header apart would be three, each with a text to be converted.
    res.writeStatus(head).endWithoutBody(0, this.#gateway.isDraining);
  }

  /**
   * The same in two parts, because then the library reveals whether the connection has read earlier answers.
   * If not, it is cut, and there was no click.
   */
  #answerProved(res: HttpResponse, link: CachedLink, head: string, noted: Visit | undefined): void {
    this.#gateway.unprovedBytes = 0;
    const [isRead] = res.writeStatus(head).tryEnd(BLANK.slice(1), BLANK.length);
    if (!isRead) {
      this.#gateway.counters.add('connectionsUnread');
      res.close();
      return;
    }
    this.#turn.countHit(link.statusIndex);
    if (noted === undefined) this.#journal.record(link);
    else this.#journal.recordVisit(link, noted);
    const [isWritten] = res.tryEnd(BLANK.slice(1), BLANK.length);
    if (!isWritten) res.close();
  }

  /** The same for any method and path, and for links of any kind. */
  visit(res: HttpResponse, req: HttpRequest, path: VisitedPath): void {
    const parameter = req.getParameter(0) ?? '';
    const shortCode = decodeCode(path === '/:short_code/' ? `${parameter}/` : parameter);
    const link = shortCode === undefined ? undefined : this.#cache.lookupAny(shortCode);
    const previewCode = path === '/:short_code' ? previewCodeOf(shortCode) : undefined;
    const routes = exchangeRoutes[path];
    const isPlain = link !== undefined && !link.options.hasPassword && !link.options.isLimited;
    const exchange = new Exchange(res, req, routeOf(routes, isPlain, previewCode), this.#gateway);
    if (exchange.isOver) return;
    if (shortCode !== undefined && touchIcon.test(shortCode)) {
      exchange.fail('NOT_FOUND');
      return;
    }
    if (exchange.method === 'OPTIONS') {
      exchange.fail('METHOD_NOT_ALLOWED', undefined, [['Allow', 'GET, HEAD']]);
      return;
    }
    const visit: PendingVisit = {
      exchange,
      noted: this.#visits?.read(res, req),
      isPrefetch: isPrefetch(req),
      form: isPlain || !hasForm(exchange) ? undefined : this.#bodies.read(exchange, this.#formBytes),
      previewCode,
    };
    if (shortCode === undefined || isRouteWithSlash(shortCode)) {
      if (shortCode !== undefined || parameter === '') exchange.fail('NOT_FOUND');
      else this.#answers.unknown(visit);
      return;
    }
    if (link === undefined) {
      this.#resolver.resolve(shortCode, visit);
      exchange.hold();
      return;
    }
    this.#cells[HITS] = (this.#cells[HITS] as number) + 1;
    this.#answers.follow(visit, link);
    exchange.hold();
  }
}

function routeOf(routes: ExchangeRoutes, isPlain: boolean, previewCode: string | undefined): ExchangeRoute {
  if (isPlain) return routes.plain;
  return previewCode === undefined ? routes.guarded : routes.preview;
}

function hasForm(exchange: Exchange): boolean {
  return (
    exchange.method === 'POST' &&
    /^application\/x-www-form-urlencoded\s*(;|$)/i.test(exchange.header('content-type'))
  );
}

/** The code before a `+`, which asks where a link leads; a code that ends so itself comes first. */
function previewCodeOf(shortCode: string | undefined): string | undefined {
  return shortCode?.endsWith('+') === true && shortCode !== '+' ? shortCode.slice(0, -1) : undefined;
}

/** `/users/` is not a code with an extra slash. */
function isRouteWithSlash(shortCode: string): boolean {
  return shortCode.endsWith('/') && isReserved(shortCode.slice(0, -1));
}

/**
 * A code may be written with percent signs: it is the same code. None has a line break, which would end it on its way
 * to a worker.
 */
function decodeCode(parameter: string): string | undefined {
  let code = parameter;
  if (parameter.includes('%')) {
    try {
      code = decodeURIComponent(parameter);
    } catch {
      return undefined;
    }
  }
  const isUsable = code !== '' && code.length <= CODE_MAX && isWellFormed(code) && !code.includes('\n');
  return isUsable ? code : undefined;
}
