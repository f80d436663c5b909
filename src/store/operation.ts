import type { OperationResult } from '../api/results.js';
import type { ErrorCode } from '../errors.js';
import type { Connection } from '../postgres/pool.js';
import type { PageQuery } from './list-pages.js';
import type { CountSelect, ListSelect } from './lists.js';

/** What an operation gets besides its input. */
export interface OperationContext {
  readonly requestId: string;
  /** Milliseconds that the asker goes on waiting. */
  readonly deadlineMs: number;
  /** Where short URLs are for this client: scheme and host. Empty where the answer names none. */
  readonly origin: string;
  /** The user whose links alone the caller sees and makes; absent for one that sees all. */
  readonly owner?: string | undefined;
  /** If-None-Match; empty where there is none. */
  readonly knownTags: string;
  /** No gateway of this server may serve what it has of this code from now on. */
  readonly invalidate: (shortCode: string) => void;
  /** A code that a client chose is there: it may be another spelling of what was looked up before. */
  readonly noteChosenCode: () => void;
  readonly links: LinkSettings;
}

/** What the operator has set for links. */
export interface LinkSettings {
  /** Characters of a code that is made. */
  readonly codeLength: number;
  /** Of a link that says nothing of its status. */
  readonly redirectStatus: number;
  /** Whether no link may lead to a host; as URL writes it. */
  readonly isBlocked: (hostname: string) => boolean;
}

type Run<Input> = {
  // A method, so that the operations of all inputs can stand in one map.
  run(connection: Connection, input: Input, context: OperationContext): Promise<OperationResult>;
};

/** Changes nothing, and is therefore repeated when its connection turns out to be broken. */
export interface ReadOperation<Input> extends Run<Input> {
  readonly kind: 'read';
  /** What is left to do without the connection, which others wait for. */
  finish?(result: OperationResult, input: Input, context: OperationContext): Promise<OperationResult>;
}

/** A change. It is not repeated: whether it was committed is unknown when its connection breaks. */
export interface WriteOperation<Input> extends Run<Input> {
  readonly kind: 'write';
}

/** Work whose length is the data's choice: a delete takes along whatever belongs to the row. */
export interface LongOperation<Input> extends Run<Input> {
  readonly kind: 'long';
}

export interface BatchItem<Input> {
  readonly input: Input;
  readonly context: OperationContext;
}

/** A change that is made for many callers in one statement and one commit. */
export interface BatchOperation<Input> {
  readonly kind: 'batch';
  /** Beyond it a statement takes longer without gaining. */
  readonly maxSize: number;
  /** So many that wait begin another batch beside the one under way. */
  readonly sizeForAnother: number;
  /** @returns the results in the order of the items. */
  runAll(connection: Connection, items: readonly BatchItem<Input>[]): Promise<OperationResult[]>;
}

/** A list's rows as lines of a CSV file, without the line breaks. */
export interface CsvForm {
  readonly header: string;
  row(
    row: readonly (string | null)[],
    /** `isRaw`: cells as they are, whatever a spreadsheet makes of them. */
    shown: { readonly origin: string; readonly isRaw: boolean },
  ): string;
}

/** A list: a window of it is one answer if it is short, else it is streamed. */
export interface ListOperation<Input> {
  readonly kind: 'list';
  /** A row as the API shows it. */
  json(row: readonly (string | null)[], shown: { readonly origin: string }): string;
  readonly csv: CsvForm;
  /** The whole, or the window that was asked for; `limit` of those rows at most. */
  select(input: Input, limit?: number): ListSelect;
  /** What a page by cursor is read by; `undefined` where none was asked for. */
  page(input: Input): PageQuery | undefined;
  /** Counts what would be looked at for the list or its total, one more than `max` at most. */
  looked?(input: Input): { readonly count: CountSelect; readonly max: number } | undefined;
  /** Counts the rows of the whole list, one more than `MAX_TOTAL` at most; `undefined` where nobody asked. */
  total?(input: Input): CountSelect | undefined;
  /** What has to be done before the list is read. @returns whether it can be; `undefined` where nothing is to do. */
  prepare?(connection: Connection, input: Input, deadlineMs: number): Promise<boolean> | undefined;
  /** Indexes without which the whole table would be read; they may still be being built. */
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
