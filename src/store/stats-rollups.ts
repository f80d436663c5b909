import { SPANS } from './stats-cover.js';

/**
 * SQL of `stats_slots`. An entry is a count of a key: kind, key, minute, fact, clicks and previews (see migration 0037).
 * Each statement writes the rows for all its entries at once, at its end.
 */

/** Minutes are kept an hour longer than requests may reach back. */
export const OLDEST_MINUTE = `(now() AT TIME ZONE 'utc' - interval '25 hours')`;

/** The quarter of an hour of a time. */
export const quarterOf = (time: string): string => `date_bin('15 minutes', ${time}, timestamp '2000-01-01')`;

/** Places of a row: reading one key reads all of them. Links' minutes and small quarters are always read whole. */
const PLACES = 256;
const LINK_PLACES = 10_000;

/** An old quarter of an hour with that many links has its own slot; with fewer it is a part of its day's. */
export const DENSE = 256;

/** Rows from `placed`: kind, step, slot, key, place (in the slot, or NULL), fact, clicks, previews. */
export const insertPlaced = (isFolded: boolean): string => `
  INSERT INTO stats_slots
    (kind, step, slot, first_key, last_key, amount, is_folded, keys, offsets, facts, clicks, previews)
  SELECT kind, step, slot, min(key), max(key), count(*), ${isFolded}, array_agg(key),
         CASE WHEN count(place) > 0 THEN array_agg(place) ELSE '{}' END,
         CASE WHEN count(fact) > 0 THEN array_agg(fact) ELSE '{}' END,
         array_agg(clicks), CASE WHEN bool_or(previews <> 0) THEN array_agg(previews) ELSE '{}' END
  FROM (SELECT *, (row_number() OVER (PARTITION BY kind, step, slot, sign(key) ORDER BY key) - 1)
                  / CASE WHEN kind = 'l' AND step IN ('m', 'q') THEN ${LINK_PLACES} ELSE ${PLACES} END AS part
        FROM placed WHERE clicks <> 0 OR previews <> 0) AS numbered
  GROUP BY kind, step, slot, sign(key), part`;

/** How many links a slot's list has. */
export const TOP_LINKS = 1024;

/** Lists the top links of `placed`, which has all links of the slot `$2` of the step `step`. */
export const insertTop = (step: string): string => `
  , listed AS (
    SELECT key, clicks, previews FROM placed WHERE kind = 'l' AND (clicks <> 0 OR previews <> 0)
    ORDER BY clicks DESC, key LIMIT ${TOP_LINKS + 1}
  ), topped AS (
    INSERT INTO stats_tops (step, slot, is_all, keys, clicks, previews)
    SELECT ${step}, $2::timestamp, count(*) <= ${TOP_LINKS},
           (coalesce(array_agg(key ORDER BY clicks DESC, key), '{}'))[:${TOP_LINKS}],
           (coalesce(array_agg(clicks ORDER BY clicks DESC, key), '{}'))[:${TOP_LINKS}],
           (coalesce(array_agg(previews ORDER BY clicks DESC, key), '{}'))[:${TOP_LINKS}]
    FROM listed HAVING $1::"char" = 'l' AND ${step} <> 'm' AND ${step} <> 'q'
    ON CONFLICT (step, slot) DO UPDATE
    SET (is_all, keys, clicks, previews) = (excluded.is_all, excluded.keys, excluded.clicks, excluded.previews)
  )`;

/** Entries of rows, with their slots and their places in them. */
export const entriesIn = (rows: string): string => `
  SELECT kind, slot, key, place, fact, clicks, coalesce(previews, 0) AS previews
  FROM (SELECT kind, slot, unnest(keys) AS key, unnest(offsets) AS place, unnest(facts) AS fact,
               unnest(clicks) AS clicks, unnest(previews) AS previews
        FROM ${rows}) AS places`;

/** A minute's quarter of the day, and its minute of the hour. The first ones for infinite times. */
const QUARTER_PLACE = 'coalesce(extract(hour FROM minute) * 4 + floor(extract(minute FROM minute) / 15), 0)';
const MINUTE_PLACE = 'coalesce(extract(minute FROM minute), 0)';

/** Folded slots of more than a day that contain `minute`. */
const inSpans = SPANS.map(
  ({ step, days }, place) => `
      UNION ALL
      SELECT '${step}', date_bin('${days} days', minute, timestamp 'epoch'), NULL
      WHERE minute < spans_to[${place + 1}] AND kind <> 't'`,
).join('');

/** Puts `entries` into the slots that have their minutes by now. */
const insertEntries = `
  , dense AS MATERIALIZED (
    SELECT ${quarterOf('minute')} AS quarter FROM entries JOIN stats_folds USING (kind)
    WHERE kind = 'l' AND minute < quarters_to GROUP BY 1 HAVING count(*) > ${DENSE}
  ), placed AS (
    SELECT kind, 'm'::"char" AS step, minute AS slot, key, NULL::smallint AS place, fact, clicks, previews
    FROM entries JOIN stats_folds USING (kind) WHERE minute >= parts_to
    UNION ALL
    SELECT kind, steps.step, steps.slot, key, steps.place, fact, sum(clicks)::integer, sum(previews)::integer
    FROM (SELECT *, kind = 'l' AND (minute >= quarters_to OR ${quarterOf('minute')} IN (SELECT quarter FROM dense)) AS is_part
          FROM entries JOIN stats_folds USING (kind) WHERE minute < parts_to) AS late
    CROSS JOIN LATERAL (
      SELECT 'q'::"char", date_trunc('day', minute), (${QUARTER_PLACE})::smallint WHERE minute < quarters_to AND NOT is_part
      UNION ALL
      SELECT 'Q', ${quarterOf('minute')}, NULL WHERE is_part
      UNION ALL
      SELECT 'h', date_trunc('hour', minute), (${MINUTE_PLACE})::smallint WHERE minute >= quarters_to AND kind = 't'
      UNION ALL
      SELECT 'm', minute, NULL WHERE minute >= quarters_to AND kind <> 't'
      UNION ALL
      SELECT 'H', date_trunc('hour', minute), NULL WHERE minute >= quarters_to AND minute < hours_to AND kind <> 't'
      UNION ALL
      SELECT 'D', date_trunc('day', minute), NULL WHERE minute < days_to AND kind <> 't'${inSpans}
    ) AS steps (step, slot, place)
    GROUP BY 1, 2, 3, 4, 5, 6
  )
  ${insertPlaced(false)}`;

