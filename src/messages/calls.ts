/**
 * Calls: what a gateway asks of an interactive worker in one turn, and what comes back.
 * Plain data only: it crosses threads by structured clone. Ids are decimal text.
 */
import type { ListQuery, Page } from '../api/lists.js';
import type { ErrorCode } from '../errors.js';

/** A request that a worker answers with one result. */
export type CallRequest =
  | { readonly op: 'createUser'; readonly username: string; readonly email: string }
  | { readonly op: 'getUser'; readonly id: string }
  | {
      readonly op: 'updateUser';
      readonly id: string;
      readonly username?: string | undefined;
      readonly email?: string | undefined;
    }
  | { readonly op: 'deleteUser'; readonly id: string }
  | {
      readonly op: 'createUrl';
      readonly originalUrl: string;
      readonly title: string;
      readonly userId: string | null;
    }
  | { readonly op: 'getUrl'; readonly id: string }
  | {
      readonly op: 'updateUrl';
      readonly id: string;
      readonly title?: string | undefined;
      readonly isActive?: boolean | undefined;
      readonly originalUrl?: string | undefined;
    }
  | { readonly op: 'deleteUrl'; readonly id: string }
  | {
      readonly op: 'createEvent';
      readonly urlId: string | null;
      readonly userId: string | null;
      readonly eventType: string;
      /** JSON text of an object. */
      readonly details: string;
    }
  | { readonly op: 'getEvent'; readonly id: string }
  | { readonly op: 'deleteEvent'; readonly id: string }
  | {
      readonly op: 'list';
      readonly query: ListQuery;
      /** Without it, the whole list if it is short. */
      readonly page?: Page | undefined;
    };

/** A call on its way: `deadlineMs` (since 1970) is when its asker stops waiting. */
export interface Call {
  readonly id: number;
  readonly deadlineMs: number;
  readonly requestId: string;
  readonly request: CallRequest;
}

/** `body` is the JSON text of the answer; `shortCode` comes with a created link. */
export type CallAnswer =
  | { readonly ok: true; readonly body: string; readonly shortCode?: string }
  | { readonly ok: false; readonly error: ErrorCode }
  /** A list too long for one answer: to be asked for as a transfer. */
  | { readonly ok: false; readonly error: 'TOO_LONG' };

/** All that a gateway asks of a worker in one turn: calls, and short codes to resolve. */
export interface CallBatch {
  readonly calls: readonly Call[];
  /** Answered together; `resolveId` is 0 where there are none. */
  readonly resolveId: number;
  readonly resolveDeadlineMs: number;
  readonly codes: readonly string[];
}

/** The links that redirects were found for, a column a field; all columns are of one length. */
export interface ResolvedLinks {
  readonly shortCodes: readonly string[];
  readonly ids: readonly string[];
  /** `null` for a link without an owner. */
  readonly userIds: readonly (string | null)[];
  readonly targets: readonly string[];
  /** JSON text of what a link does besides leading to its target; `null` for a plain one. */
  readonly options: readonly (string | null)[];
}

/** What became of a batch's codes: links for those that lead somewhere, nothing for the others. */
export type Resolution =
  | { readonly resolveId: number; readonly ok: true; readonly links: ResolvedLinks }
  | { readonly resolveId: number; readonly ok: false; readonly error: ErrorCode };

export interface AnswerBatch {
  readonly answers: readonly (readonly [id: number, answer: CallAnswer])[];
  readonly resolutions: readonly Resolution[];
}
