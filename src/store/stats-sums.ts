import { type Connection, inTransaction } from '../postgres/pool.js';
import {
  addLinkStatement,
  addStatement,
  buildStatement,
  mergeableStatement,
  mergeStatement,
  OLDEST_MINUTE,
  SUMS_SETTINGS,
  USUAL_SETTINGS,
} from './stats-statements.js';
import { nextRuns, readWaiting, type WaitingDifferences } from './stats-waiting.js';

/** Who adds to the sums, or makes them anew, holds this lock: one server at a time. */
const STATISTICS_LOCK = 0x5357_0003;

export interface SumsStep extends WaitingDifferences {
  /** Whether another step would find something at once. */
  readonly hasMore: boolean;
}

/**
 * Adds what waits to the sums, in one transaction: each difference once. Where another server does so now, or nothing
 * waits, nothing is done.
 */
export async function addDifferences(connection: Connection): Promise<SumsStep> {
  const before = await readWaiting(connection);
  if (!before.isBuilt || before.queued === 0) return { ...before, hasMore: false };
  const hasMore = await inTransaction(connection, async () => {
    if (!(await hasLock(connection))) return false;
    // All that was committed before the transaction began, whose time `now()` is, is in what this returns.
    const { runs, isAll } = await nextRuns(connection);
    for (const { ids, reset } of runs) {
      await add(connection, ids);
      if (reset !== undefined) await forget(connection, reset);
    }
    if (isAll) await connection.query('UPDATE stats_state SET as_of = now()');
    return !isAll;
  });
  return { ...(await readWaiting(connection)), hasMore };
}

async function add(connection: Connection, ids: readonly string[]): Promise<void> {
  await connection.query(
    `UPDATE stats_state SET has_zeros = true
     WHERE NOT has_zeros AND EXISTS (SELECT FROM stats_queue WHERE id = ANY ($1::bigint[]) AND is_less)`,
    [ids],
  );
  await connection.query(SUMS_SETTINGS);
  await connection.query(addStatement, [ids]);
  await connection.query(USUAL_SETTINGS);
}

async function forget(connection: Connection, what: 'no_events' | 'no_owners'): Promise<void> {
  if (what === 'no_owners') await connection.query('DELETE FROM stats_sums WHERE owner > 0');
  else await connection.query('DELETE FROM stats_sums; DELETE FROM stats_links');
  // Events that were dropped before still count.
  await connection.query('UPDATE stats_state SET is_built = false WHERE EXISTS (SELECT FROM dropped_events)');
}

async function hasLock(connection: Connection): Promise<boolean> {
  const { rows } = await connection.query<{ locked: string }>(
    'SELECT pg_try_advisory_xact_lock($1) AS locked',
    [STATISTICS_LOCK],
  );
  return rows[0]?.locked === 't';
}

/**
 * Makes the sums anew from the events, dropped ones too, as they are at one moment: what waits by then is in them, and what comes later
 * goes on waiting. Killed, it has done nothing, and is begun again.
 * @returns whether the sums are there; `false` where another server makes them now.
 */
export async function buildSums(connection: Connection): Promise<boolean> {
  await connection.query('BEGIN ISOLATION LEVEL REPEATABLE READ');
  try {
    await connection.query(
      'SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0',
    );
    const isFirst = await hasLock(connection);
    const { rows } = await connection.query<{ is_built: string }>('SELECT is_built FROM stats_state');
    if (isFirst && rows[0]?.is_built === 'f') {
      await connection.query('DELETE FROM stats_sums; DELETE FROM stats_links');
      await connection.query(SUMS_SETTINGS);
      await connection.query(buildStatement);
      await connection.query('DELETE FROM stats_queue; DELETE FROM stats_batches');
      await connection.query('UPDATE stats_state SET is_built = true, as_of = now()');
    }
    await connection.query('COMMIT');
    return isFirst || rows[0]?.is_built === 't';
  } catch (error) {
    await connection.query('ROLLBACK');
    throw error;
  }
}

/** A link with more clicks has sums of its own; until then they are counted when somebody asks. */
const COUNTED_CLICKS = 10_000;
const LINKS_A_TIME = 20;

/**
 * Gives links with many clicks sums of their own.
 * @returns how many it was; there may be more.
 */
export async function sumBusyLinks(connection: Connection): Promise<number> {
  return inTransaction(connection, async () => {
    if (!(await hasLock(connection))) return 0;
    const { rows } = await connection.query<{ id: string }>(
      `SELECT link_id AS id FROM link_clicks
       WHERE clicks > ${COUNTED_CLICKS} AND link_id > 0 AND (SELECT is_built FROM stats_state)
         AND NOT EXISTS (SELECT FROM stats_summed_links WHERE url_id = link_id)
       ORDER BY clicks DESC LIMIT ${LINKS_A_TIME}`,
    );
    const ids = rows.map(({ id }) => id);
    if (ids.length === 0) return 0;
    await connection.query(SUMS_SETTINGS);
    await connection.query(addLinkStatement, [ids]);
    await connection.query('INSERT INTO stats_summed_links SELECT unnest($1::bigint[])', [ids]);
    return ids.length;
  });
}

/** Removes what is out of date: minutes that are too old, and what has become zero. */
export async function tidySums(connection: Connection): Promise<void> {
  await inTransaction(connection, async () => {
    if (!(await hasLock(connection))) return;
    // Sums of links as the previous release writes them are folded into quarters of the new form.
    await connection.query(`
      WITH old AS (DELETE FROM stats_sums WHERE step = 'm' AND slot < ${OLDEST_MINUTE} RETURNING *)
      INSERT INTO stats_links (step, slot, amount, url_ids, clicks, previews)
      SELECT 'q', date_bin('15 minutes', slot, timestamp '2000-01-01') AS quarter, count(*), array_agg(value::bigint),
             array_agg(clicks::integer), array_agg(previews::integer)
      FROM old WHERE field = 'l' AND owner = 0 GROUP BY quarter`);
    await connection.query(
      `UPDATE stats_links SET step = 'q', slot = date_bin('15 minutes', slot, timestamp '2000-01-01')
       WHERE step = 'm' AND slot < ${OLDEST_MINUTE}`,
    );
    const { rows } = await connection.query(
      'UPDATE stats_state SET has_zeros = false WHERE has_zeros RETURNING true',
    );
    if (rows.length === 0) return;
    await connection.query('DELETE FROM stats_sums WHERE clicks = 0 AND previews = 0');
    await connection.query(
      `DELETE FROM stats_summed_links
       WHERE NOT EXISTS (SELECT FROM short_urls WHERE id = url_id)
         AND NOT EXISTS (SELECT FROM stats_sums WHERE owner = -url_id)`,
    );
  });
}

/** How long sums may wait for merges; the next ones go on. */
const MERGE_MS = 500;

/** Merges rows of links that were added to the same slot one after another; each slot in a transaction of its own. */
export async function mergeLinkSums(connection: Connection): Promise<void> {
  const untilMs = performance.now() + MERGE_MS;
  const { rows } = await connection.query<{ step: string; slot: string }>(mergeableStatement);
  for (const { step, slot } of rows) {
    if (performance.now() > untilMs) return;
    await inTransaction(connection, async () => {
      if (await hasLock(connection)) await connection.query(mergeStatement, [step, slot]);
    });
  }
}