export const FACTS = 'country, referrer, browser, system, device';

/** Facts in the form of entries: a letter for the field, and the value. */
const letters = { country: 'c', referrer: 'r', browser: 'b', system: 'o', device: 'd' } as const;

/**
 * How many values of each field a key keeps a day: the first that come. Further ones are counted under the field's
 * capital letter, which the answer includes in `other`.
 */
const VALUES_A_DAY = 1000;

/** A row for each fact, with the letter of its field, from rows with columns of facts; `columns` are passed on. */
export const factsIn = (source: string, columns: string): string =>
  Object.entries(letters)
    .map(
      ([name, letter]) =>
        `SELECT ${columns}, ('${letter}' || ${name}) COLLATE "C" AS fact FROM ${source} WHERE ${name} IS NOT NULL`,
    )
    .join(' UNION ALL ');

/**
 * Adds `links` (url_id, minute, clicks, previews), `totals` (key, minute, clicks, previews) and `detailed` (key, minute, fact,
 * clicks, previews), which `before` defines; numbers are integers. Links in `changed` (is_of_all, url_id, owner) that no
 * longer exist are noted as gone.
 */
export const addEntries = (before: string): string => `
  ${before}
  , gone AS (
    INSERT INTO stats_gone_links
    SELECT url_id FROM (SELECT DISTINCT url_id FROM changed WHERE is_of_all AND owner IS NULL) AS unowned
    WHERE (SELECT id FROM short_urls WHERE id = url_id) IS NULL
    ON CONFLICT DO NOTHING
  ), facts AS MATERIALIZED (
    SELECT key, minute, fact, sum(clicks)::integer AS clicks, sum(previews)::integer AS previews
    FROM detailed GROUP BY 1, 2, 3
  ), days AS MATERIALIZED (
    SELECT key, date_trunc('day', minute) AS day, fact, left(fact, 1) AS field, sum(clicks) + sum(previews) AS n
    FROM facts GROUP BY 1, 2, 3
  ), touched AS MATERIALIZED (
    SELECT DISTINCT key, day FROM days
  ), had AS MATERIALIZED (
    SELECT key, day, unnest(stats_day_facts.facts) AS fact FROM stats_day_facts JOIN touched USING (key, day)
    UNION ALL
    SELECT DISTINCT old.key, old.day, folded.fact
    FROM (SELECT * FROM touched WHERE day < (SELECT days_to FROM stats_folds WHERE kind = 'f')) AS old
    CROSS JOIN LATERAL (
      SELECT fact FROM (
        ${entriesIn(`stats_slots WHERE kind = 'f' AND step = 'D' AND slot = old.day
                       AND first_key <= old.key AND last_key >= old.key`)}
      ) AS of_day WHERE of_day.key = old.key OFFSET 0
    ) AS folded
  ), fresh AS MATERIALIZED (
    SELECT key, day, fact, n,
           row_number() OVER (PARTITION BY key, day, field ORDER BY n DESC, fact) + coalesce(there, 0) AS place
    FROM days
      LEFT JOIN had USING (key, day, fact)
      LEFT JOIN (SELECT key, day, left(fact, 1) AS field, count(*) AS there FROM had GROUP BY 1, 2, 3) AS filled
        USING (key, day, field)
    WHERE had.key IS NULL
  ), refused AS MATERIALIZED (
    SELECT key, day, fact FROM fresh WHERE n < 0 OR place > ${VALUES_A_DAY}
  ), noted AS (
    INSERT INTO stats_day_facts AS noted (key, day, facts)
    SELECT key, day, array_agg(fact) FROM fresh
    WHERE n >= 0 AND place <= ${VALUES_A_DAY} AND day >= (SELECT days_to FROM stats_folds WHERE kind = 'f')
    GROUP BY key, day
    ON CONFLICT (key, day) DO UPDATE SET facts = noted.facts || excluded.facts
  ), entries AS MATERIALIZED (
    SELECT 'l'::"char" AS kind, url_id AS key, minute, NULL::text COLLATE "C" AS fact,
           sum(clicks)::integer AS clicks, sum(previews)::integer AS previews
    FROM links GROUP BY url_id, minute
    UNION ALL
    SELECT 't', key, minute, NULL, sum(clicks)::integer, sum(previews)::integer FROM totals GROUP BY key, minute
    UNION ALL
    SELECT 'f', facts.key, minute, CASE WHEN refused.key IS NULL THEN facts.fact ELSE upper(left(facts.fact, 1)) END AS kept,
           sum(clicks)::integer, sum(previews)::integer
    FROM facts LEFT JOIN refused
      ON refused.key = facts.key AND refused.fact = facts.fact AND refused.day = date_trunc('day', minute)
    GROUP BY 2, 3, 4
  )
  ${insertEntries}`;
