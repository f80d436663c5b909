import { linksByAsked, type RedirectLink, type ResolvedLinks } from '../../api/redirect-link.js';
import { isRedirectTarget } from '../../api/values.js';
import type { ErrorCode } from '../../errors.js';
import type { ThreadCounters } from '../../memory/counters.js';
import type { ServerState } from '../../memory/server-state.js';
import type { Calls, FlightControl } from '../call-client.js';
import { flat } from './flat-text.js';
import type { CachedLink, FlightStamp, LinkCache } from './link-cache.js';
import { parseLinkOptions } from './link-options.js';
import type { LinkRow } from './link-table.js';
import type { PendingVisit } from './pending-visit.js';

/** A code being looked up, the state of its coherence before, and the visits that wait for it. */
export interface Flight {
  readonly shortCode: string;
  readonly stamp: FlightStamp;
  readonly visits: PendingVisit[];
  readonly control: FlightControl<Flight>;
}

/** What happens to a visit once its code is resolved. */
export interface VisitAnswers {
  follow(visit: PendingVisit, link: CachedLink): void;
  unknown(visit: PendingVisit): void;
  fail(visit: PendingVisit, error: ErrorCode): void;
}

/**
 * Finds the links that the cache lacks, with one flight for each code, however many visits ask for it. An
 * invalidation that arrives during a flight wins: the result is good for visits that asked before, and is not
 * kept.
 */
export class CodeResolver implements FlightControl<Flight> {
  readonly #cache: LinkCache;
  readonly #answers: VisitAnswers;
  readonly #calls: Pick<Calls<Flight>, 'resolve'>;
  readonly #counters: ThreadCounters;
  readonly #state: ServerState;
  readonly #onDatabase: (id: string) => void;
  readonly #flights = new Map<string, Flight>();
  #databaseId: string | undefined;

  constructor(options: {
    readonly cache: LinkCache;
    readonly answers: VisitAnswers;
    readonly calls: Pick<Calls<Flight>, 'resolve'>;
    readonly counters: ThreadCounters;
    readonly state: ServerState;
    /** Called with the database whose links come from now on. */
    readonly onDatabase: (id: string) => void;
  }) {
    this.#cache = options.cache;
    this.#answers = options.answers;
    this.#calls = options.calls;
    this.#counters = options.counters;
    this.#state = options.state;
    this.#onDatabase = options.onDatabase;
  }

  /** Answers a visit to a code that is not in the cache, at once if the code is known to be unknown. */
  resolve(shortCode: string, visit: PendingVisit): void {
    const ownCode = this.#cache.ownCodeOf(shortCode, performance.now());
    if (ownCode === undefined) {
      this.#resolveAsIs(shortCode, visit);
      return;
    }
    const link = this.#cache.lookupAny(ownCode);
    if (link === undefined) this.#resolveAsIs(ownCode, visit);
    else this.#answers.follow(visit, link);
  }

  #resolveAsIs(shortCode: string, visit: PendingVisit): void {
    const nowMs = performance.now();
    if (this.#cache.isUnknown(shortCode, nowMs)) {
      this.#counters.add('unknownHits');
      this.#answers.unknown(visit);
      return;
    }
    this.#counters.add('redirectMisses');
    const stamp = this.#cache.stamp(shortCode);
    const underWay = this.#flights.get(shortCode);
    // A flight that left before the latest change may bring back the old link.
    if (underWay !== undefined && sameStamp(underWay.stamp, stamp)) {
      underWay.visits.push(visit);
      return;
    }
    if (this.#cache.lookupSuspect(shortCode) !== undefined) this.#counters.add('suspectRefreshes');
    const flight: Flight = { shortCode, stamp, visits: [visit], control: this };
    this.#flights.set(shortCode, flight);
    this.#calls.resolve(flight);
  }

  onLinks({ text, databaseId }: ResolvedLinks, flights: readonly Flight[]): void {
    this.#enterDatabase(databaseId ?? undefined);
    const found = linksByAsked(text);
    const nowMs = performance.now();
    for (const flight of flights) {
      this.#forget(flight);
      const link = found.get(flight.shortCode);
      if (link === undefined) this.#completeUnknown(flight, nowMs);
      else this.#complete(flight, this.#rowOf(link), nowMs);
    }
  }

  onFailed(error: ErrorCode, flights: readonly Flight[]): void {
    for (const flight of flights) {
      this.#forget(flight);
      // The database can't be asked: a suspect link is better than nothing.
      const suspect = this.#cache.lookupSuspect(flight.shortCode);
      for (const visit of flight.visits) {
        if (suspect === undefined) {
          this.#answers.fail(visit, error);
        } else {
          this.#counters.add('staleServed');
          this.#answers.follow(visit, suspect);
        }
      }
    }
  }

  /** Another database behind the same address: nothing that we know of links holds there. */
  #enterDatabase(id: string | undefined): void {
    if (id === undefined || id === this.#databaseId) return;
    if (this.#databaseId !== undefined) this.#cache.clear();
    this.#databaseId = id;
    this.#onDatabase(id);
  }

  #rowOf(link: RedirectLink): LinkRow {
    const { urlId, userId, shortCode, target, createdMs } = link;
    const options = parseLinkOptions(link.options, this.#state.databaseNowMs);
    return { urlId, userId, shortCode, target, createdMs, options };
  }

  #complete(flight: Flight, row: LinkRow, nowMs: number): void {
    // A row that did not come through our API might split the response's header.
    if (!isRedirectTarget(row.target)) {
      for (const visit of flight.visits) this.#answers.unknown(visit);
      return;
    }
    const isOwn = row.shortCode === flight.shortCode;
    if (!isOwn) this.#cache.fillOther(flight.shortCode, flight.stamp, nowMs, flat(row.shortCode));
    const link = isOwn ? this.#cache.fill(row, flight.stamp) : this.#cache.transient(row, flight.stamp);
    for (const visit of flight.visits) this.#answers.follow(visit, link);
  }

  #completeUnknown(flight: Flight, nowMs: number): void {
    this.#cache.fillOther(flight.shortCode, flight.stamp, nowMs);
    for (const visit of flight.visits) this.#answers.unknown(visit);
  }

  #forget(flight: Flight): void {
    if (this.#flights.get(flight.shortCode) === flight) this.#flights.delete(flight.shortCode);
  }
}

function sameStamp(one: FlightStamp, other: FlightStamp): boolean {
  return one.version === other.version && one.epoch === other.epoch && one.chosenCodes === other.chosenCodes;
}
