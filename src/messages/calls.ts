/**
 * Calls: what a gateway asks of an interactive worker in one turn, and what comes back.
 * Plain data only: it crosses threads by structured clone. Ids are decimal text.
 */
import type { ResolvedLinks } from '../api/redirect-link.js';
import type { InputFor, OperationName } from '../api/registry.js';
import type { ListTooLong, OperationResult } from '../api/results.js';
import type { VisitInputs, VisitOperation } from '../api/visits.js';
import type { ErrorCode } from '../errors.js';

/** An operation with its input, as the schemas of its route let it pass; one of a visit's own; or a gateway's. */
export type CallRequest =
  | OwnRequest
  | {
      [Name in OperationName]: { readonly operation: Name; readonly input: InputFor<Name> };
    }[OperationName]
  | {
      [Name in VisitOperation]: { readonly operation: Name; readonly input: VisitInputs[Name] };
    }[VisitOperation];

/** What gateways ask of their own accord, for no route. */
export type OwnRequest =
  | { readonly operation: 'findKey'; readonly input: { readonly hash: string } }
  | { readonly operation: 'noteKeyUse'; readonly input: { readonly id: string } }
  | {
      readonly operation: 'refuseRequest';
      readonly input: { readonly error: ErrorCode; readonly detail?: string };
    };

export type CallName = CallRequest['operation'];

/** What the caller is, besides what it asks for. */
export interface Caller {
  readonly requestId: string;
  /** Where short URLs are for this client, for answers that name them; else empty. */
  readonly origin: string;
  /** The user whose links alone the caller sees and makes; absent for one that sees all. */
  readonly owner?: string | undefined;
  /** If-None-Match, of a route that answers with a file; else absent. */
  readonly knownTags?: string;
  /** Of a request with an Idempotency-Key: it is done once, and its answer kept. Both are SHA-256 in hex. */
  readonly idempotent?:
    | {
        /** Of the API key's id and the idempotency key. */
        readonly keyHash: string;
        /** Of the method, the path with its query, and the body. */
        readonly requestHash: string;
      }
    | undefined;
}

/** A call on its way: `deadlineMs` (since 1970) is when its asker stops waiting. */
export interface Call {
  readonly id: number;
  readonly deadlineMs: number;
  readonly caller: Caller;
  readonly request: CallRequest;
}

export type CallAnswer = OperationResult | ListTooLong;

/** All that a gateway asks of a worker in one turn: calls, and short codes to resolve. */
export interface CallBatch {
  readonly calls: readonly Call[];
  readonly resolves: readonly CodesToResolve[];
  readonly resolveDeadlineMs: number;
  /** Askers of all calls up to this id have been answered: PostgreSQL is down. What has not begun must not begin. */
  readonly givenUpTo?: number;
}

/** Short codes that are answered together. */
export interface CodesToResolve {
  readonly resolveId: number;
  /** One a line: a text costs less on its way than an array. No code has a line break. */
  readonly codes: string;
  readonly count: number;
}

/** What became of the codes of these ids: links for those that lead somewhere, nothing for the others. */
export type Resolution =
  | {
      readonly resolveIds: readonly number[];
      readonly ok: true;
      readonly links: ResolvedLinks;
      /** Codes of the only id that are answered later, one a line. */
      readonly rest?: string;
    }
  | { readonly resolveIds: readonly number[]; readonly ok: false; readonly error: ErrorCode };

export interface AnswerBatch {
  readonly answers: readonly (readonly [id: number, answer: CallAnswer])[];
  readonly resolutions: readonly Resolution[];
}
