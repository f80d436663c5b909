import type { ErrorCode } from '../errors.js';

/** What became of an operation; what it means in HTTP is said by its route and by the gateway. */
export type OperationResult =
  | {
      readonly ok: true;
      /** JSON text; empty where there is nothing to show. */
      readonly body: string;
      /** What is answered instead, where it is no JSON. */
      readonly file?: FileResult;
      /** Of a resource that was made. */
      readonly id?: string;
      /** Of a link that was made. */
      readonly shortCode?: string;
      /** How many links were made, of an operation that makes many. */
      readonly made?: number;
      /** What was to be made was there already, and is shown instead. */
      readonly isExisting?: true;
      /** Nothing was done, and the body says why of each part: the status to say so with. */
      readonly refusal?: 400 | 409;
      /** The answer to an earlier request with the same idempotency key. */
      readonly isReplayed?: true;
      /** Of a page of a list: the cursor of the page after it. */
      readonly next?: string;
      /** Rows of the whole list, where they were asked for; of more than `MAX_TOTAL`, one more than that. */
      readonly total?: number;
    }
  | { readonly ok: false; readonly error: ErrorCode; readonly detail?: string; readonly isReplayed?: true };

/** A file, with the entity tag of this version of it. */
export interface FileResult {
  readonly contentType: string;
  /** In quotes. */
  readonly tag: string;
  /** Absent where the client has it already. */
  readonly content?: string | Uint8Array;
}

/** A list too long for one answer: to be asked for as a transfer. */
export interface ListTooLong {
  readonly ok: false;
  readonly error: 'LIST_TOO_LONG';
  readonly total?: number | undefined;
}

/** A list's rows are counted so far. */
export const MAX_TOTAL = 10_000;
