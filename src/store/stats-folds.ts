import { type Connection, inTransaction, rowsOf, type Statement } from '../postgres/pool.js';
import { SPANS } from './stats-cover.js';
import { DENSE, entriesIn, insertPlaced, insertTop } from './stats-rollups.js';
import { hasStatisticsLock } from './stats-waiting.js';

/**
 * Folds `stats_slots`: slots that are over get fewer rows and places. Each fold is one transaction for one kind and one
 * slot: the sums never wait for long, and the counts are either in the old rows or in the new ones.
 */

/** Clicks of an hour may arrive a little after its end; later ones cost a row each. */
export const LATE = `interval '2 minutes'`;
/** Requests reach back 24 hours in minutes; an hour more is kept. */
const MINUTES_KEPT = `interval '25 hours'`;

/** One server folds at a time. Sorting and grouping a day of a million links is several times faster in memory than in files. */
export const FOLD_SETTINGS = `SET LOCAL jit = off; SET LOCAL work_mem = '64MB'`;

/** The minutes of the hour `$2`: all clicks by key, read as a series. */
const hourStatement: Statement = {
  name: 'stats_fold_hour',
  text: `
    WITH taken AS (
      DELETE FROM stats_slots
      WHERE kind = $1::"char" AND step = 'm' AND slot >= $2::timestamp AND slot < $2::timestamp + interval '1 hour'
      RETURNING *
    ), placed AS (
      SELECT kind, 'h'::"char" AS step, $2::timestamp AS slot, key, extract(minute FROM slot)::smallint AS place, fact,
             sum(clicks)::bigint AS clicks, sum(previews)::bigint AS previews
      FROM (${entriesIn('taken')}) AS entries GROUP BY kind, slot, key, fact
    )
    ${insertPlaced(true)}`,
};

/** Sums up the slots of the step `$3` in the slot `$2` of the step `$4`, which is `$5` long. They stay as they are. */
const wholeStatement: Statement = {
  name: 'stats_fold_whole',
  text: `
    WITH parts AS (
      SELECT * FROM stats_slots
      WHERE kind = $1::"char" AND step = $3::"char" AND slot >= $2::timestamp AND slot < $2::timestamp + $5::interval
    ), placed AS MATERIALIZED (
      SELECT kind, $4::"char" AS step, $2::timestamp AS slot, key, NULL::smallint AS place, fact,
             sum(clicks)::bigint AS clicks, sum(previews)::bigint AS previews
      FROM (${entriesIn('parts')}) AS entries GROUP BY kind, key, fact
    )${insertTop('$4::"char"')}
    ${insertPlaced(true)}`,
};

/** Turns the hour `$2`, whose minutes no request reaches any more, into quarters of its day. Links have whole quarters already. */
const quartersStatement: Statement = {
  name: 'stats_fold_quarters',
  text: `
    WITH taken AS (
      DELETE FROM stats_slots
      WHERE kind = $1::"char" AND step IN ('m', 'h', 'H') AND slot >= $2::timestamp
        AND slot < $2::timestamp + interval '1 hour'
      RETURNING *
    ), minutes AS (
      SELECT * FROM taken WHERE step <> 'H' AND kind <> 'l'
    ), placed AS (
      SELECT kind, 'q'::"char" AS step, date_trunc('day', $2::timestamp) AS slot, key,
             (extract(hour FROM $2::timestamp) * 4 + coalesce(place, extract(minute FROM slot)::integer) / 15)::smallint
               AS place,
             fact, sum(clicks)::bigint AS clicks, sum(previews)::bigint AS previews
      FROM (${entriesIn('minutes')}) AS entries GROUP BY 1, 2, 3, 4, 5, 6
    )
    ${insertPlaced(false)}`,
};

/** For links: quarters of the hour `$1` that have few links become parts of their day. */
const sparseStatement: Statement = {
  name: 'stats_fold_sparse',
  text: `
    WITH slots AS (
      SELECT n * interval '15 minutes' + $1::timestamp AS slot FROM generate_series(0, 3) AS n
    ), sparse AS MATERIALIZED (
      SELECT slot FROM slots
      WHERE (SELECT coalesce(sum(amount), 0) FROM stats_slots AS parts
             WHERE kind = 'l' AND step = 'Q' AND parts.slot = slots.slot) <= ${DENSE}
    ), forgotten AS (
      DELETE FROM stats_tops WHERE step = 'H' AND slot = $1::timestamp OR step = 'Q' AND slot IN (SELECT slot FROM sparse)
    ), taken AS (
      DELETE FROM stats_slots WHERE kind = 'l' AND step = 'Q' AND slot IN (SELECT slot FROM sparse) RETURNING *
    ), placed AS (
      SELECT kind, 'q'::"char" AS step, date_trunc('day', slot) AS slot, key,
             (extract(hour FROM slot) * 4 + extract(minute FROM slot)::integer / 15)::smallint AS place,
             fact, sum(clicks)::bigint AS clicks, sum(previews)::bigint AS previews
      FROM (${entriesIn('taken')}) AS entries GROUP BY 1, 2, 3, 4, 5, 6
    )
    ${insertPlaced(false)}`,
};

/** The next fold: `fold` is a whole step's letter, or `h` or `q`. */
interface Fold {
  readonly kind: string;
  readonly fold: string;
  readonly slot: string;
  /** For whole steps: the step that they consist of. */
  readonly from: string;
  readonly length: string;
}

