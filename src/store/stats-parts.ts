import { entriesIn } from './stats-rollups.js';

/**
 * SQL that reads a `Cover`: `$1` and `$2` are the steps and beginnings of its slots, `$3` its days of quarters, `$4` the
 * beginning and end of the range, `$5` and `$6` the beginnings and ends of its ranges of minutes. Times are in ms.
 */

/** The beginning of a day's quarter of an hour. */
export const QUARTERS = `slot + place * interval '15 minutes'`;

const timeOf = (ms: string): string => `timestamp 'epoch' + ${ms} * interval '1 millisecond'`;

export const COVER = `cover AS MATERIALIZED (
  SELECT step, ${timeOf('ms')} AS at FROM unnest($1::"char"[], $2::bigint[]) AS given (step, ms)
)`;

/** Rows of `stats_slots` of each of `slots`, by the index: the planner can't estimate how many there are. */
const rowsAt = (slots: string, condition: string): string => `
  ${slots} CROSS JOIN LATERAL (
    SELECT kind, slot, keys, offsets, facts, clicks, previews FROM stats_slots AS one WHERE ${condition} OFFSET 0
  ) AS rows`;

type Kind = 'f' | 'l';

/** Counts in whole slots; `condition` selects their rows. */
export const wholesIn = (kind: Kind, condition = ''): string =>
  entriesIn(
    rowsAt('cover', `one.kind = '${kind}' AND one.step = cover.step AND one.slot = cover.at ${condition}`),
  );

/** Counts in no whole slot: quarters of days, and minutes. */
export const restIn = (kind: Kind, condition = ''): string => `
  SELECT * FROM (${entriesIn(
    rowsAt(
      'unnest($3::bigint[]) AS day',
      `one.kind = '${kind}' AND one.step = 'q' AND one.slot = ${timeOf('day')} ${condition}`,
    ),
  )}) AS quarters
  WHERE ${QUARTERS} >= ${timeOf('($4::bigint[])[1]')} AND ${QUARTERS} < ${timeOf('($4::bigint[])[2]')}
  UNION ALL
  ${entriesIn(
    rowsAt(
      'unnest($5::bigint[], $6::bigint[]) AS minutes (begin_ms, end_ms)',
      `one.kind = '${kind}' AND one.step = 'm' AND one.slot >= ${timeOf('begin_ms')} AND one.slot < ${timeOf('end_ms')} ${condition}`,
    ),
  )}`;
