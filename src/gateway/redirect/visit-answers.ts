import { locationOf } from '../../api/location.js';
import type { ErrorCode } from '../../errors.js';
import { VisitKind } from '../../journal/format.js';
import type { ClickJournal } from '../../journal/writer.js';
import type { ServerState } from '../../memory/server-state.js';
import { withQuery } from './forward-query.js';
import { GuardedVisits } from './guarded-visits.js';
import type { CachedLink } from './link-cache.js';
import { headersOf, type LinkOptions } from './link-options.js';
import type { PendingVisit } from './pending-visit.js';
import type { Previews } from './previews.js';
import type { Turn } from './turn.js';
import { bareVisit } from './visit-reader.js';

const NO_STORE = ['Cache-Control', 'no-store'] as const;

export interface AnswersOptions {
  readonly journal: ClickJournal;
  readonly turn: Turn;
  readonly state: ServerState;
  readonly guarded: GuardedVisits;
  readonly previews: Previews;
}

/**
 * Answers visits that need more than the cache: codes that were looked up, methods besides GET, and links
 * that expire, begin later, or have other options.
 */
export class Answers {
  readonly #journal: ClickJournal;
  readonly #turn: Turn;
  readonly #state: ServerState;
  readonly #guarded: GuardedVisits;
  readonly #previews: Previews;

  constructor({ journal, turn, state, guarded, previews }: AnswersOptions) {
    this.#journal = journal;
    this.#turn = turn;
    this.#state = state;
    this.#guarded = guarded;
    this.#previews = previews;
  }

  /** Answers according to the link's present state. */
  follow(visit: PendingVisit, link: CachedLink): void {
    const { exchange } = visit;
    if (exchange.isOver) return;
    const { options } = link;
    const nowMs = this.#state.databaseNowMs;
    if (options.validSinceMs !== undefined && nowMs < options.validSinceMs) {
      this.unknown(visit);
      return;
    }
    if (options.expiresAtMs !== undefined && isPast(options.expiresAtMs, nowMs)) {
      this.end(visit, 'LINK_EXPIRED', options.expiredUrl);
      return;
    }
    if (!isServed(visit, options)) {
      const allow = options.hasPassword ? 'GET, HEAD, POST' : 'GET, HEAD';
      exchange.fail('METHOD_NOT_ALLOWED', undefined, [['Allow', allow]]);
      return;
    }
    if (GuardedVisits.concerns(visit, link)) {
      this.#guarded.enter(visit, link, this);
      return;
    }
    this.#record(visit, link);
    if (options.isBaked && exchange.redirectBaked(options.status, link.head)) return;
    exchange.redirect(
      visit.authorizedBy === 'form' ? 303 : options.status,
      // The library gives the query as UTF-8 text; a Location needs its bytes.
      options.forwardsQuery
        ? withQuery(link.location, Buffer.from(exchange.query).toString('latin1'))
        : link.location,
      headersOf(options, nowMs),
    );
  }

  /** An ended link leads elsewhere, if anywhere: neither a click nor an event. */
  end(
    { exchange }: PendingVisit,
    error: 'LINK_EXPIRED' | 'CLICK_LIMIT',
    expiredUrl: string | undefined,
  ): void {
    if (expiredUrl === undefined) exchange.fail(error, undefined, [NO_STORE]);
    else exchange.redirect(302, locationOf(expiredUrl), [NO_STORE]);
  }

  unknown({ exchange, previewCode }: PendingVisit): void {
    if (previewCode === undefined) exchange.fail('SHORT_URL_NOT_FOUND', undefined, [NO_STORE]);
    else this.#previews.answer(exchange, previewCode);
  }

  fail({ exchange }: PendingVisit, error: ErrorCode): void {
    exchange.fail(error);
  }

  /** A HEAD makes no event; a prefetch is no click. */
  #record({ exchange, noted, isPrefetch }: PendingVisit, link: CachedLink): void {
    if (exchange.method === 'HEAD') return;
    if (!this.#turn.isOpen) this.#turn.begin();
    const visit = isPrefetch ? { ...(noted ?? bareVisit), kind: VisitKind.PREVIEW } : noted;
    if (visit === undefined) this.#journal.record(link);
    else this.#journal.recordVisit(link, visit);
  }
}

/** Links that keep the method serve any method; the others also a form, which may have the link's password. */
function isServed({ exchange, form }: PendingVisit, { status, hasPassword }: LinkOptions): boolean {
  if (exchange.method === 'GET' || exchange.method === 'HEAD') return true;
  return status === 307 || status === 308 || (hasPassword && form !== undefined);
}

/** A link expires at its second, because its time was given in whole seconds. */
function isPast(expiresAtMs: number, nowMs: number): boolean {
  return Math.floor(nowMs / 1000) >= Math.floor(expiresAtMs / 1000);
}
