import type { CallAnswer } from '../../messages/calls.js';
import type { Connection } from '../../postgres/pool.js';
import type {
  ListOperation,
  LongOperation,
  OperationContext,
  ReadOperation,
  WriteOperation,
} from '../../store/operation.js';

/** A whole list up to this length is one answer; a longer one is streamed. */
export const SHORT_LIST_ROWS = 500;

/** A page up to this size is one answer. */
const MAX_CALL_PAGE = 1000;

export type SingleOperation =
  | ReadOperation<unknown>
  | WriteOperation<unknown>
  | LongOperation<unknown>
  | ListOperation<unknown>;

/** Performs one call. What it throws is the database's doing; a client's mistake is an answer. */
export function perform(
  connection: Connection,
  operation: SingleOperation,
  input: unknown,
  context: OperationContext,
): Promise<CallAnswer> {
  return operation.kind === 'list'
    ? listShort(connection, operation, input)
    : operation.run(connection, input, context);
}

async function listShort(
  connection: Connection,
  { table, select }: ListOperation<unknown>,
  input: unknown,
): Promise<CallAnswer> {
  const { text, values, maxRows } = select(input, SHORT_LIST_ROWS + 1);
  if (maxRows !== undefined && maxRows > MAX_CALL_PAGE) return { ok: false, error: 'LIST_TOO_LONG' };
  const { rows } = await connection.query<(string | null)[]>({
    text,
    values: [...values],
    rowMode: 'array',
  });
  if (maxRows === undefined && rows.length > SHORT_LIST_ROWS) return { ok: false, error: 'LIST_TOO_LONG' };
  return { ok: true, body: `[${rows.map((row) => table.json(row)).join(',')}]` };
}
