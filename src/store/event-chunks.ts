import { sqlStateOf } from '../postgres/failures.js';
import type { Connection } from '../postgres/pool.js';

/**
 * `events` is partitioned by ids. Rows come into the hot chunk, which has no index; when all its ids are given it
 * is sealed, that is, gets its indexes. What chunks there are and which are sealed is in the catalog alone, so that
 * after a kill there is nothing to mend: what is missing is made.
 */

/** Who seals chunks, or puts events of before into them, holds it: one server at a time. */
export const CHUNKS_LOCK = 0x5357_0006;

/** Others wait so long for a chunk at most, when somebody else keeps the lock that an index needs. */
const LOCK_WAIT = '200ms';
/** Helpers of a build cost more than they save for so few rows. */
const SEAL_SETTINGS = `SET lock_timeout = '${LOCK_WAIT}'; SET max_parallel_maintenance_workers = 0;
  SET default_statistics_target = 10`;
const USUAL_SETTINGS =
  'RESET lock_timeout; RESET max_parallel_maintenance_workers; RESET default_statistics_target';
const LOCK_NOT_AVAILABLE = '55P03';

/** Whether events are in chunks; if not, they are in months. */
export async function isInChunks(connection: Connection): Promise<boolean> {
  const { rows } = await connection.query(
    `SELECT FROM pg_partitioned_table
       JOIN pg_attribute ON attrelid = partrelid AND attnum = partattrs[0] AND attname = 'id'
     WHERE partrelid = to_regclass('events')`,
  );
  return rows.length > 0;
}

/** Makes chunks ahead of the ids that were given, if there are too few. @returns how many. */
export async function makeEventChunks(connection: Connection): Promise<number> {
  const { rows } = await connection.query<{ made: string }>('SELECT make_event_chunks() AS made');
  return Number(rows[0]?.made);
}

/**
 * Chunks ahead, and one full chunk sealed. Outside a transaction.
 * @returns the chunk that was sealed, if any.
 */
export async function keepEventChunks(connection: Connection): Promise<string | undefined> {
  await makeEventChunks(connection);
  const full = await fullChunks(connection);
  if (full.length === 0 || !(await lock(connection))) return undefined;
  try {
    // Another server may have sealed it meanwhile.
    const [chunk] = await fullChunks(connection);
    return chunk !== undefined && (await seal(connection, chunk)) ? chunk : undefined;
  } finally {
    await unlock(connection);
  }
}

/** Chunks whose ids are all given, without all their indexes, the oldest first. */
async function fullChunks(connection: Connection): Promise<string[]> {
  const { rows } = await connection.query<{ name: string }>(
    `SELECT name FROM event_chunks(), events_id_seq WHERE NOT is_sealed AND end_id <= last_value ORDER BY first_id`,
  );
  return rows.map(({ name }) => name);
}

/**
 * Builds the indexes of a chunk, each in a transaction of its own: a delete of events waits for one at most. Who still
 * writes to the chunk is not waited for longer than a moment; its turn comes again.
 * @returns whether all are there.
 */
async function seal(connection: Connection, chunk: string): Promise<boolean> {
  const { rows } = await connection.query<{ statement: string }>(
    'SELECT statement FROM event_chunk_indexes($1) WHERE to_regclass(quote_ident(name)) IS NULL',
    [chunk],
  );
  await connection.query(SEAL_SETTINGS);
  try {
    for (const { statement } of rows) await connection.query(statement);
    // The planner knows nothing of the chunk otherwise until autovacuum comes by; a small sample is enough.
    await connection.query(`ANALYZE "${chunk}"`);
    return true;
  } catch (error) {
    if (sqlStateOf(error) !== LOCK_NOT_AVAILABLE) throw error;
    return false;
  } finally {
    await connection.query(USUAL_SETTINGS);
  }
}

async function lock(connection: Connection): Promise<boolean> {
  const { rows } = await connection.query<{ locked: string }>('SELECT pg_try_advisory_lock($1) AS locked', [
    CHUNKS_LOCK,
  ]);
  return rows[0]?.locked === 't';
}

async function unlock(connection: Connection): Promise<void> {
  await connection.query('SELECT pg_advisory_unlock($1)', [CHUNKS_LOCK]);
}
