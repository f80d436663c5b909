import { type Connection, inTransaction, rowsOf } from '../postgres/pool.js';
import { foldNext } from './stats-folds.js';
import { mergeRows } from './stats-merges.js';
import { addLinkStatement, addStatement, SUMS_SETTINGS, USUAL_SETTINGS } from './stats-statements.js';
import { hasStatisticsLock, nextRuns, readWaiting, type WaitingDifferences } from './stats-waiting.js';

export interface SumsStep extends WaitingDifferences {
  /** Whether another step would find something at once. */
  readonly hasMore: boolean;
}

/**
 * Adds what waits to the sums, in one transaction: each difference once. Does nothing while another server does it, or if
 * nothing waits.
 */
export async function addDifferences(connection: Connection): Promise<SumsStep> {
  const before = await readWaiting(connection);
  if (before.queued === 0) return { ...before, hasMore: false };
  const hasMore = await inTransaction(connection, async () => {
    if (!(await hasStatisticsLock(connection))) return false;
    // Deleted links whose events are still being removed. Checked first: their last events may have joined the queue by then.
    const { rows } = await connection.query<{ at: string | null }>(
      'SELECT min(deleted_at) AS at FROM deleted_links',
    );
    // This returns all that was committed before the transaction began, at `now()`.
    const { runs, isAll } = await nextRuns(connection);
    for (const { ids, reset } of runs) {
      await add(connection, ids);
      if (reset !== undefined) await forget(connection, reset);
    }
    if (isAll) {
      const text = 'UPDATE stats_state SET as_of = greatest(as_of, least(now(), $1::timestamptz))';
      await connection.query(text, [rows[0]?.at ?? null]);
    }
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
  await rowsOf(connection, addStatement, [ids]);
  await connection.query(USUAL_SETTINGS);
}

async function forget(connection: Connection, what: 'no_events' | 'no_owners'): Promise<void> {
  await connection.query(
    what === 'no_owners'
      ? `DELETE FROM stats_slots WHERE kind IN ('t', 'f') AND first_key > 0; DELETE FROM stats_day_facts WHERE key > 0`
      : 'DELETE FROM stats_slots; DELETE FROM stats_tops; DELETE FROM stats_day_facts',
  );
  // Events that retention dropped still count.
  await connection.query(
    'UPDATE stats_state SET is_whole = false, next_url = NULL WHERE EXISTS (SELECT FROM dropped_events)',
  );
}

/** A link with more clicks gets sums of its own; those of others are counted on request. */
const COUNTED_CLICKS = 10_000;
const LINKS_A_TIME = 20;

/**
 * Gives links with many clicks sums of their own.
 * @returns how many links; there may be more.
 */
export async function sumBusyLinks(connection: Connection): Promise<number> {
  return inTransaction(connection, async () => {
    if (!(await hasStatisticsLock(connection))) return 0;
    const { rows } = await connection.query<{ id: string }>(
      `SELECT link_id AS id FROM link_clicks
       WHERE clicks > ${COUNTED_CLICKS} AND link_id > 0 AND (SELECT is_whole FROM stats_state)
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

/** Now and then, removes sums that have become zero. */
export async function tidySums(connection: Connection): Promise<void> {
  const { rowCount } = await connection.query(
    'UPDATE stats_state SET has_zeros = false WHERE has_zeros AND is_whole',
  );
  if (rowCount === 0) return;
  await connection.query(
    `DELETE FROM stats_summed_links WHERE NOT EXISTS (SELECT FROM short_urls WHERE id = url_id)
       AND NOT EXISTS (SELECT FROM deleted_links WHERE link_id = url_id)`,
  );
  if (!(await mergeRows(connection, 1))) await connection.query('UPDATE stats_state SET has_zeros = true');
}

/** Each takes a look-up in all chunks of events. */
const GONE_A_TIME = 1000;

/** Forgets links that are gone and have no clicks any more. @returns whether there may be more. */
async function forgetGoneLinks(connection: Connection): Promise<boolean> {
  return inTransaction(connection, async () => {
    if (!(await hasStatisticsLock(connection))) return false;
    // If nothing waits, the sums have exactly what the events have.
    const { rowCount } = await connection.query(
      `DELETE FROM stats_gone_links WHERE url_id IN (
         SELECT url_id FROM stats_gone_links AS gone
         WHERE NOT EXISTS (SELECT FROM stats_queue) AND NOT EXISTS (SELECT FROM stats_batches)
           AND NOT EXISTS (SELECT FROM events WHERE events.url_id = gone.url_id AND event_type IN ('click', 'preview'))
           AND NOT EXISTS (SELECT FROM dropped_events WHERE dropped_events.url_id = gone.url_id)
         LIMIT ${GONE_A_TIME})`,
    );
    return rowCount === GONE_A_TIME;
  });
}

/** How long folds may continue before the next step. */
const UPKEEP_MS = 1000;

/**
 * Folds slots that are over, and merges rows that were added at different times.
 * @returns whether there may be more.
 */
export async function keepSums(connection: Connection): Promise<boolean> {
  const untilMs = performance.now() + UPKEEP_MS;
  while (await foldNext(connection)) if (performance.now() > untilMs) return true;
  const hasMoreRows = !(await mergeRows(connection));
  return (await forgetGoneLinks(connection)) || hasMoreRows;
}
