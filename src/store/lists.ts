import type { Connection } from '../postgres/pool.js';

export interface ListSelect {
  readonly text: string;
  readonly values: readonly unknown[];
  /** The maximum number of rows, if known beforehand. */
  readonly maxRows: number | undefined;
  /** Rows before the first one, which PostgreSQL reads nevertheless. */
  readonly skippedRows: number;
  /** The maximum number of rows to return. */
  readonly rowLimit: number | undefined;
  /** Whether its rows are to be found by the indexes of their conditions: see `findByConditions`. */
  readonly isSearch?: boolean;
  /** A cheaper way to the same rows, if there is one. */
  readonly read?: (connection: Connection) => Promise<readonly (readonly (string | null)[])[]>;
}

export interface Paging {
  readonly page?: number | undefined;
  readonly per_page?: number | undefined;
}

/** A condition of a list's rows, with one value; composed by AND. */
export interface Condition {
  readonly value: unknown;
  readonly sql: (placeholder: string) => string;
}

/** The condition that a column has a value; none without a value. */
export function equals(column: string, value: string | undefined): Condition[] {
  return value === undefined ? [] : [{ value, sql: (placeholder) => `${column} = ${placeholder}` }];
}

/** The values of a statement, numbered in order of arrival. */
export class Parameters {
  readonly values: unknown[] = [];

  add(value: unknown): string {
    this.values.push(value);
    return `$${this.values.length}`;
  }

  /** SQL that is true if all conditions are. */
  all(conditions: readonly Condition[]): string {
    return conditions.map(({ value, sql }) => sql(this.add(value))).join(' AND ');
  }
}

/** The largest offset that PostgreSQL takes, and far past any list's end. */
const MAX_OFFSET = Number.MAX_SAFE_INTEGER;
const MAX_LIMIT = 1_000_000_000;

/**
 * The SQL of a list, without a name: a page's size belongs to its plan (a small one is read off an
 * index, whatever a plan made for any size would do).
 * @param conditions All of which every row fulfils.
 */
export function selectList(
  columns: string,
  source: string,
  order: string,
  paging: Paging,
  limit: number | undefined,
  conditions: readonly Condition[] = [],
): ListSelect {
  const parameters = new Parameters();
  const where = conditions.length === 0 ? '' : ` WHERE ${parameters.all(conditions)}`;
  const window = windowOf(paging, limit);
  return {
    text:
      `SELECT ${columns} FROM ${source}${where} ORDER BY ${order}` +
      (window === undefined ? '' : ` LIMIT ${window.limit} OFFSET ${window.offset}`),
    values: parameters.values,
    maxRows: isPaged(paging) ? window?.limit : undefined,
    skippedRows: window?.offset ?? 0,
    rowLimit: window?.limit,
  };
}

/** Counts the rows that fulfil all conditions, `limit` at most. */
export function countList(source: string, limit: number, conditions: readonly Condition[]): CountSelect {
  const parameters = new Parameters();
  const where = conditions.length === 0 ? '' : ` WHERE ${parameters.all(conditions)}`;
  return {
    text: `SELECT count(*) FROM (SELECT FROM ${source}${where} LIMIT ${limit}) AS counted`,
    values: parameters.values,
  };
}

export interface CountSelect extends Pick<ListSelect, 'isSearch'> {
  readonly text: string;
  readonly values: readonly unknown[];
}

/** A list's parameters, and the only user whose rows are shown; absent for all. */
export type Listed<Input> = Input & { readonly owner?: string | undefined };

/** An owner sees their own rows, whichever they ask for. */
export function visibleTo(owner: string | undefined, asked: string | undefined): string | undefined {
  if (owner === undefined) return asked;
  return asked === undefined || asked === owner ? owner : NO_ID;
}

/** No row has it. */
const NO_ID = '-1';

function isPaged(paging: Paging): paging is { page: number; per_page: number } {
  return paging.page !== undefined && paging.per_page !== undefined;
}

/** Numbers of rows; a list is paged only when both parameters are given. */
function windowOf(paging: Paging, limit?: number): { limit: number; offset: number } | undefined {
  if (!isPaged(paging)) return limit === undefined ? undefined : { limit, offset: 0 };
  const size = Math.min(MAX_LIMIT, paging.per_page);
  return { limit: size, offset: Math.min(MAX_OFFSET, (Math.max(1, paging.page) - 1) * size) };
}
