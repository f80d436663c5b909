/** Minutes are kept an hour longer than anybody may ask for them. */
export const OLDEST_MINUTE = `(now() AT TIME ZONE 'utc' - interval '25 hours')`;

/**
 * Of each fact so many values a day are kept, the first to come. What has another one is in no value's sum, but in
 * that of all, and therefore in what the answer calls other.
 */
const VALUES_A_DAY = 1000;

const FACTS = 'country, referrer, browser, system, device';

/**
 * Groups `scoped` by all that there are sums of, and adds them. `scoped` has owner, minute, the facts, clicks and
 * previews, as integers.
 */
function addScoped(before: string): string {
  return `
    ${before}
    , grouped AS (
      SELECT owner, minute, sum(clicks) AS clicks, sum(previews) AS previews,
             (CASE 0 WHEN grouping(country) THEN 'c' WHEN grouping(referrer) THEN 'r' WHEN grouping(browser) THEN 'b'
                     WHEN grouping(system) THEN 'o' WHEN grouping(device) THEN 'd' ELSE 't' END)::"char" AS field,
             coalesce(${FACTS}) AS value
      FROM scoped WHERE coalesce(${FACTS}) IS NOT NULL
      GROUP BY owner, minute, GROUPING SETS ((), (country), (referrer), (browser), (system), (device))
      UNION ALL
      SELECT owner, minute, sum(clicks), sum(previews), field, NULL
      FROM scoped CROSS JOIN (VALUES ('t'::"char"), ('n'::"char")) AS fields (field)
      WHERE coalesce(${FACTS}) IS NULL
      GROUP BY owner, minute, field
    ), days AS (
      SELECT owner, field, date_trunc('day', minute) AS day, value, sum(clicks) + sum(previews) AS n
      FROM grouped WHERE value IS NOT NULL GROUP BY 1, 2, 3, 4
    ), new_values AS MATERIALIZED (
      -- Looked up one by one: the table is far larger than what is added.
      SELECT * FROM days WHERE (
        SELECT true FROM stats_sums AS known
        WHERE known.owner = days.owner AND known.field = days.field AND known.step = 'd' AND known.slot = day
          AND known.value = days.value LIMIT 1) IS NULL
    ), refused AS MATERIALIZED (
      SELECT owner, field, day, value
      FROM (SELECT *, row_number() OVER (PARTITION BY owner, field, day ORDER BY n DESC, value) AS place
            FROM new_values) AS placed
      JOIN (SELECT owner, field, day,
                   (SELECT count(*) FROM stats_sums AS known
                    WHERE known.owner = fresh.owner AND known.field = fresh.field AND known.step = 'd'
                      AND known.slot = day AND known.value IS NOT NULL) AS there
            FROM (SELECT DISTINCT owner, field, day FROM new_values) AS fresh) AS filled USING (owner, field, day)
      WHERE n < 0 OR place + there > ${VALUES_A_DAY}
    )
    INSERT INTO stats_sums (owner, field, step, slot, value, clicks, previews)
    SELECT owner, field, steps.step, steps.slot, value, sum(clicks), sum(previews)
    FROM grouped CROSS JOIN LATERAL (VALUES
      ('m'::"char", minute), ('q'::"char", date_bin('15 minutes', minute, timestamp '2000-01-01')),
      ('d'::"char", date_trunc('day', minute))) AS steps (step, slot)
    WHERE (steps.step <> 'm' OR steps.slot >= ${OLDEST_MINUTE})
      AND (value IS NULL
           OR (owner, field, date_trunc('day', minute), value) NOT IN (SELECT owner, field, day, value FROM refused))
    GROUP BY owner, field, steps.step, steps.slot, value
    HAVING sum(clicks) <> 0 OR sum(previews) <> 0
    ORDER BY owner, field, steps.step, steps.slot
    ON CONFLICT (owner, field, step, slot, value)
    DO UPDATE SET clicks = stats_sums.clicks + excluded.clicks, previews = stats_sums.previews + excluded.previews`;
}

