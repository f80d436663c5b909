/**
 * What gateways, workers and the supervisor say to each other. Plain data only: all of it crosses
 * threads by structured clone. Ids are decimal text throughout.
 */
import type { MessagePort } from 'node:worker_threads';
import type { ErrorCode } from '../errors.js';

/** What can be listed, with the filters of each. */
export type ListQuery =
  | { readonly of: 'users' }
  | { readonly of: 'urls'; readonly userId?: string | undefined; readonly isActive?: boolean | undefined }
  | {
      readonly of: 'events';
      readonly urlId?: string | undefined;
      readonly userId?: string | undefined;
      readonly eventType?: string | undefined;
    };

/** A window of a list; both are numbers of rows. */
export interface Page {
  readonly limit: number;
  readonly offset: number;
}

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

/** What became of a batch's codes: rows for those that lead somewhere, nothing for the others. */
export interface Resolution {
  readonly resolveId: number;
  readonly error?: ErrorCode;
  /** Flat: code, url id, user id (null for none), target; four to a link. */
  readonly rows: readonly (string | null)[];
}

export interface AnswerBatch {
  readonly answers: readonly (readonly [id: number, answer: CallAnswer])[];
  readonly resolutions: readonly Resolution[];
}

/** A long transfer between one gateway's request and one worker, over a port of its own. */
export type TransferRequest =
  | {
      readonly kind: 'list';
      readonly query: ListQuery;
      readonly page?: Page | undefined;
      readonly requestId: string;
    }
  | { readonly kind: 'import'; readonly contentType: string; readonly requestId: string };

/** From the gateway: bytes of an import, their end, or leave to send that many more list chunks. */
export type ToTransfer =
  | { readonly kind: 'chunk'; readonly bytes: ArrayBuffer }
  | { readonly kind: 'end' }
  | { readonly kind: 'credit'; readonly amount: number };

/** From the worker; an import's credit is in bytes. */
export type FromTransfer =
  | { readonly kind: 'chunk'; readonly bytes: ArrayBuffer }
  | { readonly kind: 'end' }
  | { readonly kind: 'credit'; readonly amount: number }
  | { readonly kind: 'done'; readonly imported: number }
  | { readonly kind: 'failed'; readonly error: ErrorCode; readonly detail?: string };

/** From a gateway to the supervisor. */
export type FromGateway =
  | { readonly kind: 'listening'; readonly port: number }
  | { readonly kind: 'failed'; readonly message: string }
  /** The journal has grown while the ingest slept. */
  | { readonly kind: 'journalled' }
  | { readonly kind: 'transfer'; readonly request: TransferRequest; readonly port: MessagePort }
  | { readonly kind: 'barrier'; readonly id: number; readonly targets: readonly BarrierTarget[] }
  | { readonly kind: 'ask'; readonly id: number; readonly question: Question }
  | { readonly kind: 'drained' }
  | { readonly kind: 'closed' };

/** A journal slot and the count of clicks that must be ingested of it. */
export type BarrierTarget = readonly [slot: number, clicks: number];

/** What only the supervisor can answer. */
export type Question =
  | { readonly of: 'metrics' }
  | { readonly of: 'logs'; readonly limit: number; readonly filter: string; readonly level: string }
  | { readonly of: 'chaos' };

/** From the supervisor to a gateway. */
export type ToGateway =
  /** A way to a worker. */
  | { readonly kind: 'worker'; readonly port: MessagePort }
  | { readonly kind: 'barrier'; readonly id: number }
  | { readonly kind: 'answer'; readonly id: number; readonly body: string }
  | { readonly kind: 'drain' }
  | { readonly kind: 'close' };
