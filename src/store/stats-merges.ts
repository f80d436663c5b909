import { type Connection, inTransaction, rowsOf, type Statement } from '../postgres/pool.js';
import { FOLD_SETTINGS, LATE } from './stats-folds.js';
import { entriesIn, insertPlaced, insertTop } from './stats-rollups.js';
import { hasStatisticsLock } from './stats-waiting.js';

/** Places that one merge covers at most; it holds up the sums for up to some three seconds. */
const MAX_PLACES = 2_500_000;
/** With that many rows beside the folded ones a merge is worth it. */
const MANY_ROWS = 8;

/** Slots that are over and got that many rows since they were folded. */
const mergeableStatement: Statement = {
  name: 'stats_mergeable',
  text: `
    SELECT kind, slot, step FROM stats_slots
    WHERE NOT is_folded
      AND CASE step WHEN 'm' THEN slot < now() AT TIME ZONE 'utc' - ${LATE}
                    WHEN 'q' THEN slot + interval '1 day' <= (SELECT min(quarters_to) FROM stats_folds) ELSE true END
    GROUP BY kind, step, slot
    HAVING count(*) >= $1 AND sum(amount) <= ${MAX_PLACES} ORDER BY slot LIMIT 100`,
};

const mergeStatement: Statement = {
  name: 'stats_merge',
  text: `
    WITH taken AS (
      DELETE FROM stats_slots WHERE kind = $1::"char" AND step = $3::"char" AND slot = $2::timestamp RETURNING *
    ), placed AS MATERIALIZED (
      SELECT kind, $3::"char" AS step, slot, key, place, fact, sum(clicks)::bigint AS clicks,
             sum(previews)::bigint AS previews
      FROM (${entriesIn('taken')}) AS entries
      -- Of links that are gone nothing is kept.
      WHERE key >= 0 OR -key IN (SELECT url_id FROM stats_summed_links)
      GROUP BY 1, 2, 3, 4, 5, 6
    )${insertTop('$3::"char"')}
    ${insertPlaced(true)}`,
};

/** How long the sums may wait for merges; the next call continues. */
const MERGE_MS = 500;

/**
 * Merges rows that were added to the same slot at different times, each slot in its own transaction.
 * @param rows How many make a merge worth it.
 * @returns whether all were merged.
 */
export async function mergeRows(connection: Connection, rows = MANY_ROWS): Promise<boolean> {
  const untilMs = performance.now() + MERGE_MS;
  type Values = readonly [kind: string, slot: string, step: string];
  const slots = await rowsOf<Values>(connection, mergeableStatement, [rows]);
  for (const slot of slots) {
    if (performance.now() > untilMs) return false;
    await inTransaction(connection, async () => {
      if (!(await hasStatisticsLock(connection))) return;
      await connection.query(FOLD_SETTINGS);
      await rowsOf(connection, mergeStatement, slot);
    });
  }
  return slots.length < 100;
}
