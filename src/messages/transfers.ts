/**
 * Transfers: imports and long lists, each over a port of its own between a gateway and a worker.
 * Plain data only: it crosses threads by structured clone. Ids are decimal text.
 */
import type { MessagePort } from 'node:worker_threads';
import type { ImportName, InputFor, ListName } from '../api/registry.js';
import type { ErrorCode } from '../errors.js';

/** A long transfer between one gateway's request and one worker, over a port of its own. */
export type TransferRequest = ListRequest | ImportRequest;

export type ListRequest = {
  [Name in ListName]: {
    readonly kind: 'list';
    readonly operation: Name;
    readonly input: InputFor<Name>;
    readonly requestId: string;
    /** Where short URLs are for this client; empty where the list names none. */
    readonly origin: string;
    /** The user whose rows alone are shown; absent for all. */
    readonly owner?: string | undefined;
  };
}[ListName];

export type ImportRequest = {
  [Name in ImportName]: {
    readonly kind: 'import';
    readonly operation: Name;
    readonly input: InputFor<Name>;
    readonly contentType: string;
    readonly requestId: string;
    /** Where short URLs are for this client; empty where the import needs none. */
    readonly origin: string;
    /** The user whose links alone are made and changed; absent for all. */
    readonly owner?: string | undefined;
  };
}[ImportName];

/** A transfer as a worker gets it. */
export interface TransferJob<Request extends TransferRequest> {
  readonly request: Request;
  /** The client's address, as limits go by. */
  readonly client: string;
  readonly port: MessagePort;
}

/** From the gateway: bytes of an import, their end, or leave to send that many more list chunks. */
export type ToTransfer =
  | { readonly kind: 'chunk'; readonly bytes: ArrayBuffer }
  | { readonly kind: 'end' }
  | { readonly kind: 'credit'; readonly amount: number };

/** Why a row of a file was left out; the first line is 1. */
export interface RowError {
  readonly line: number;
  readonly error: string;
}

/** From the worker. */
type FromAny =
  /** It waits no longer. */
  | { readonly kind: 'begun' }
  | { readonly kind: 'failed'; readonly error: ErrorCode; readonly detail?: string };

export type FromList =
  | FromAny
  | { readonly kind: 'chunk'; readonly bytes: ArrayBuffer }
  | { readonly kind: 'end' };

export type FromImport =
  | FromAny
  /** In bytes. */
  | { readonly kind: 'credit'; readonly amount: number }
  /** The answer: JSON text. */
  | { readonly kind: 'done'; readonly body: string };

export type FromTransfer = FromList | FromImport;
