import { type Connection, inTransaction, rowsOf, type Statement } from '../postgres/pool.js';
import { entriesIn, insertPlaced } from './stats-rollups.js';
import { hasStatisticsLock } from './stats-waiting.js';

/**
 * Folds of `stats_rollups`: what is over gets fewer rows and places. Each is one transaction of one kind and one hour or
 * day, so that the sums wait for none of them for long, and what it folds is in the new rows or in the old ones.
 */

/** Clicks of an hour may come a little later than its end; what comes later than that costs a row of its own. */
const LATE = `interval '2 minutes'`;
/** Minutes are asked for 24 hours long; an hour more is kept. */
const MINUTES_KEPT = `interval '25 hours'`;

/** Sets how far a kind is folded, to the hour or day that it was folded up to. */
const folded = (column: string, to: string): string =>
  `, set_on AS (UPDATE stats_folds SET ${column} = ${to} WHERE kind = $1::"char")`;

/** The minutes of the hour `$2`: all clicks by key, to be read as a series. */
const hourStatement: Statement = {
  name: 'stats_fold_hour',
  text: `
    WITH taken AS (
      DELETE FROM stats_rollups
      WHERE kind = $1::"char" AND step = 'm' AND slot >= $2::timestamp AND slot < $2::timestamp + interval '1 hour'
      RETURNING *
    ), placed AS (
      SELECT kind, 'h'::"char" AS step, $2::timestamp AS slot, key, extract(minute FROM slot)::smallint AS place, fact,
             sum(clicks)::integer AS clicks, sum(previews)::integer AS previews
      FROM (${entriesIn('taken')}) AS entries GROUP BY kind, slot, key, fact
    )${folded('hours_to', `$2::timestamp + interval '1 hour'`)}
    ${insertPlaced(true)}`,
};

/** Facts and links of the hour `$2` as a whole. Their minutes stay as they are: few of them are ever read. */
const wholeHourStatement: Statement = {
  name: 'stats_fold_whole_hour',
  text: `
    WITH minutes AS (
      SELECT * FROM stats_rollups
      WHERE kind = $1::"char" AND step = 'm' AND slot >= $2::timestamp AND slot < $2::timestamp + interval '1 hour'
    ), placed AS (
      SELECT kind, 'H'::"char" AS step, $2::timestamp AS slot, key, NULL::smallint AS place, fact,
             sum(clicks)::integer AS clicks, sum(previews)::integer AS previews
      FROM (${entriesIn('minutes')}) AS entries GROUP BY kind, key, fact
    )${folded('hours_to', `$2::timestamp + interval '1 hour'`)}
    ${insertPlaced(true)}`,
};

/** The whole hours of the day `$2`. They stay as long as their minutes do. */
const dayStatement: Statement = {
  name: 'stats_fold_day',
  text: `
    WITH hours AS (
      SELECT * FROM stats_rollups
      WHERE kind = $1::"char" AND step = 'H' AND slot >= $2::timestamp AND slot < $2::timestamp + interval '1 day'
    ), placed AS (
      SELECT kind, 'D'::"char" AS step, $2::timestamp AS slot, key, NULL::smallint AS place, fact,
             sum(clicks)::integer AS clicks, sum(previews)::integer AS previews
      FROM (${entriesIn('hours')}) AS entries GROUP BY kind, key, fact
    ), forgotten AS (
      DELETE FROM stats_day_facts WHERE $1::"char" = 'f' AND day < $2::timestamp + interval '1 day'
    )${folded('days_to', `$2::timestamp + interval '1 day'`)}
    ${insertPlaced(true)}`,
};

/** The hour `$2`, whose minutes nobody may ask for any more, becomes quarters of its day. */
const quartersStatement: Statement = {
  name: 'stats_fold_quarters',
  text: `
    WITH taken AS (
      DELETE FROM stats_rollups
      WHERE kind = $1::"char" AND step IN ('m', 'h', 'H') AND slot >= $2::timestamp
        AND slot < $2::timestamp + interval '1 hour'
      RETURNING *
    ), minutes AS (
      SELECT * FROM taken WHERE step <> 'H'
    ), placed AS (
      SELECT kind, 'q'::"char" AS step, date_trunc('day', $2::timestamp) AS slot, key,
             (extract(hour FROM $2::timestamp) * 4 + coalesce(place, extract(minute FROM slot)::integer) / 15)::smallint
               AS place,
             fact, sum(clicks)::integer AS clicks, sum(previews)::integer AS previews
      FROM (${entriesIn('minutes')}) AS entries GROUP BY 1, 2, 3, 4, 5, 6
    )${folded('quarters_to', `$2::timestamp + interval '1 hour'`)}
    ${insertPlaced(false)}`,
};

