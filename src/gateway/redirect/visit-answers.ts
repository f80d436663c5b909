import { locationOf } from '../../api/location.js';
import type { ErrorCode } from '../../errors.js';
import type { ClickJournal } from '../../journal/writer.js';
import type { ServerState } from '../../memory/server-state.js';
import type { CachedLink } from './link-cache.js';
import { cacheControlOf } from './link-options.js';
import type { PendingVisit } from './pending-visit.js';
import type { Turn } from './turn.js';

const NO_STORE = ['Cache-Control', 'no-store'] as const;

/**
 * Answers visits that take more than a look into the cache: those that had to be looked up, methods besides
 * GET, and links that expire, begin later, or say more than where they lead.
 */
export class Answers {
  readonly #journal: ClickJournal;
  readonly #turn: Turn;
  readonly #state: ServerState;

  constructor(journal: ClickJournal, turn: Turn, state: ServerState) {
    this.#journal = journal;
    this.#turn = turn;
    this.#state = state;
  }

  /** Answers with what the link says at this moment. */
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
      if (options.expiredUrl === undefined) exchange.fail('LINK_EXPIRED', undefined, [NO_STORE]);
      else exchange.redirect(302, locationOf(options.expiredUrl), [NO_STORE]);
      return;
    }
    const isRead = exchange.method === 'GET' || exchange.method === 'HEAD';
    if (!isRead && (options.status === 301 || options.status === 302)) {
      exchange.fail('METHOD_NOT_ALLOWED', undefined, [['Allow', 'GET, HEAD']]);
      return;
    }
    this.#record(visit, link);
    const caching = cacheControlOf(options, nowMs);
    exchange.redirect(
      options.status,
      link.location,
      caching === undefined ? [] : [['Cache-Control', caching]],
    );
  }

  unknown({ exchange }: PendingVisit): void {
    exchange.fail('SHORT_URL_NOT_FOUND', undefined, [NO_STORE]);
  }

  fail({ exchange }: PendingVisit, error: ErrorCode): void {
    exchange.fail(error);
  }

  /** A HEAD makes no event; a prefetch is no click. */
  #record({ exchange, noted, isPrefetch }: PendingVisit, link: CachedLink): void {
    if (exchange.method === 'HEAD' || isPrefetch) return;
    if (!this.#turn.isOpen) this.#turn.begin();
    if (noted === undefined) this.#journal.record(link);
    else this.#journal.recordVisit(link, noted);
  }
}

/** A link expires at its second: what is said in whole seconds is meant so. */
function isPast(expiresAtMs: number, nowMs: number): boolean {
  return Math.floor(nowMs / 1000) >= Math.floor(expiresAtMs / 1000);
}
