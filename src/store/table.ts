import { csvCell, guardCell } from '../api/csv-cells.js';
import { type Connection, rowsOf, type Statement } from '../postgres/pool.js';
import type { CsvForm } from './operation.js';

/**
 * How PostgreSQL's text of a column becomes JSON. Ids and details pass unchanged: numbers stay exact, and
 * JSON is not parsed only to be written again.
 */
const writers = {
  number: (text: string): string => text,
  json: (text: string): string => text,
  /** An array of texts. */
  list: (text: string): string => text,
  text: (text: string): string => JSON.stringify(text),
  boolean: (text: string): string => (text === 't' ? 'true' : 'false'),
  /** `2026-01-31 12:00:00.123` becomes `"2026-01-31T12:00:00"`. */
  time: (text: string): string => `"${text.slice(0, 10)}T${text.slice(11, 19)}"`,
} as const;

/** How PostgreSQL's text of a column becomes a cell of a CSV file; JSON's form without its quotes. */
const cells = {
  number: (text: string): string => text,
  json: (text: string): string => text,
  list: (text: string): string => (JSON.parse(text) as string[]).join(','),
  text: (text: string): string => text,
  boolean: (text: string): string => (text === 't' ? 'true' : 'false'),
  time: (text: string): string => `${text.slice(0, 10)}T${text.slice(11, 19)}`,
} as const;

interface Column {
  readonly as: keyof typeof writers;
  readonly isNullable?: true;
  /** Its SQL expression, if it is no column of that name. */
  readonly sql?: string;
}

type Columns = Readonly<Record<string, Column>>;

declare const columnsOfRow: unique symbol;

/** A row of a table as PostgreSQL's text, in the order of its columns; more may follow them. */
export type Row<C extends Columns> = readonly (string | null)[] & { readonly [columnsOfRow]?: C };

/**
 * The columns of an entity, declared once: the SELECT list, the type of a row, and the row as the API shows
 * it, in this order and under these names.
 */
export class Table<const C extends Columns> {
  readonly name: string;
  /** The list for SELECT or RETURNING. */
  readonly columns: string;
  readonly #index: Readonly<Record<string, number>>;
  readonly #writers: readonly { readonly prefix: string; readonly write: (text: string) => string }[];
  readonly #cells: readonly ((text: string) => string)[];

  constructor(name: string, columns: C) {
    this.name = name;
    this.columns = Object.entries(columns)
      .map(([column, { sql }]) => (sql === undefined ? quoted(column) : `${sql} AS ${quoted(column)}`))
      .join(', ');
    this.#index = Object.fromEntries(Object.keys(columns).map((column, index) => [column, index]));
    this.#writers = Object.entries(columns).map(([column, { as }], index) => ({
      prefix: `${index === 0 ? '{' : ','}${JSON.stringify(column)}:`,
      write: writers[as],
    }));
    this.#cells = Object.values(columns).map(({ as }) => cells[as]);
  }

  /** The names of the columns. */
  get names(): readonly string[] {
    return Object.keys(this.#index);
  }

  /** The columns of a table expression with another name. */
  columnsOf(alias: string): string {
    return Object.keys(this.#index)
      .map((column) => `${alias}.${quoted(column)}`)
      .join(', ');
  }

  /** The rows of a statement that selects these columns, and perhaps others after them. */
  rows(connection: Connection, statement: Statement, values: readonly unknown[]): Promise<Row<C>[]> {
    return rowsOf<Row<C>>(connection, statement, values);
  }

  value<Name extends keyof C & string>(
    row: Row<C>,
    name: Name,
  ): C[Name] extends { isNullable: true } ? string | null : string {
    return row[this.#index[name] as number] as C[Name] extends { isNullable: true } ? string | null : string;
  }

  /** The values that the statement selected after the columns. */
  extra(row: Row<C>, position: number): string | null | undefined {
    return row[this.#writers.length + position];
  }

  /** The row as a JSON object. */
  json(row: Row<C>): string {
    let text = '';
    const columns = this.#writers;
    for (let index = 0; index < columns.length; index += 1) {
      const { prefix, write } = columns[index] as { prefix: string; write: (text: string) => string };
      const value = row[index];
      text += value === null || value === undefined ? `${prefix}null` : prefix + write(value);
    }
    return `${text}}`;
  }

  /** The row as cells of a CSV file, not joined and not quoted; null is empty. */
  cells(row: Row<C>): string[] {
    return this.#cells.map((cell, index) => {
      const value = row[index];
      return value === null || value === undefined ? '' : cell(value);
    });
  }
}

/** A list's rows as those of a CSV file, with further cells after the table's columns. */
export function csvOf<C extends Columns>(
  table: Table<C>,
  further: { readonly [name: string]: (row: Row<C>, shown: { readonly origin: string }) => string } = {},
): CsvForm {
  const more = Object.values(further);
  return {
    header: [...table.names, ...Object.keys(further)].join(','),
    row: (row, shown) => {
      const all = [...table.cells(row as Row<C>), ...more.map((cell) => cell(row as Row<C>, shown))];
      return all.map((cell) => csvCell(shown.isRaw ? cell : guardCell(cell))).join(',');
    },
  };
}

function quoted(column: string): string {
  return `"${column}"`;
}
