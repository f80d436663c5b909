import { setTimeout as sleep } from 'node:timers/promises';
import type { RedirectLink } from '../../api/redirect-link.js';
import { isRedirectTarget } from '../../api/values.js';
import type { ClaimAnswer, PasswordAnswer } from '../../api/visits.js';
import { type ErrorCode, errorRegistry } from '../../errors.js';
import type { ServerState } from '../../memory/server-state.js';
import type { WrongTries } from '../../memory/wrong-tries.js';
import type { CallAnswer, CallRequest } from '../../messages/calls.js';
import type { Calls } from '../call-client.js';
import { limitKey } from '../http/client-address.js';
import type { Exchange, Headers } from '../http/exchange.js';
import type { Flight } from './code-resolver.js';
import type { CachedLink, LinkCache } from './link-cache.js';
import { parseLinkOptions, type RedirectStatus } from './link-options.js';
import { answerPasswordForm, wantsPage } from './pages.js';
import type { PendingVisit } from './pending-visit.js';

/** Nobody may cache an answer for one visit, or one person. */
const PRIVATE: Headers = [['Cache-Control', 'private, no-store']];

/** A worker compares passwords one by one, which may take a while. */
const PASSWORD_DEADLINE_MS = 10_000;

/** How often a try at a password checks whether earlier tries have been answered. */
const TRY_AGAIN_MS = 20;

/** The outcome of a guarded visit, admitted or refused. */
export interface GuardedAnswers {
  follow(visit: PendingVisit, link: CachedLink): void;
  end(visit: PendingVisit, error: 'LINK_EXPIRED' | 'CLICK_LIMIT', expiredUrl: string | undefined): void;
  unknown(visit: PendingVisit): void;
}

export interface GuardedVisitsOptions {
  readonly cache: LinkCache;
  readonly calls: Pick<Calls<Flight>, 'call'>;
  readonly state: ServerState;
  readonly tries: WrongTries;
  readonly deadlineMs: number;
  readonly onFault: (error: unknown, exchange: Exchange) => void;
}

/**
 * Visits to guarded links: those with a password, and those that redirect only so many times. Both ask the
 * database, which also returns the link's present state: the cached one is never answered. With both, the
 * password comes first. A HEAD and a prefetch don't redirect, and use nothing up.
 */
export class GuardedVisits {
  readonly #options: GuardedVisitsOptions;

  constructor(options: GuardedVisitsOptions) {
    this.#options = options;
  }

  /** Whether a visit has not been admitted yet. */
  static concerns(visit: PendingVisit, { options }: CachedLink): boolean {
    return (
      (options.hasPassword && visit.authorizedBy === undefined) ||
      (options.isLimited && visit.isClaimed === undefined)
    );
  }

  enter(visit: PendingVisit, link: CachedLink, answers: GuardedAnswers): void {
    const { exchange } = visit;
    // The link is valid only for immediate use.
    const { shortCode, urlId, options } = link;
    const isHead = exchange.method === 'HEAD';
    if (visit.isPrefetch) {
      exchange.fail('UNAVAILABLE', undefined, PRIVATE);
    } else if (isHead && !options.isLimited) {
      exchange.redirect(options.status, undefined, PRIVATE);
    } else {
      const needsPassword = options.hasPassword && visit.authorizedBy === undefined && !isHead;
      const work = needsPassword
        ? this.#authorize(visit, { shortCode, urlId, status: options.status }, answers)
        : this.#claim(visit, shortCode, answers);
      work.catch((error: unknown) => {
        this.#options.onFault(error, exchange);
        exchange.fail('INTERNAL');
      });
    }
  }

