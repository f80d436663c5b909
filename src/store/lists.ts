import type { ListSelect } from './operation.js';

export interface Paging {
  readonly page?: number | undefined;
  readonly per_page?: number | undefined;
}

/** The largest offset that PostgreSQL takes, and far past any list's end. */
const MAX_OFFSET = Number.MAX_SAFE_INTEGER;
const MAX_LIMIT = 1_000_000_000;

/**
 * The SQL of a list, without a name: a page's size belongs to its plan (a small one is read off an
 * index, whatever a plan made for any size would do).
 * @param conditions Each column with the value that it must have; `undefined` for any.
 */
export function selectList(
  columns: string,
  source: string,
  order: string,
  paging: Paging,
  limit: number | undefined,
  conditions: Readonly<Record<string, string | undefined>> = {},
): ListSelect {
  const given = Object.entries(conditions).filter(([, value]) => value !== undefined);
  const filter = given.map(([column], index) => `${column} = $${index + 1}`).join(' AND ');
  const window = windowOf(paging, limit);
  return {
    text:
      `SELECT ${columns} FROM ${source}${filter === '' ? '' : ` WHERE ${filter}`} ORDER BY ${order}` +
      (window === undefined ? '' : ` LIMIT ${window.limit} OFFSET ${window.offset}`),
    values: given.map(([, value]) => value),
    maxRows: isPaged(paging) ? window?.limit : undefined,
    skippedRows: window?.offset ?? 0,
  };
}

function isPaged(paging: Paging): paging is { page: number; per_page: number } {
  return paging.page !== undefined && paging.per_page !== undefined;
}

/** Numbers of rows; a list is paged only when both parameters are given. */
function windowOf(paging: Paging, limit?: number): { limit: number; offset: number } | undefined {
  if (!isPaged(paging)) return limit === undefined ? undefined : { limit, offset: 0 };
  const size = Math.min(MAX_LIMIT, paging.per_page);
  return { limit: size, offset: Math.min(MAX_OFFSET, (Math.max(1, paging.page) - 1) * size) };
}
