import type { HttpRequest, HttpResponse } from 'uWebSockets.js';
import { performance } from 'node:perf_hooks';
import { httpSeries, type Route } from '../../api/http-series.js';
import { isRedirectTarget } from '../../api/values.js';
import type { ErrorCode } from '../../errors.js';
import type { Visit } from '../../journal/frame.js';
import type { ClickJournal } from '../../journal/writer.js';
import { Scalar, type ThreadCounters } from '../../memory/counters.js';
import type { ResolvedLinks } from '../../messages/calls.js';
import type { Calls, FlightControl } from '../call-client.js';
import { Exchange, type ExchangeHost } from '../http/exchange.js';
import type { CachedLink, LinkCache } from './link-cache.js';
import type { LinkRow, Stamp } from './link-table.js';
import type { VisitReader } from './visit-reader.js';

const HITS = Scalar.redirectHits;
const hitSeries = httpSeries.indexOf('GET', '/:short_code', 302);

/** No code that we make is longer than six characters; what is longer than this is not looked up. */
const LONGEST_CODE = 255;

/** Who waits for a code, and what is to be noted of the visit, where that is noted. */
interface Waiter {
  readonly exchange: Exchange;
  readonly visit: Visit | undefined;
}

/** A code being looked up, what was known of its coherence before, and who waits for it. */
export interface Flight {
  readonly shortCode: string;
  readonly stamp: Stamp;
  readonly waiters: Waiter[];
}

/**
 * The redirect.
 *
 * A hit is answered in the handler itself: one lookup, one click noted, two calls into the library;
 * no promise, no closure, no log line, no clock reading. A miss becomes a flight, one a code however
 * many ask for it, and is answered when a worker has resolved it.
 */
export class Redirect implements FlightControl<Flight> {
  readonly #cache: LinkCache;
  readonly #journal: ClickJournal;
  readonly #host: ExchangeHost;
  readonly #cells: Float64Array;
  readonly #counters: ThreadCounters;
  readonly #visits: VisitReader | undefined;
  readonly #flights = new Map<string, Flight>();
  /** Set once the two know each other. */
  calls!: Pick<Calls<Flight>, 'resolve'>;
  #turnIsOpen = false;
  #turnStartMs = 0;
  #turnHits = 0;
  readonly #endTurn = (): void => this.endTurn();

  /** @param visits Where a click is to say more than its link. */
  constructor(cache: LinkCache, journal: ClickJournal, host: ExchangeHost, visits?: VisitReader) {
    this.#visits = visits;
    this.#cache = cache;
    this.#journal = journal;
    this.#host = host;
    this.#counters = host.counters;
    this.#cells = host.counters.cells;
  }

  /** Whether a click is to say more than its link; then `get` is not for use, but `other`. */
  get hasVisits(): boolean {
    return this.#visits !== undefined;
  }