  async #claim(visit: PendingVisit, shortCode: string, answers: GuardedAnswers): Promise<void> {
    const { exchange } = visit;
    const isDry = exchange.method === 'HEAD';
    const isAuthorized = isDry || visit.authorizedBy !== undefined;
    const answer = await this.#call(exchange, {
      operation: 'claimClick',
      input: { shortCode, isAuthorized, isDry },
    });
    if (exchange.isOver) return;
    if (!answer.ok) {
      exchange.fail(errorOf(answer), undefined, PRIVATE);
      return;
    }
    const { state, link: row } = JSON.parse(answer.body) as ClaimAnswer;
    const link = row === null ? undefined : this.#linkOf(row);
    if (link === undefined || state === 'unknown') answers.unknown(visit);
    else if (state === 'expired') answers.end(visit, 'LINK_EXPIRED', link.options.expiredUrl);
    else if (state === 'used_up') answers.end(visit, 'CLICK_LIMIT', link.options.expiredUrl);
    else if (state === 'protected') answers.follow(visit, link);
    else if (isDry) exchange.redirect(link.options.status, undefined, PRIVATE);
    else answers.follow({ ...visit, isClaimed: true }, link);
  }

  async #authorize(
    visit: PendingVisit,
    known: { readonly shortCode: string; readonly urlId: string; readonly status: RedirectStatus },
    answers: GuardedAnswers,
  ): Promise<void> {
    const { exchange, form } = visit;
    const key = `${known.urlId} ${limitKey(exchange.clientAddress)}`;
    const header = textOf(exchange.header('x-link-password'));
    // If the header has the password and the link passes bodies on, the form's body belongs to the target.
    const isForm = form !== undefined && (header === '' || known.status === 301 || known.status === 302);
    let password = header;
    if (form !== undefined && isForm) {
      const body = await form;
      if (exchange.isOver) return;
      if (!body.ok) {
        if (body.error !== undefined) exchange.fail(body.error, undefined, PRIVATE);
        return;
      }
      password = new URLSearchParams(body.bytes.toString()).get('password') ?? header;
    }
    if (password === '') {
      refuse(exchange, 'PASSWORD_REQUIRED');
      return;
    }
    const answer = await this.#try(exchange, key, known.shortCode, password);
    if (exchange.isOver || answer === undefined) return;
    const link = answer.link === null ? undefined : this.#linkOf(answer.link);
    if (link === undefined || answer.state === 'unknown') answers.unknown(visit);
    else if (answer.state === 'wrong') refuse(exchange, 'WRONG_PASSWORD');
    else answers.follow({ ...visit, authorizedBy: isForm ? 'form' : 'header' }, link);
  }

  /** @returns `undefined` if it has answered why there was no try. */
  async #try(
    exchange: Exchange,
    key: string,
    shortCode: string,
    password: string,
  ): Promise<PasswordAnswer | undefined> {
    const { tries } = this.#options;
    const untilMs = Date.now() + PASSWORD_DEADLINE_MS;
    for (;;) {
      const admission = tries.begin(key, Date.now());
      if (admission === 'go') break;
      if (admission !== 'wait') {
        refuse(exchange, 'TOO_MANY_TRIES', [['Retry-After', String(admission.retrySeconds)]]);
        return undefined;
      }
      if (exchange.isOver || Date.now() >= untilMs) {
        exchange.fail('UNAVAILABLE', undefined, PRIVATE);
        return undefined;
      }
      await sleep(TRY_AGAIN_MS);
    }
    let isWrong = false;
    try {
      const request = { operation: 'checkPassword', input: { shortCode, password } } as const;
      const answer = await this.#call(exchange, request, PASSWORD_DEADLINE_MS);
      if (!answer.ok) {
        exchange.fail(errorOf(answer), undefined, PRIVATE);
        return undefined;
      }
      const checked = JSON.parse(answer.body) as PasswordAnswer;
      isWrong = checked.state === 'wrong';
      return checked;
    } finally {
      tries.end(key, Date.now(), isWrong);
    }
  }

  #call(
    exchange: Exchange,
    request: CallRequest,
    deadlineMs = this.#options.deadlineMs,
  ): Promise<CallAnswer> {
    return this.#options.calls.call(request, { requestId: exchange.requestId, origin: '' }, deadlineMs);
  }

  /** The link as the database has it now, for immediate use; nothing if its target is invalid. */
  #linkOf(row: RedirectLink): CachedLink | undefined {
    if (!isRedirectTarget(row.target)) return undefined;
    const { cache, state } = this.#options;
    const options = parseLinkOptions(row.options, state.databaseNowMs);
    return cache.transient({ ...row, options }, cache.stamp(row.shortCode));
  }
}

function errorOf(answer: Extract<CallAnswer, { ok: false }>): ErrorCode {
  return answer.error === 'LIST_TOO_LONG' ? 'INTERNAL' : answer.error;
}

function refuse(
  exchange: Exchange,
  error: 'PASSWORD_REQUIRED' | 'WRONG_PASSWORD' | 'TOO_MANY_TRIES',
  headers: Headers = [],
): void {
  const { status, text } = errorRegistry[error];
  const all = [...PRIVATE, ...headers];
  if (!wantsPage(exchange)) exchange.fail(error, undefined, [...all, ['Vary', 'Accept']]);
  else answerPasswordForm(exchange, status, error === 'PASSWORD_REQUIRED' ? undefined : text, all);
}

const utf8 = new TextDecoder('utf-8', { fatal: true });

/** A header's value is bytes: UTF-8 from most clients, Latin-1 from browsers' fetch. */
function textOf(bytes: string): string {
  try {
    return utf8.decode(Buffer.from(bytes, 'latin1'));
  } catch {
    return bytes;
  }
}