/** Rows of `stats_links` from minute, url_id, clicks and previews. */
function addLinks(source: string): string {
  return `
    INSERT INTO stats_links (step, slot, amount, url_ids, clicks, previews)
    SELECT step, slot, count(*), array_agg(url_id), array_agg(clicks),
           CASE WHEN bool_or(previews <> 0) THEN array_agg(previews) ELSE '{}' END
    FROM (SELECT (CASE WHEN minute >= ${OLDEST_MINUTE} THEN 'm' ELSE 'q' END)::"char" AS step,
                 CASE WHEN minute >= ${OLDEST_MINUTE} THEN minute
                      ELSE date_bin('15 minutes', minute, timestamp '2000-01-01') END AS slot,
                 url_id, sum(clicks)::integer AS clicks, sum(previews)::integer AS previews
          FROM (${source}) AS changed GROUP BY 1, 2, 3) AS summed
    WHERE clicks <> 0 OR previews <> 0 GROUP BY step, slot`;
}

/** What these statements run with: nobody can estimate how much is in arrays, and two loops in each other take for ever. */
export const SUMS_SETTINGS = 'SET LOCAL jit = off; SET LOCAL enable_nestloop = off';
export const USUAL_SETTINGS = 'SET LOCAL jit TO DEFAULT; SET LOCAL enable_nestloop TO DEFAULT';

/** To whose sums a difference that has its facts belongs. */
const scopesOf = (source: string): string => `
  SELECT 0::bigint AS owner, minute, ${FACTS}, clicks, previews FROM ${source} WHERE is_of_all
  UNION ALL
  SELECT owner, minute, ${FACTS}, clicks, previews FROM ${source} WHERE owner IS NOT NULL
  UNION ALL
  SELECT -url_id, minute, ${FACTS}, clicks, previews FROM ${source} JOIN stats_summed_links USING (url_id) WHERE is_of_all`;

const DIFFERENCES = `
  SELECT kind = 'events' AS is_of_all, url_id, owner, minute, ${FACTS},
         changed.clicks::integer AS clicks, changed.previews::integer AS previews
  FROM queued, unnest(url_ids, owners, minutes, countries, referrers, browsers, systems, devices, clicks, previews)
    AS changed (url_id, owner, minute, ${FACTS}, clicks, previews)`;

const CLICKS = `
  SELECT batches.id AS batch, minute, changed.*
  FROM batches, unnest(url_ids, owners, facts, clicks, previews) AS changed (url_id, owner, fact, clicks, previews)`;

const KNOWN_FACTS = `
  SELECT batches.id AS batch, known.*
  FROM batches, unnest(countries, referrers, browsers, systems, devices) WITH ORDINALITY AS known (${FACTS}, fact)`;

/**
 * Takes the rows `$1` out of what waits, and adds them. Clicks of batches are summed by the places of their facts;
 * the facts themselves come in when there is a row left for each owner.
 */
export const addStatement = addScoped(`
  WITH queued AS (DELETE FROM stats_queue WHERE id = ANY ($1::bigint[]) RETURNING *),
  batches AS (DELETE FROM stats_batches WHERE id = ANY ($1::bigint[]) RETURNING *),
  changed AS MATERIALIZED (${DIFFERENCES}),
  clicked AS MATERIALIZED (${CLICKS}),
  known AS MATERIALIZED (${KNOWN_FACTS}),
  links AS (${addLinks(`
    SELECT minute, url_id, clicks, previews FROM clicked
    UNION ALL SELECT minute, url_id, clicks, previews FROM changed WHERE is_of_all`)}),
  by_owner AS MATERIALIZED (
    SELECT owner, minute, batch, fact, sum(clicks)::integer AS clicks, sum(previews)::integer AS previews
    FROM clicked GROUP BY 1, 2, 3, 4
  ), by_scope AS MATERIALIZED (
    SELECT 0::bigint AS owner, minute, batch, fact, sum(clicks)::integer AS clicks, sum(previews)::integer AS previews
    FROM by_owner GROUP BY 2, 3, 4
    UNION ALL
    SELECT owner, minute, batch, fact, clicks, previews FROM by_owner WHERE owner IS NOT NULL
    UNION ALL
    SELECT -url_id, minute, batch, fact, clicks, previews FROM clicked JOIN stats_summed_links USING (url_id)
  ), scoped AS MATERIALIZED (
    SELECT owner, minute, ${FACTS}, clicks, previews FROM by_scope LEFT JOIN known USING (batch, fact)
    UNION ALL ${scopesOf('changed')}
  )`);