  /** GET /<short_code>. */
  get(res: HttpResponse, req: HttpRequest): void {
    const link = this.#cache.lookup(req.getParameter(0));
    if (link === undefined) {
      this.#miss(new Exchange(res, req, '/:short_code', this.#host), undefined);
      return;
    }
    if (!this.#turnIsOpen) this.#beginTurn();
    this.#turnHits += 1;
    this.#journal.record(link);
    // Two calls where status and header apart would be three, each with a text to be converted.
    res.writeStatus(link.head).endWithoutBody(0, this.#host.isDraining);
  }

  /**
   * The same, unhurried: HEAD, both methods of /urls/<short_code>/redirect, and all redirects where
   * visits are noted.
   */
  other(res: HttpResponse, req: HttpRequest, route: Route): void {
    const exchange = new Exchange(res, req, route, this.#host);
    const visit = this.#visits?.read(res, req, exchange.method === 'HEAD');
    const link = this.#cache.lookup(exchange.parameter);
    if (link === undefined) {
      this.#miss(exchange, visit);
      return;
    }
    this.#cells[HITS] = (this.#cells[HITS] as number) + 1;
    this.#follow(exchange, visit, link);
  }

  /**
   * The turn is over: its clicks are written, and its hits go into the histogram with the turn's mean
   * time each. They are answered within microseconds of each other, and reading the clock for each
   * would cost a tenth of the answer.
   */
  endTurn(): void {
    const hits = this.#turnHits;
    this.#turnIsOpen = false;
    this.#turnHits = 0;
    if (hits > 0) {
      this.#cells[HITS] = (this.#cells[HITS] as number) + hits;
      this.#counters.observe(hitSeries, (performance.now() - this.#turnStartMs) / 1000 / hits, hits);
    }
    this.#journal.flush();
  }

  onLinks(links: ResolvedLinks, flights: readonly Flight[]): void {
    const found = new Map(links.shortCodes.map((shortCode, index) => [shortCode, index]));
    const now = performance.now();
    for (const flight of flights) {
      this.#forget(flight);
      const index = found.get(flight.shortCode);
      if (index === undefined) this.#landUnknown(flight, now);
      else this.#land(flight, linkAt(links, index));
    }
  }

  onFailed(error: ErrorCode, flights: readonly Flight[]): void {
    for (const flight of flights) {
      this.#forget(flight);
      // The database can't be asked: what is only suspect is better than nothing.
      const suspect = this.#cache.lookupSuspect(flight.shortCode);
      for (const { exchange, visit } of flight.waiters) {
        if (suspect === undefined) {
          exchange.fail(error);
        } else {
          this.#counters.add('staleServed');
          this.#follow(exchange, visit, suspect);
        }
      }
    }
  }

  #beginTurn(): void {
    this.#turnIsOpen = true;
    this.#turnStartMs = performance.now();
    setImmediate(this.#endTurn);
  }

  #miss(exchange: Exchange, visit: Visit | undefined): void {
    const shortCode = decodeCode(exchange.parameter);
    if (shortCode === undefined) {
      exchange.fail('SHORT_URL_NOT_FOUND');
      return;
    }
    // A code may be written with percent signs; it is the same code.
    const link = shortCode === exchange.parameter ? undefined : this.#cache.lookup(shortCode);
    if (link !== undefined) {
      this.#cells[HITS] = (this.#cells[HITS] as number) + 1;
      this.#follow(exchange, visit, link);
      return;
    }
    if (this.#cache.isUnknown(shortCode, performance.now())) {
      this.#counters.add('unknownHits');
      exchange.fail('SHORT_URL_NOT_FOUND');
      return;
    }
    this.#counters.add('redirectMisses');
    const stamp = this.#cache.stamp(shortCode);
    const underWay = this.#flights.get(shortCode);
    // A flight that left before the latest change may bring back what was replaced.
    if (underWay !== undefined && sameStamp(underWay.stamp, stamp)) {
      underWay.waiters.push({ exchange, visit });
      return;
    }
    if (this.#cache.lookupSuspect(shortCode) !== undefined) this.#counters.add('suspectRefreshes');
    const flight = { shortCode, stamp, waiters: [{ exchange, visit }] };
    this.#flights.set(shortCode, flight);
    this.calls.resolve(flight);
  }

  #land(flight: Flight, row: LinkRow): void {
    // What came into the table by another way than ours might split the response's header.
    if (!isRedirectTarget(row.target)) {
      for (const { exchange } of flight.waiters) exchange.fail('SHORT_URL_NOT_FOUND');
      return;
    }
    const link = this.#cache.fill(row, flight.stamp);
    for (const { exchange, visit } of flight.waiters) this.#follow(exchange, visit, link);
  }

  #landUnknown(flight: Flight, nowMs: number): void {
    this.#cache.fillUnknown(flight.shortCode, flight.stamp, nowMs);
    for (const { exchange } of flight.waiters) exchange.fail('SHORT_URL_NOT_FOUND');
  }

  #forget(flight: Flight): void {
    if (this.#flights.get(flight.shortCode) === flight) this.#flights.delete(flight.shortCode);
  }

  /** Answers with the link's target. A HEAD makes no click, but is noted where visits are. */
  #follow(exchange: Exchange, visit: Visit | undefined, link: CachedLink): void {
    if (exchange.isOver) return;
    if (visit !== undefined || exchange.method === 'GET') {
      if (!this.#turnIsOpen) this.#beginTurn();
      if (visit === undefined) this.#journal.record(link);
      else this.#journal.recordVisit(link, visit);
    }
    exchange.redirect(link.location);
  }
}

function linkAt({ shortCodes, ids, userIds, targets }: ResolvedLinks, index: number): LinkRow {
  return {
    shortCode: shortCodes[index] ?? '',
    urlId: ids[index] ?? '',
    userId: userIds[index] ?? null,
    target: targets[index] ?? '',
  };
}

function sameStamp(one: Stamp, other: Stamp): boolean {
  return one.version === other.version && one.epoch === other.epoch;
}

function decodeCode(parameter: string): string | undefined {
  let code = parameter;
  if (parameter.includes('%')) {
    try {
      code = decodeURIComponent(parameter);
    } catch {
      return undefined;
    }
  }
  const isUsable = code !== '' && code.length <= LONGEST_CODE && !code.includes('\0') && code.isWellFormed();
  return isUsable ? code : undefined;
}
