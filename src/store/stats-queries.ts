import type { Statement } from '../postgres/pool.js';

/** The bounds as times; `$1` are they in ms. */
const BOUNDS = `(SELECT array_agg(timestamp 'epoch' + ms * interval '1 millisecond' ORDER BY ms)
                 FROM unnest($1::bigint[]) AS ms)`;

export const seriesStatement: Statement = {
  name: 'stats_series',
  text: `WITH given AS MATERIALIZED (SELECT ${BOUNDS} AS bounds)
         SELECT width_bucket(slot, bounds) AS place, sum(clicks), sum(previews)
         FROM given, stats_sums
         WHERE owner = $2 AND field = 't' AND step = $3::"char"
           AND slot >= bounds[1] AND slot < bounds[array_upper(bounds, 1)]
         GROUP BY 1`,
};

/** Whole days of UTC are read by the day; what is before and after them by the finer step. */
export const valuesStatement: Statement = {
  name: 'stats_values',
  text: `WITH given AS (
           SELECT timestamp 'epoch' + $1::bigint * interval '1 millisecond' AS first,
                  timestamp 'epoch' + $2::bigint * interval '1 millisecond' AS first_day,
                  timestamp 'epoch' + $3::bigint * interval '1 millisecond' AS last_day,
                  timestamp 'epoch' + $4::bigint * interval '1 millisecond' AS last
         ), slots AS (
           SELECT field, value, clicks, previews FROM given, stats_sums
           WHERE owner = $5 AND field = ANY (array_append($6::"char"[], 'n')) AND step = 'd' AND slot >= first_day AND slot < last_day
           UNION ALL
           SELECT field, value, clicks, previews FROM given, stats_sums
           WHERE owner = $5 AND field = ANY (array_append($6::"char"[], 'n')) AND step = $7::"char" AND slot >= first AND slot < first_day
           UNION ALL
           SELECT field, value, clicks, previews FROM given, stats_sums
           WHERE owner = $5 AND field = ANY (array_append($6::"char"[], 'n')) AND step = $7::"char" AND slot >= last_day AND slot < last
         ), summed AS (
           SELECT field, value, sum(clicks) AS clicks, sum(previews) AS previews FROM slots GROUP BY field, value
         ), added AS (
           SELECT field, value, sum(clicks) AS clicks, sum(previews) AS previews
           FROM (SELECT * FROM summed WHERE field <> 'n'
                 UNION ALL
                 -- What has no fact at all is unknown in each field.
                 SELECT asked, value, clicks, previews FROM summed, unnest($6::"char"[]) AS asked WHERE field = 'n') AS all_fields
           GROUP BY field, value
         ), ranked AS (
           SELECT *, row_number() OVER (PARTITION BY field ORDER BY clicks DESC, value COLLATE "C") AS place
           FROM added WHERE clicks <> 0 OR previews <> 0
         )
         SELECT field, value, clicks, previews FROM ranked WHERE place <= $8 ORDER BY field, place`,
};

/** The links with most clicks; `source` chooses which links there are, by `url_id`. */
function codesStatement(name: string, before: string, chosen: string): Statement {
  return {
    name,
    text: `WITH given AS (
             SELECT timestamp 'epoch' + $1::bigint * interval '1 millisecond' AS first,
                    timestamp 'epoch' + $2::bigint * interval '1 millisecond' AS last
           ), slots AS (
             SELECT changed.url_id, changed.clicks, coalesce(changed.previews, 0) AS previews
             FROM given, stats_links, unnest(url_ids, stats_links.clicks, stats_links.previews)
               AS changed (url_id, clicks, previews)
             WHERE slot >= first AND slot < last
             UNION ALL
             SELECT value::bigint, clicks, previews FROM given, stats_sums
             WHERE owner = 0 AND field = 'l' AND step IN ('m', 'q') AND slot >= first AND slot < last
           )${before}, added AS (
             SELECT url_id, sum(clicks) AS clicks, sum(previews) AS previews FROM ${chosen} GROUP BY url_id
           )
           SELECT 'l', short_code AS value, sum(clicks) AS clicks, sum(previews) AS previews
           FROM added LEFT JOIN short_urls ON id = url_id WHERE clicks <> 0 OR previews <> 0
           GROUP BY short_code ORDER BY clicks DESC, short_code COLLATE "C" LIMIT $3`,
  };
}

export const allCodesStatement = codesStatement('stats_codes', '', 'slots');

export const ownCodesStatement = codesStatement(
  'stats_own_codes',
  `, given_away AS (
     -- Links that got another owner, and the sums don't know yet.
     SELECT url_id, sum(changed.clicks + changed.previews) AS n
     FROM stats_queue, unnest(url_ids, owners, stats_queue.clicks, stats_queue.previews)
       AS changed (url_id, owner, clicks, previews)
     WHERE kind = 'owners' AND owner = $4 GROUP BY url_id
   ), owned AS (
     SELECT id AS url_id FROM short_urls
     WHERE user_id = $4 AND NOT EXISTS (SELECT FROM given_away WHERE url_id = id AND n > 0)
     UNION SELECT url_id FROM given_away WHERE n < 0
   )`,
  'slots JOIN owned USING (url_id)',
);

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
