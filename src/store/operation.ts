import type { OperationResult } from '../api/results.js';
import type { ErrorCode } from '../errors.js';
import type { Connection } from '../postgres/pool.js';
import type { PageQuery } from './list-pages.js';
import type { CountSelect, ListSelect } from './lists.js';

/** What an operation gets besides its input. */
export interface OperationContext {
  readonly requestId: string;
  /** Milliseconds that the caller still waits. */
  readonly deadlineMs: number;
  /** The origin of short URLs for this client: scheme and host. Empty if the answer names none. */
  readonly origin: string;
  /** The only user whose links the caller sees and makes; absent for a caller that sees all. */
  readonly owner?: string | undefined;
  /** If-None-Match; empty if absent. */
  readonly knownTags: string;
  /** From now on no gateway of this server may serve its cached link of this code. */
  readonly invalidate: (shortCode: string) => void;
  /** A client-chosen code was made or deleted: what was found of other spellings is looked up anew. */
  readonly noteChosenCode: () => void;
  readonly links: LinkSettings;
}

/** The operator's settings for links. */
export interface LinkSettings {
  /** Characters of a generated code. */
  readonly codeLength: number;
  /** The status of a link that names none. */
  readonly redirectStatus: number;
  /** Whether links to a host, in URL's notation, are blocked. */
  readonly isBlocked: (hostname: string) => boolean;
}

type Run<Input> = {
  // A method, which lets operations of all inputs share one map.
  run(connection: Connection, input: Input, context: OperationContext): Promise<OperationResult>;
};

/** Changes nothing, and is therefore repeated if its connection turns out to be broken. */
export interface ReadOperation<Input> extends Run<Input> {
  readonly kind: 'read';
  /** The rest of the work, which does not need the connection for which others wait. */
  finish?(result: OperationResult, input: Input, context: OperationContext): Promise<OperationResult>;
}

/** A change. It is not repeated, because after a broken connection nobody knows whether it was committed. */
export interface WriteOperation<Input> extends Run<Input> {
  readonly kind: 'write';
}

/** Work whose duration depends on the data: a delete removes everything that belongs to the row. */
export interface LongOperation<Input> extends Run<Input> {
  readonly kind: 'long';
}

export interface BatchItem<Input> {
  readonly input: Input;
  readonly context: OperationContext;
}

/** A change for many callers in one statement and one commit. */
export interface BatchOperation<Input> {
  readonly kind: 'batch';
  /** Beyond it a statement takes longer without gaining. */
  readonly maxSize: number;
  /** This many waiting calls begin another batch beside the one under way. */
  readonly sizeForAnother: number;
  /** @returns the results in the order of the items. */
  runAll(connection: Connection, items: readonly BatchItem<Input>[]): Promise<OperationResult[]>;
}

/** A list's rows as lines of a CSV file, without the line breaks. */
export interface CsvForm {
  readonly header: string;
  row(
    row: readonly (string | null)[],
    /** `isRaw`: unchanged cells, even if a spreadsheet would run them. */
    shown: { readonly origin: string; readonly isRaw: boolean },
  ): string;
}

/** A list: a short window of it is one answer, a longer one is streamed. */
export interface ListOperation<Input> {
  readonly kind: 'list';
  /** A row as the API shows it. */
  json(row: readonly (string | null)[], shown: { readonly origin: string }): string;
  readonly csv: CsvForm;
  /** The whole list, or the requested window; at most `limit` of its rows. */
  select(input: Input, limit?: number): ListSelect;
  /** How to read a page by cursor; `undefined` if none was requested. */
  page(input: Input): PageQuery | undefined;
  /** Counts the rows to read for the list or its total, at most `max` plus one. */
  looked?(input: Input): { readonly count: CountSelect; readonly max: number } | undefined;
  /** Counts the rows of the whole list, at most `MAX_TOTAL` plus one; `undefined` if not requested. */
  total?(input: Input): CountSelect | undefined;
  /**
   * Prepares the list before it is read.
   * @returns members to read it with besides the input's; `undefined` if its order is still being built.
   */
  prepare?(connection: Connection, input: Input, deadlineMs: number): Promise<object | undefined>;
  /** Indexes without which the whole table would be read; they may still be under construction. */
  indexes?(input: Input): readonly string[];
}

export type Operation<Input> =
  | ReadOperation<Input>
  | WriteOperation<Input>
  | LongOperation<Input>
  | BatchOperation<Input>
  | ListOperation<Input>;

export function failed(error: ErrorCode, detail?: string): OperationResult {
  return detail === undefined ? { ok: false, error } : { ok: false, error, detail };
}

export const nothingToShow: OperationResult = { ok: true, body: '' };
