import { sqlStateOf } from '../postgres/failures.js';
import { type Connection, rowsOf, type Statement } from '../postgres/pool.js';

/**
 * The chunk that gets the next events. Clicks are copied to it and not to `events`: a COPY to a table with a statement
 * trigger that reads the new rows keeps each row for it, and can't write many rows at once. A chunk gives its own
 * rows the next ids if it was made since 0045_chunk_defaults.sql, or was still unused then.
 */

/** Takes events with any id. */
export const WHOLE_TABLE = 'events';

/** Of a partition's bounds too. */
const CHECK_VIOLATION = '23514';
const UNDEFINED_TABLE = '42P01';

/** How many ids later to look again where there was no chunk, for events that are still in months. */
const LOOK_AGAIN_AFTER = 65_536n;

interface HotChunk {
  /** Of the table; 0 where rows go to the whole table. */
  readonly oid: string;
  /** The first id that is not the chunk's. */
  readonly endId: bigint;
}

/** By connection, for a connection has one database. */
const chunks = new WeakMap<Connection, HotChunk>();

/** Statement triggers of an operator's own fire for the whole table only. */
const checkStatement: Statement = {
  name: 'hot_chunk_check',
  text: `SELECT last_value, (SELECT inhrelid::regclass::text FROM pg_inherits
                             WHERE inhrelid = $1 AND inhparent = 'events'::regclass
                               AND NOT EXISTS (SELECT FROM pg_trigger
                                               WHERE tgrelid = 'events'::regclass AND tgtype & 5 = 4
                                                 AND tgname <> 'events_inserted_stats'))
         FROM events_id_seq`,
};

const findStatement: Statement = {
  name: 'hot_chunk_find',
  text: `SELECT end_id, coalesce((
           SELECT adrelid FROM pg_attrdef JOIN pg_attribute ON attrelid = adrelid AND attnum = adnum
           WHERE adrelid = to_regclass(quote_ident(chunk.name)) AND attname = 'id'
         ), 0)
         FROM event_chunks() AS chunk
         WHERE first_id <= $1 AND end_id > $1`,
};

/**
 * Where a COPY of so many events should go: to the chunk that has ids for all of them, or to the whole table. Others may be
 * given ids meanwhile: a COPY that the chunk refuses by `isBeyondChunk` belongs to the whole table.
 * @returns the table as SQL names it.
 */
export async function tableForEvents(connection: Connection, rows: number): Promise<string> {
  let chunk = chunks.get(connection);
  let { nextId, table } = await check(connection, chunk);
  if (chunk === undefined || nextId >= chunk.endId) {
    chunk = await find(connection, nextId);
    chunks.set(connection, chunk);
    ({ nextId, table } = await check(connection, chunk));
  }
  return table !== null && nextId + BigInt(rows) <= chunk.endId ? table : WHOLE_TABLE;
}

/** Whether a row got an id that is not the chunk's, or the chunk has been ended and removed (`click-chunks.ts`) meanwhile. */
export function isBeyondChunk(error: unknown): boolean {
  const state = sqlStateOf(error);
  return state === CHECK_VIOLATION || state === UNDEFINED_TABLE;
}

async function check(
  connection: Connection,
  chunk: HotChunk | undefined,
): Promise<{ nextId: bigint; table: string | null }> {
  const [row] = await rowsOf<[last: string, table: string | null]>(connection, checkStatement, [
    chunk?.oid ?? '0',
  ]);
  if (row === undefined) throw new Error('events_id_seq has no row');
  return { nextId: BigInt(row[0]) + 1n, table: row[1] };
}

async function find(connection: Connection, nextId: bigint): Promise<HotChunk> {
  const [row] = await rowsOf<[endId: string, oid: string]>(connection, findStatement, [String(nextId)]);
  return row === undefined
    ? { oid: '0', endId: nextId + LOOK_AGAIN_AFTER }
    : { oid: row[1], endId: BigInt(row[0]) };
}