const firstSlot = (unit: string, step: string, since: string): string => `
       (SELECT ${unit} FROM (SELECT min(slot) AS slot FROM stats_slots AS r
                             WHERE r.kind = stats_folds.kind AND step = ${step} AND slot >= ${since}) AS first)`;

const binned = (days: number, time: string): string => `date_bin('${days} days', ${time}, timestamp 'epoch')`;

const spanRows = SPANS.map(({ step, days }, place) => {
  const lower = SPANS[place - 1];
  const lowerTo = lower === undefined ? 'days_to' : `spans_to[${place}]`;
  const to = `spans_to[${place + 1}]`;
  const first = firstSlot(binned(days, 'slot'), `'${lower?.step ?? 'D'}'`, to);
  return `, ('${step}', '${lower?.step ?? 'D'}', kind <> 't', ${to}, ${binned(days, lowerTo)}, interval '${days} days', ${first})`;
}).join('\n      ');

/** For each kind: the next slot to fold, the latest that may be folded, and whether there is anything. */
const nextStatement: Statement = {
  name: 'stats_fold_next',
  text: `
    SELECT kind, next.fold, greatest(next.slot, least(first_slot, next.slot_to - next.length)) AS slot, source, next.length
    FROM stats_folds, (SELECT now() AT TIME ZONE 'utc' AS utc) AS clock
    CROSS JOIN LATERAL (VALUES
      ('Q', 'm', kind = 'l', parts_to, date_bin('15 minutes', utc - ${LATE}, timestamp 'epoch'), interval '15 minutes',
       ${firstSlot(`date_bin('15 minutes', slot, timestamp 'epoch')`, `'m'`, 'parts_to')}),
      (CASE kind WHEN 't' THEN 'h' ELSE 'H' END, CASE kind WHEN 'l' THEN 'Q' ELSE 'm' END, true, hours_to,
       date_trunc('hour', CASE kind WHEN 'l' THEN parts_to ELSE utc - ${LATE} END), interval '1 hour',
       ${firstSlot(`date_trunc('hour', slot)`, `CASE kind WHEN 'l' THEN 'Q' ELSE 'm' END::"char"`, 'hours_to')}),
      ('D', 'H', true, days_to, date_trunc('day', hours_to), interval '1 day',
       ${firstSlot(`date_trunc('day', slot)`, `'H'`, 'days_to')}),
      ('q', 'm', true, quarters_to, least(days_to, date_trunc('hour', utc - ${MINUTES_KEPT})), interval '1 hour',
       ${firstSlot(`date_trunc('hour', slot)`, `CASE kind WHEN 't' THEN 'h' ELSE 'm' END::"char"`, 'quarters_to')})
      ${spanRows}
    ) AS next (fold, source, is_asked, slot, slot_to, length, first_slot)
    WHERE is_asked AND next.slot < next.slot_to ORDER BY next.slot_to - next.slot DESC, kind`,
};

/** Records how far a kind is folded. */
const movedStatement: Statement = {
  name: 'stats_folded',
  text: `
    UPDATE stats_folds
    SET parts_to = CASE WHEN $2::text IN ('Q', 'h') OR $2 = 'H' AND kind <> 'l' THEN $3::timestamp ELSE parts_to END,
        hours_to = CASE WHEN $2 IN ('h', 'H') THEN $3 ELSE hours_to END,
        days_to = CASE $2 WHEN 'D' THEN $3 ELSE days_to END,
        quarters_to = CASE $2 WHEN 'q' THEN $3 ELSE quarters_to END,
        spans_to = ARRAY[${SPANS.map(({ step }, place) => `CASE $2 WHEN '${step}' THEN $3 ELSE spans_to[${place + 1}] END`).join(', ')}]
    WHERE kind = $1::"char"`,
};

const forgetStatement: Statement = {
  name: 'stats_fold_forget',
  text: 'DELETE FROM stats_day_facts WHERE day < $1::timestamp',
};

async function nextFold(connection: Connection): Promise<Fold | undefined> {
  type Values = readonly [kind: string, fold: string, slot: string, from: string, length: string];
  const [row] = await rowsOf<Values>(connection, nextStatement, []);
  if (row === undefined) return undefined;
  const [kind, fold, slot, from, length] = row;
  return { kind, fold, slot, from, length };
}

async function fold(connection: Connection, { kind, fold, slot, from, length }: Fold): Promise<void> {
  if (fold === 'h') await rowsOf(connection, hourStatement, [kind, slot]);
  else if (fold === 'q') {
    await rowsOf(connection, quartersStatement, [kind, slot]);
    if (kind === 'l') await rowsOf(connection, sparseStatement, [slot]);
  } else await rowsOf(connection, wholeStatement, [kind, slot, from, fold, length]);
  const [end] = await rowsOf<readonly [end: string]>(connection, endStatement, [slot, length]);
  if (end === undefined) throw new Error('a slot has no end');
  if (kind === 'f' && fold === 'D') await rowsOf(connection, forgetStatement, end);
  await rowsOf(connection, movedStatement, [kind, fold, ...end]);
}

const endStatement: Statement = {
  name: 'stats_fold_end',
  text: 'SELECT $1::timestamp + $2::interval',
};

/**
 * Folds one slot of one kind.
 * @returns whether there was one; there may be more.
 */
export async function foldNext(connection: Connection): Promise<boolean> {
  return inTransaction(connection, async () => {
    if (!(await hasStatisticsLock(connection))) return false;
    await connection.query(FOLD_SETTINGS);
    const next = await nextFold(connection);
    if (next === undefined) return false;
    await fold(connection, next);
    return true;
  });
}
