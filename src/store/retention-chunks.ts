import { setTimeout as sleep } from 'node:timers/promises';
import { sqlStateOf } from '../postgres/failures.js';
import { type Connection, inTransaction, rowsOf, type Statement } from '../postgres/pool.js';
import { isArchived, RETENTION_LOCK } from './archive.js';
import { OLDEST_MINUTE, quarterOf } from './stats-rollups.js';

/**
 * Chunks of events that go as a whole: all of their rows are clicks and previews, and older than EVENTS_RETENTION_DAYS. What they
 * were of their links is kept as for rows that go one by one, and in the same transaction the chunk's table is dropped.
 */

/** Whoever comes to the events meanwhile waits so long at most; then the chunk lets them by, and tries again. */
const LOCK_WAIT = '200ms';
const ATTEMPTS = 10;
const PAUSE_MS = 100;
/** Chunks of more ids are removed row by row: to look at one takes too long. */
const MAX_IDS = 131_072;
const LOCK_NOT_AVAILABLE = '55P03';

/** For a transaction that removes a chunk. */
export const CHUNK_SETTINGS = `
  SET LOCAL lock_timeout = '${LOCK_WAIT}';
  SET LOCAL switchyard.differences = 'none';
  SET LOCAL jit = off`;

const chunksStatement: Statement = {
  name: 'retention_chunks',
  text: `SELECT name FROM event_chunks(), events_id_seq
         WHERE is_sealed AND end_id <= last_value AND end_id - greatest(first_id, 0) <= ${MAX_IDS} AND name ~ '^events_from_\\d+$'
         ORDER BY first_id`,
};

/** @param before Events from then on stay. */
const oldOnly = (chunk: string): string => `
  SELECT NOT EXISTS (SELECT FROM ${chunk} WHERE "timestamp" >= $1)
     AND NOT EXISTS (SELECT FROM ${chunk} WHERE event_type NOT IN ('click', 'preview'))
     AND NOT EXISTS (SELECT FROM ${chunk} AS e WHERE $2::text[] IS NOT NULL AND NOT (${isArchived('$2')}))`;

/**
 * Links stay as they are meanwhile. If one is locked by somebody else, its events go one by one, later; and so if one is
 * deleted and has events that are still being removed.
 */
export const linksLocked = (chunk: string): string => `
  WITH links AS MATERIALIZED (
    SELECT id FROM short_urls WHERE id IN (SELECT url_id FROM ${chunk})
  ), locked AS MATERIALIZED (
    SELECT id FROM short_urls WHERE id IN (SELECT id FROM links) ORDER BY id FOR KEY SHARE SKIP LOCKED
  )
  SELECT (SELECT count(*) FROM links) = (SELECT count(*) FROM locked)
     AND NOT EXISTS (SELECT FROM ${chunk} WHERE url_id IN (SELECT link_id FROM deleted_links))`;

/**
 * What a set of events was of its links, as rows of `dropped_events`: quarters of an hour, but minutes where statistics
 * may still be asked for by minutes.
 */
export const keepDropped = (source: string): string => `
  INSERT INTO dropped_events (url_id, slot, country, referrer, browser, os, device, clicks, previews)
  SELECT url_id, slot, country, referrer, browser, os, device, sum(clicks), sum(previews)
  FROM (
    SELECT url_id,
           CASE WHEN "timestamp" >= ${OLDEST_MINUTE} THEN date_trunc('minute', "timestamp")
                ELSE ${quarterOf('"timestamp"')} END AS slot,
           details::text AS details,
           count(*) FILTER (WHERE event_type = 'click') AS clicks,
           count(*) FILTER (WHERE event_type = 'preview') AS previews
    FROM ${source} WHERE url_id IS NOT NULL GROUP BY 1, 2, 3
  ) AS grouped LEFT JOIN LATERAL stats_facts(details) ON true
  GROUP BY 1, 2, 3, 4, 5, 6, 7
  ORDER BY 1, 2`;

/** How long one call goes on to the next chunk. */
const STEP_MS = 3000;

/**
 * Drops the chunks that may go as a whole, empty ones too; each in a transaction of its own.
 * @param before Events from then on stay, as PostgreSQL writes the time.
 * @param archives Files of which one must have each event; `undefined` for none.
 * @returns how many events that were, and whether it stopped before the last chunk and is to be called again.
 */
export async function dropOldChunks(
  connection: Connection,
  before: string,
  archives?: readonly string[],
): Promise<{ readonly removed: number; readonly isMore: boolean }> {
  const untilMs = performance.now() + STEP_MS;
  let removed = 0;
  for (const [name = ''] of await rowsOf<[string]>(connection, chunksStatement, [])) {
    // Without anything removed another call would come no further.
    if (removed > 0 && performance.now() > untilMs) return { removed, isMore: true };
    removed += await dropChunk(connection, `"${name}"`, [before, archives ?? null]);
  }
  return { removed, isMore: false };
}

async function dropChunk(connection: Connection, chunk: string, values: readonly unknown[]): Promise<number> {
  // Without a lock first, and again with it: most chunks are young.
  if (!(await isTrue(connection, oldOnly(chunk), values))) return 0;
  try {
    return await inTransaction(connection, async () => {
      await connection.query(CHUNK_SETTINGS);
      if (!(await isTrue(connection, 'SELECT pg_try_advisory_xact_lock($1)', [RETENTION_LOCK]))) return 0;
      await connection.query(`LOCK TABLE ${chunk} IN SHARE ROW EXCLUSIVE MODE`);
      if (!(await isTrue(connection, oldOnly(chunk), values))) return 0;
      if (!(await isTrue(connection, linksLocked(chunk)))) return 0;
      const { rows } = await connection.query<{ n: string }>(`SELECT count(*) AS n FROM ${chunk}`);
      await connection.query(keepDropped(chunk));
      await tryAgain(connection, `DROP TABLE ${chunk}`, ATTEMPTS);
      return Number(rows[0]?.n);
    });
  } catch (error) {
    // Somebody always needed the events: they go row by row, or in the next round.
    if (isLocked(error)) return 0;
    throw error;
  }
}

/** Runs, within a transaction, a statement that needs a lock: others pass between two attempts. */
export async function tryAgain(connection: Connection, sql: string, attempts: number): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    await connection.query('SAVEPOINT before_lock');
    try {
      await connection.query(sql);
      return;
    } catch (error) {
      if (attempt === attempts || !isLocked(error)) throw error;
      await connection.query('ROLLBACK TO SAVEPOINT before_lock');
      await sleep(PAUSE_MS);
    }
  }
}

/** Whether somebody else had what was to be locked. */
export function isLocked(error: unknown): boolean {
  return sqlStateOf(error) === LOCK_NOT_AVAILABLE;
}

export async function isTrue(
  connection: Connection,
  sql: string,
  values: readonly unknown[] = [],
): Promise<boolean> {
  const { rows } = await connection.query<{ is: string }>(`SELECT (${sql}) AS is`, [...values]);
  return rows[0]?.is === 't';
}
