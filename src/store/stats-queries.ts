import type { Statement } from '../postgres/pool.js';
import { COVER, QUARTERS, restIn, wholesIn } from './stats-parts.js';
import { entriesIn } from './stats-rollups.js';

/** The bounds as times; `$1` has them in ms. */
const BOUNDS = `(SELECT array_agg(timestamp 'epoch' + ms * interval '1 millisecond' ORDER BY ms)
                 FROM unnest($1::bigint[]) AS ms)`;

/** A time, from ms. */
const time = (value: string): string => `(timestamp 'epoch' + ${value}::bigint * interval '1 millisecond')`;

const MINUTES = `slot + place * interval '1 minute'`;

/** By minutes, or by quarters where there are no minutes. `$2` is the key, `$3` and `$4` the first and the last bound. */
const seriesOf = (step: string, from: string, at: string): string => `
  SELECT ${at} AS at, clicks, previews
  FROM (${entriesIn(`stats_slots
    WHERE kind = 't' AND step = '${step}' AND slot >= ${from} AND slot < ${time('$4')} AND first_key <= $2 AND last_key >= $2`)}
  ) AS entries WHERE key = $2`;

export const seriesStatement: Statement = {
  name: 'stats_slot_series',
  text: `WITH given AS MATERIALIZED (SELECT ${BOUNDS} AS bounds)
         SELECT width_bucket(at, bounds), sum(clicks), sum(previews)
         FROM given, (
           ${seriesOf('m', time('$3'), 'slot')}
           UNION ALL ${seriesOf('h', `date_trunc('hour', ${time('$3')})`, MINUTES)}
           UNION ALL ${seriesOf('q', `date_trunc('day', ${time('$3')})`, QUARTERS)}
         ) AS parts
         WHERE at >= ${time('$3')} AND at < ${time('$4')}
         GROUP BY 1`,
};

/** The sums of a key. A row has only keys of the same sign. */
const OF_KEY = 'AND first_key <= $7 AND last_key >= $7 AND sign(first_key) = sign($7)';

/** `$7` is the key, `$8` the letters of the fields, `$9` how many values; `$10` and `$11` are the totals of clicks and previews. */
export const valuesStatement: Statement = {
  name: 'stats_slot_values',
  text: `WITH ${COVER}, summed AS MATERIALIZED (
           SELECT fact, sum(clicks) AS clicks, sum(previews) AS previews
           FROM (${wholesIn('f', OF_KEY)} UNION ALL ${restIn('f', OF_KEY)}) AS parts WHERE key = $7::bigint GROUP BY fact
         ), all_values AS (
           SELECT left(fact, 1) AS field, substr(fact, 2) AS value, clicks, previews FROM summed
           WHERE left(fact, 1) = ANY ($8::text[])
           UNION ALL
           -- What has no value of a field.
           SELECT field, NULL, $10::bigint - coalesce(sum(clicks), 0), $11::bigint - coalesce(sum(previews), 0)
           FROM unnest($8::text[]) AS field LEFT JOIN summed ON lower(left(fact, 1)) = field GROUP BY field
         ), ranked AS (
           SELECT *, row_number() OVER (PARTITION BY field ORDER BY clicks DESC, value COLLATE "C") AS place
           FROM all_values WHERE clicks <> 0 OR previews <> 0
         )
         SELECT field, value, clicks, previews FROM ranked WHERE place <= $9 ORDER BY field, place`,
};

export const linkSeriesStatement: Statement = {
  name: 'stats_link_series',
  text: `WITH given AS MATERIALIZED (SELECT ${BOUNDS} AS bounds)
         SELECT place, sum(clicks), sum(previews) FROM (
           SELECT width_bucket("timestamp", bounds) AS place,
                  count(*) FILTER (WHERE event_type = 'click') AS clicks,
                  count(*) FILTER (WHERE event_type = 'preview') AS previews
           FROM given, events
           WHERE url_id = $2 AND event_type IN ('click', 'preview')
             AND "timestamp" >= bounds[1] AND "timestamp" < bounds[array_upper(bounds, 1)]
           GROUP BY 1
           UNION ALL
           SELECT width_bucket(slot, bounds), sum(clicks), sum(previews)
           FROM given, dropped_events
           WHERE url_id = $2 AND slot >= bounds[1] AND slot < bounds[array_upper(bounds, 1)]
           GROUP BY 1
         ) AS parts GROUP BY place`,
};

export const linkValuesStatement: Statement = {
  name: 'stats_link_values',
  text: `WITH visits AS (
           -- Details alike are parsed once.
           SELECT country, referrer, browser, os, device, clicks, previews
           FROM (SELECT details::text AS details,
                        count(*) FILTER (WHERE event_type = 'click') AS clicks,
                        count(*) FILTER (WHERE event_type = 'preview') AS previews
                 FROM events
                 WHERE url_id = $3 AND event_type IN ('click', 'preview')
                   AND "timestamp" >= timestamp 'epoch' + $1::bigint * interval '1 millisecond'
                   AND "timestamp" < timestamp 'epoch' + $2::bigint * interval '1 millisecond'
                 GROUP BY 1) AS alike
             LEFT JOIN LATERAL stats_facts(details) ON true
           UNION ALL
           SELECT country, referrer, browser, os, device, clicks, previews FROM dropped_events
           WHERE url_id = $3
             AND slot >= timestamp 'epoch' + $1::bigint * interval '1 millisecond'
             AND slot < timestamp 'epoch' + $2::bigint * interval '1 millisecond'
         ), added AS (
           SELECT facts.field, facts.value, sum(clicks) AS clicks, sum(previews) AS previews
           FROM visits CROSS JOIN LATERAL (
             SELECT field, CASE field WHEN 'country' THEN country WHEN 'referrer' THEN referrer
                                      WHEN 'browser' THEN browser WHEN 'os' THEN os ELSE device END AS value
             FROM unnest($4::text[]) AS field
           ) AS facts
           GROUP BY facts.field, facts.value
         ), ranked AS (
           SELECT *, row_number() OVER (PARTITION BY field ORDER BY clicks DESC, value COLLATE "C") AS place
           FROM added
         )
         SELECT field, value, clicks, previews FROM ranked WHERE place <= $5 ORDER BY field, place`,
};