/**
 * Events of links, minute by minute; of minutes that nobody may ask for by quarters at once: there are fewer. Dropped
 * events are among them.
 */
const eventsBy = (condition: string): string => `
  SELECT url_id, minute, clicks::integer AS clicks, previews::integer AS previews,
         country, referrer, browser, os AS system, device
  FROM (
    SELECT url_id, details::text AS details,
           CASE WHEN "timestamp" >= ${OLDEST_MINUTE} THEN date_trunc('minute', "timestamp")
                ELSE date_bin('15 minutes', "timestamp", timestamp '2000-01-01') END AS minute,
           count(*) FILTER (WHERE event_type = 'click') AS clicks,
           count(*) FILTER (WHERE event_type = 'preview') AS previews
    FROM events WHERE ${condition} AND event_type IN ('click', 'preview')
    GROUP BY 1, 2, 3
  ) AS grouped LEFT JOIN LATERAL stats_facts(details) ON true
  UNION ALL
  SELECT url_id, slot, clicks, previews, country, referrer, browser, os, device FROM dropped_events WHERE ${condition}`;

/** All sums from all events. */
export const buildStatement = addScoped(`
  WITH changed AS MATERIALIZED (
    SELECT true AS is_of_all, user_id AS owner, counted.*
    FROM (${eventsBy('url_id IS NOT NULL')}) AS counted LEFT JOIN short_urls ON short_urls.id = url_id
  ),
  links AS (${addLinks('SELECT minute, url_id, clicks, previews FROM changed')}),
  scoped AS MATERIALIZED (${scopesOf('changed')})`);

/**
 * The own sums of the links `$1`, which have none yet: their events, without what still waits to be added. Both are of
 * one snapshot.
 */
export const addLinkStatement = addScoped(`
  WITH queued AS (SELECT * FROM stats_queue WHERE kind = 'events'),
  batches AS (SELECT * FROM stats_batches),
  scoped AS MATERIALIZED (
    SELECT -url_id AS owner, minute, ${FACTS}, clicks, previews
    FROM (${eventsBy('url_id = ANY ($1::bigint[])')}) AS counted
    UNION ALL
    SELECT -url_id, minute, ${FACTS}, -clicks, -previews
    FROM (${DIFFERENCES}) AS changed WHERE url_id = ANY ($1::bigint[])
    UNION ALL
    SELECT -url_id, minute, ${FACTS}, -clicks, -previews
    FROM (${CLICKS}) AS clicked LEFT JOIN (${KNOWN_FACTS}) AS known USING (batch, fact)
    WHERE url_id = ANY ($1::bigint[])
  )`);

/** Merges the rows of one slot `$2` of step `$1`. */
export const mergeStatement = `
  WITH merged AS (DELETE FROM stats_links WHERE step = $1::"char" AND slot = $2::timestamp RETURNING *)
  ${addLinks(`
    SELECT slot AS minute, changed.url_id, changed.clicks, coalesce(changed.previews, 0) AS previews
    FROM merged, unnest(url_ids, clicks, previews) AS changed (url_id, clicks, previews)`)}`;

/** Rows of links with fewer places than this are merged with others of their slot; so are many of a quarter. */
const FEW_PLACES = 1000;
const MANY_ROWS = 8;
/** What one merge may hold up the sums for. */
const MOST_PLACES = 1_000_000;

/** Slots that are over, whose rows are worth merging. */
export const mergeableStatement = `
  SELECT step, slot FROM stats_links WHERE slot < now() AT TIME ZONE 'utc' - interval '2 minutes'
  GROUP BY step, slot
  HAVING count(*) > 1 AND sum(amount) <= ${MOST_PLACES}
     AND (avg(amount) < ${FEW_PLACES} OR step = 'q' AND count(*) > ${MANY_ROWS})
  ORDER BY slot LIMIT 100`;
