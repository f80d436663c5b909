import type { ErrorCode } from '../errors.js';

/** An operation's result; its route and the gateway decide what it means in HTTP. */
export type OperationResult =
  | {
      readonly ok: true;
      /** JSON text; empty if there is nothing to show. */
      readonly body: string;
      /** The answer's body, if it is not JSON. */
      readonly file?: FileResult;
      /** Of a resource that was created. */
      readonly id?: string;
      /** Of a link that was created. */
      readonly shortCode?: string;
      /** How many links an operation on many has created. */
      readonly made?: number;
      /** The resource existed already, and is shown instead. */
      readonly isExisting?: true;
      /** The answer's status if nothing was done; the body gives the reason for each part. */
      readonly refusal?: 400 | 409;
      /** The answer to an earlier request with the same idempotency key. */
      readonly isReplayed?: true;
      /** Of a page of a list: the cursor of the page after it. */
      readonly next?: string;
      /** Rows of the whole list, if requested; at most `MAX_TOTAL` plus one. */
      readonly total?: number;
    }
  | { readonly ok: false; readonly error: ErrorCode; readonly detail?: string; readonly isReplayed?: true };

/** A file, with the entity tag of this version of it. */
export interface FileResult {
  readonly contentType: string;
  /** In quotes. */
  readonly tag: string;
  /** Absent if the client has it already. */
  readonly content?: string | Uint8Array;
}

/** A list too long for one answer: request it as a transfer. */
export interface ListTooLong {
  readonly ok: false;
  readonly error: 'LIST_TOO_LONG';
  readonly total?: number | undefined;
}

/** How far a list's rows are counted. */
export const MAX_TOTAL = 10_000;