interface Fold {
  readonly statement: Statement;
  readonly kind: string;
  readonly slot: string;
}

/** For each kind: what is to be folded next, the latest that may be folded, and whether there is anything. */
const nextStatement: Statement = {
  name: 'stats_fold_next',
  text: `
    SELECT kind, next.fold, greatest(next.slot, least(first_slot, next.slot_to - next.length)) AS slot
    FROM stats_folds, (SELECT now() AT TIME ZONE 'utc' AS utc) AS clock
    CROSS JOIN LATERAL (VALUES
      ('hour', hours_to, date_trunc('hour', utc - ${LATE}), interval '1 hour',
       (SELECT date_trunc('hour', min(slot)) FROM stats_rollups AS r
        WHERE r.kind = stats_folds.kind AND step = 'm' AND slot >= hours_to)),
      ('day', days_to, date_trunc('day', hours_to), interval '1 day',
       (SELECT date_trunc('day', min(slot)) FROM stats_rollups AS r
        WHERE r.kind = stats_folds.kind AND step = 'H' AND slot >= days_to)),
      ('quarters', quarters_to, least(days_to, date_trunc('hour', utc - ${MINUTES_KEPT})), interval '1 hour',
       (SELECT date_trunc('hour', min(slot)) FROM stats_rollups AS r
        WHERE r.kind = stats_folds.kind AND step = CASE r.kind WHEN 't' THEN 'h' ELSE 'm' END AND slot >= quarters_to))
    ) AS next (fold, slot, slot_to, length, first_slot)
    WHERE next.slot < next.slot_to ORDER BY next.slot_to - next.slot DESC, kind`,
};

async function nextFold(connection: Connection): Promise<Fold | undefined> {
  type Values = readonly [kind: string, fold: 'hour' | 'day' | 'quarters', slot: string];
  const [row] = await rowsOf<Values>(connection, nextStatement, []);
  if (row === undefined) return undefined;
  const [kind, fold, slot] = row;
  const hour = kind === 't' ? hourStatement : wholeHourStatement;
  const statement = { hour, day: dayStatement, quarters: quartersStatement }[fold];
  return { statement, kind, slot };
}

/**
 * Folds one hour or day of one kind.
 * @returns whether there was one: there may be more.
 */
export async function foldNext(connection: Connection): Promise<boolean> {
  return inTransaction(connection, async () => {
    if (!(await hasStatisticsLock(connection))) return false;
    await connection.query('SET LOCAL jit = off');
    const fold = await nextFold(connection);
    if (fold === undefined) return false;
    await rowsOf(connection, fold.statement, [fold.kind, fold.slot]);
    return true;
  });
}

/** What one merge may hold up the sums for. */
const MAX_PLACES = 1_000_000;
/** So many rows beside the folded ones are worth to be merged with them. */
const MANY_ROWS = 8;

/** Slots that are over, to which so many rows were added since they were folded. */
const mergeableStatement: Statement = {
  name: 'stats_mergeable',
  text: `
    SELECT kind, step, slot FROM stats_rollups
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
      DELETE FROM stats_rollups WHERE kind = $1::"char" AND step = $2::"char" AND slot = $3::timestamp RETURNING *
    ), placed AS (
      SELECT kind, $2::"char" AS step, slot, key, place, fact, sum(clicks)::integer AS clicks,
             sum(previews)::integer AS previews
      FROM (${entriesIn('taken')}) AS entries
      -- Of links that are gone nothing is kept.
      WHERE key >= 0 OR -key IN (SELECT url_id FROM stats_summed_links)
      GROUP BY 1, 2, 3, 4, 5, 6
    )
    ${insertPlaced(true)}`,
};

/** How long sums may wait for merges; the next ones go on. */
const MERGE_MS = 500;

/**
 * Merges rows that were added to the same slot one after another; each slot in a transaction of its own.
 * @param rows So many are worth it.
 * @returns whether it was done with all of them.
 */
export async function mergeRows(connection: Connection, rows = MANY_ROWS): Promise<boolean> {
  const untilMs = performance.now() + MERGE_MS;
  type Values = readonly [kind: string, step: string, slot: string];
  const slots = await rowsOf<Values>(connection, mergeableStatement, [rows]);
  for (const slot of slots) {
    if (performance.now() > untilMs) return false;
    await inTransaction(connection, async () => {
      if (!(await hasStatisticsLock(connection))) return;
      await connection.query('SET LOCAL jit = off');
      await rowsOf(connection, mergeStatement, slot);
    });
  }
  return slots.length < 100;
}
