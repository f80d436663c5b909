import type { ListFormat } from '../api/list-format.js';
import type { ListOperation } from './operation.js';

/** A list as text, written piece by piece: the parts before, between and after its rows. */
export interface ListText {
  readonly head: string;
  readonly separator: string;
  readonly tail: string;
  row(row: readonly (string | null)[]): string;
}

/** The part of a list's query that chooses its format. */
interface Form {
  readonly format?: ListFormat | undefined;
  readonly raw?: boolean | undefined;
}

export function listText(
  operation: ListOperation<unknown>,
  input: unknown,
  shown: { readonly origin: string },
): ListText {
  const { format = 'json', raw: isRaw = false } = input as Form;
  switch (format) {
    case 'json':
      return { head: '[', separator: ',', tail: ']', row: (row) => operation.json(row, shown) };
    case 'ndjson':
      return { head: '', separator: '', tail: '', row: (row) => `${operation.json(row, shown)}\n` };
    case 'csv':
      return {
        head: `${operation.csv.header}\r\n`,
        separator: '',
        tail: '',
        row: (row) => `${operation.csv.row(row, { ...shown, isRaw })}\r\n`,
      };
    default:
      throw new Error(`no such form of a list: ${String(format satisfies never)}`);
  }
}

/** A whole short list. */
export function wholeText(text: ListText, rows: readonly (readonly (string | null)[])[]): string {
  return text.head + rows.map((row) => text.row(row)).join(text.separator) + text.tail;
}
