import { encodeCursor } from '../../api/cursors.js';
import type { CallAnswer } from '../../messages/calls.js';
import { type Connection, inTransaction } from '../../postgres/pool.js';
import { missingOf } from '../../store/background-indexes.js';
import { type PageQuery, readPage } from '../../store/list-pages.js';
import { listText, wholeText } from '../../store/list-text.js';
import type { CountSelect } from '../../store/lists.js';
import {
  failed,
  type ListOperation,
  type LongOperation,
  type OperationContext,
  type ReadOperation,
  type WriteOperation,
} from '../../store/operation.js';
import { findByConditions, SEARCH_INDEX, trigramSchema } from '../../store/search.js';

/** A whole list up to this length is one answer; a longer one is streamed. */
export const SHORT_LIST_ROWS = 500;

/** A page up to this size is one answer, unless it lies deep in its list. */
const MAX_CALL_PAGE = 1000;

/**
 * A page that skips more rows than this keeps a connection while they are read. It runs as a transfer, so
 * that no miss or create waits for it.
 */
const MAX_CALL_OFFSET = 10_000;

export type SingleOperation =
  | ReadOperation<unknown>
  | WriteOperation<unknown>
  | LongOperation<unknown>
  | ListOperation<unknown>;

/** Performs one call. It throws for the database's failures; a client's mistake is an answer. */
export function perform(
  connection: Connection,
  operation: SingleOperation,
  input: unknown,
  context: OperationContext,
): Promise<CallAnswer> {
  return operation.kind === 'list'
    ? listShort(connection, operation, input, context)
    : operation.run(connection, input, context);
}

async function listShort(
  connection: Connection,
  operation: ListOperation<unknown>,
  given: unknown,
  context: OperationContext,
): Promise<CallAnswer> {
  const asked = { ...(given as object), owner: context.owner };
  const missing = await missingOf(connection, operation.indexes?.(asked) ?? []);
  if (missing.includes(SEARCH_INDEX)) {
    const isRefused = (await trigramSchema(connection)) === undefined;
    return failed(isRefused ? 'SEARCH_UNSUPPORTED' : 'SEARCH_UNDER_WAY');
  }
  if (missing.length > 0) return failed('ORDER_UNDER_WAY');
  const input = await preparedInput(connection, operation, asked, context.deadlineMs);
  if (input === undefined) return failed('ORDER_UNDER_WAY');
  const looked = operation.looked?.(input);
  if (looked !== undefined && ((await countOf(connection, looked.count)) ?? 0) > looked.max)
    return failed('NARROW_SEARCH');
  const total = await countOf(connection, operation.total?.(input));
  const answer = await listOrPage(connection, operation, input, context);
  if (total === undefined || (!answer.ok && answer.error !== 'LIST_TOO_LONG')) return answer;
  return { ...answer, total };
}

/** @returns what to read the list with; `undefined` if its order is still being built. */
export async function preparedInput(
  connection: Connection,
  operation: ListOperation<unknown>,
  asked: object,
  deadlineMs: number,
): Promise<object | undefined> {
  if (operation.prepare === undefined) return asked;
  const prepared = await operation.prepare(connection, asked, deadlineMs);
  return prepared === undefined ? undefined : { ...asked, ...prepared };
}

/** @returns `undefined` where there is nothing to count. */
async function countOf(connection: Connection, count: CountSelect | undefined): Promise<number | undefined> {
  if (count === undefined) return undefined;
  const [row] = await rowsOf(connection, count);
  return Number(row?.[0]);
}

async function rowsOf(
  connection: Connection,
  { text, values, isSearch }: CountSelect,
): Promise<(string | null)[][]> {
  const read = async (): Promise<(string | null)[][]> =>
    (await connection.query<(string | null)[]>({ text, values: [...values], rowMode: 'array' })).rows;
  if (isSearch !== true) return read();
  return inTransaction(connection, async () => {
    await findByConditions(connection);
    return read();
  });
}

async function listOrPage(
  connection: Connection,
  operation: ListOperation<unknown>,
  input: unknown,
  context: OperationContext,
): Promise<CallAnswer> {
  const query = operation.page(input);
  if (query !== undefined) return listPage(connection, operation, input, query, context);
  const select = operation.select(input, SHORT_LIST_ROWS + 1);
  const { maxRows, skippedRows } = select;
  const isHeavy = (maxRows !== undefined && maxRows > MAX_CALL_PAGE) || skippedRows > MAX_CALL_OFFSET;
  if (isHeavy) return { ok: false, error: 'LIST_TOO_LONG' };
  const rows = await (select.read?.(connection) ?? rowsOf(connection, select));
  if (maxRows === undefined && rows.length > SHORT_LIST_ROWS) return { ok: false, error: 'LIST_TOO_LONG' };
  return { ok: true, body: wholeText(listText(operation, input, context), rows) };
}

async function listPage(
  connection: Connection,
  operation: ListOperation<unknown>,
  input: unknown,
  query: PageQuery,
  context: OperationContext,
): Promise<CallAnswer> {
  const page = await readPage(connection, query);
  if (page === undefined) return failed('INVALID_CURSOR');
  const body = wholeText(listText(operation, input, context), page.rows);
  return page.next === undefined
    ? { ok: true, body }
    : { ok: true, body, next: encodeCursor(query.digest, page.next) };
}
