import type { HttpRequest, HttpResponse } from 'uWebSockets.js';
import type { RouteOf } from '../../api/registry.js';
import { isWellFormed } from '../../api/values.js';
import type { ClickJournal } from '../../journal/writer.js';
import { Scalar } from '../../memory/counters.js';
import { BLANK, Exchange, type ExchangeHost, type ExchangeRoute, PROOF_BYTES } from '../http/exchange.js';
import type { CodeResolver } from './code-resolver.js';
import type { CachedLink, LinkCache } from './link-cache.js';
import { isPrefetch, type PendingVisit } from './pending-visit.js';
import type { Turn } from './turn.js';
import type { Answers } from './visit-answers.js';
import type { VisitReader } from './visit-reader.js';

type VisitedPath = RouteOf<'redirect'>['path'];

const HITS = Scalar.redirectHits;

/** No code is longer than 128 characters; what is longer than this is not looked up. */
const CODE_MAX = 255;

const exchangeRoutes = {
  '/:short_code': { template: '/:short_code', headers: [], isQuiet: true },
  '/urls/:short_code/redirect': { template: '/urls/:short_code/redirect', headers: [], isQuiet: true },
} as const satisfies Record<VisitedPath, ExchangeRoute>;

export interface RedirectOptions {
  readonly cache: LinkCache;
  readonly journal: ClickJournal;
  readonly turn: Turn;
  readonly answers: Answers;
  readonly resolver: CodeResolver;
  readonly host: ExchangeHost;
  /** Where a click is to say more than its link. */
  readonly visits: VisitReader | undefined;
}

/**
 * The redirect.
 *
 * A hit is answered in the handler itself: one lookup, one click noted, two calls into the library;
 * no promise, no closure, no log line, and the clock is read once a turn. All else is a pending visit.
 */
export class Redirect {
  readonly #cache: LinkCache;
  readonly #journal: ClickJournal;
  readonly #turn: Turn;
  readonly #answers: Answers;
  readonly #resolver: CodeResolver;
  readonly #host: ExchangeHost;
  readonly #cells: Float64Array;
  readonly #visits: VisitReader | undefined;

  constructor(options: RedirectOptions) {
    this.#cache = options.cache;
    this.#journal = options.journal;
    this.#turn = options.turn;
    this.#answers = options.answers;
    this.#resolver = options.resolver;
    this.#host = options.host;
    this.#cells = options.host.counters.cells;
    this.#visits = options.visits;
  }

  /** Whether a click is to say more than its link; then `get` is not for use, but `visit`. */
  get hasVisits(): boolean {
    return this.#visits !== undefined;
  }

  /** GET /<short_code>. One with a body is looked at with care: it may end elsewhere for a proxy. */
  get(res: HttpResponse, req: HttpRequest): void {
    const turn = this.#turn;
    if (!turn.isOpen) turn.begin();
    const link = this.#cache.lookup(req.getParameter(0) as string, turn.nowSeconds);
    if (link === undefined || isPrefetch(req) || req.getHeader('content-length') !== '') {
      this.visit(res, req, '/:short_code');
      return;
    }
    const { head } = link;
    this.#host.unprovedBytes += head.length;
    if (this.#host.unprovedBytes > PROOF_BYTES) {
      this.#answerProved(res, link, head);
      return;
    }
    turn.countHit(link.statusIndex);
    this.#journal.record(link);
    // Two calls where status and header apart would be three, each with a text to be converted.
    res.writeStatus(head).endWithoutBody(0, this.#host.isDraining);
  }

  /**
   * The same in two parts, for then the library tells whether the connection has read what came before. Where
   * it has not, it is cut, and nobody has clicked.
   */
  #answerProved(res: HttpResponse, link: CachedLink, head: string): void {
    this.#host.unprovedBytes = 0;
    const [isRead] = res.writeStatus(head).tryEnd(BLANK.slice(1), BLANK.length);
    if (!isRead) {
      this.#host.counters.add('connectionsUnread');
      res.close();
      return;
    }
    this.#turn.countHit(link.statusIndex);
    this.#journal.record(link);
    const [isWritten] = res.tryEnd(BLANK.slice(1), BLANK.length);
    if (!isWritten) res.close();
  }

  /** The same for any method and either path, for links of any kind, and where visits are noted. */
  visit(res: HttpResponse, req: HttpRequest, path: VisitedPath): void {
    const exchange = new Exchange(res, req, exchangeRoutes[path], this.#host);
    if (exchange.isOver) return;
    const noted = this.#visits?.read(res, req, exchange.method === 'HEAD');
    const visit: PendingVisit = { exchange, noted, isPrefetch: isPrefetch(req) };
    if (exchange.method === 'OPTIONS') {
      exchange.fail('METHOD_NOT_ALLOWED', undefined, [['Allow', 'GET, HEAD']]);
      return;
    }
    const shortCode = decodeCode(exchange.parameter);
    if (shortCode === undefined) {
      if (exchange.parameter === '') exchange.fail('NOT_FOUND');
      else this.#answers.unknown(visit);
      return;
    }
    const link = this.#cache.lookupAny(shortCode);
    if (link === undefined) {
      this.#resolver.resolve(shortCode, visit);
      exchange.hold();
      return;
    }
    this.#cells[HITS] = (this.#cells[HITS] as number) + 1;
    this.#answers.follow(visit, link);
  }
}

/** A code may be written with percent signs: it is the same code. */
function decodeCode(parameter: string): string | undefined {
  let code = parameter;
  if (parameter.includes('%')) {
    try {
      code = decodeURIComponent(parameter);
    } catch {
      return undefined;
    }
  }
  const isUsable = code !== '' && code.length <= CODE_MAX && isWellFormed(code);
  return isUsable ? code : undefined;
}
