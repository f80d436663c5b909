import { sqlStateOf } from '../postgres/failures.js';
import type { Connection } from '../postgres/pool.js';
import { isToBeEmptied } from './click-chunks.js';

/**
 * `events` is partitioned by ids. Rows come into the hot chunk, which has no index; when all its ids are given it
 * is sealed, that is, gets its indexes. What chunks there are and which are sealed is in the catalog alone, so that
 * after a kill there is nothing to mend: what is missing is made. Between which times its events lie is noted then
 * (newest-events.ts reads it).
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
/** The chunk was dropped meanwhile, or moved to another one. */
const UNDEFINED_TABLE = '42P01';

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
 * Chunks ahead, and one full chunk sealed and its times noted. Outside a transaction.
 * @param areClicksKept Whether clicks stay events; if not, their chunks get no indexes, for they are about to go.
 * @returns the chunk that was sealed or noted, if any.
 */
export async function keepEventChunks(
  connection: Connection,
  areClicksKept = true,
): Promise<string | undefined> {
  await makeEventChunks(connection);
  if ((await fullChunks(connection)).length === 0 || !(await lock(connection))) return undefined;
  try {
    // Another server may have sealed one meanwhile.
    for (const chunk of await fullChunks(connection)) {
      if (await seal(connection, chunk, areClicksKept)) return chunk.name;
    }
    return undefined;
  } finally {
    await unlock(connection);
  }
}

interface FullChunk {
  readonly name: string;
  readonly first_id: string;
  readonly end_id: string;
}

/** Chunks whose ids are all given, without all their indexes or their times, the oldest first. */
async function fullChunks(connection: Connection): Promise<FullChunk[]> {
  const { rows } = await connection.query<FullChunk>(
    `SELECT name, first_id, end_id FROM event_chunks() AS chunk, events_id_seq
     WHERE end_id <= last_value
       AND NOT (is_sealed AND EXISTS (SELECT FROM event_chunk_times AS noted
                                      WHERE noted.first_id = chunk.first_id AND noted.end_id = chunk.end_id))
     ORDER BY first_id`,
  );
  return rows;
}

/**
 * Builds the indexes of a chunk that it lacks and notes its times, each in a transaction of its own: a delete of events
 * waits for one at most. Who still writes to the chunk is not waited for longer than a moment; its turn comes again.
 * @returns whether all is done.
 */
async function seal(
  connection: Connection,
  { name, first_id, end_id }: FullChunk,
  areClicksKept: boolean,
): Promise<boolean> {
  await connection.query(SEAL_SETTINGS);
  try {
    if (!areClicksKept && (await isToBeEmptied(connection, name))) return false;
    const statements = await missingIndexes(connection, name);
    for (const statement of statements) await connection.query(statement);
    // The planner knows nothing of the chunk otherwise until autovacuum comes by; a small sample is enough.
    if (statements.length > 0) await connection.query(`ANALYZE "${name}"`);
    await connection.query('SELECT note_event_chunk_times($1, $2, $3)', [name, first_id, end_id]);
    return true;
  } catch (error) {
    if (![LOCK_NOT_AVAILABLE, UNDEFINED_TABLE].includes(sqlStateOf(error) ?? '')) throw error;
    return false;
  } finally {
    await connection.query(USUAL_SETTINGS);
  }
}

/** What builds them; the months of before have theirs. */
async function missingIndexes(connection: Connection, chunk: string): Promise<string[]> {
  const { rows } = await connection.query<{ statement: string }>(
    `SELECT statement FROM event_chunk_indexes($1) AS wanted, event_chunks() AS chunk
     WHERE chunk.name = $1 AND NOT is_sealed AND to_regclass(quote_ident(wanted.name)) IS NULL`,
    [chunk],
  );
  return rows.map(({ statement }) => statement);
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
