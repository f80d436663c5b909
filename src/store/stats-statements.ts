import type { Statement } from '../postgres/pool.js';
import { addEntries, FACTS, factsIn, OLDEST_MINUTE, quarterOf } from './stats-rollups.js';

/**
 * Settings for these statements. The planner can't estimate how much is in arrays: nested loops would take forever, and a
 * merge join's sorts take longer than a hash join. A plan is made once: planning costs as much as some thousand clicks.
 */
export const SUMS_SETTINGS = `SET LOCAL jit = off; SET LOCAL enable_nestloop = off; SET LOCAL enable_mergejoin = off;
  SET LOCAL plan_cache_mode = force_generic_plan`;
export const USUAL_SETTINGS = `SET LOCAL jit TO DEFAULT; SET LOCAL enable_nestloop TO DEFAULT;
  SET LOCAL enable_mergejoin TO DEFAULT; SET LOCAL plan_cache_mode TO DEFAULT`;

const DIFFERENCES = `
  SELECT kind = 'events' AS is_of_all, url_id, owner, minute, ${FACTS},
         changed.clicks::integer AS clicks, changed.previews::integer AS previews
  FROM queued, unnest(url_ids, owners, minutes, countries, referrers, browsers, systems, devices, clicks, previews)
    AS changed (url_id, owner, minute, ${FACTS}, clicks, previews)`;

const CLICKS = `
  SELECT id AS batch, minute, unnest(url_ids) AS url_id, unnest(owners) AS owner, unnest(batches.facts) AS fact,
         unnest(batches.clicks) AS clicks, unnest(batches.previews) AS previews
  FROM batches`;

const KNOWN_FACTS = `
  SELECT batches.id AS batch, known.*
  FROM batches, unnest(countries, referrers, browsers, systems, devices) WITH ORDINALITY AS known (${FACTS}, fact)`;

/** While the sums are built, differences of links that they don't have yet are left out: their events have them. */
const isBuilt = (source: string): string => `
  SELECT * FROM (${source}) AS changes
  WHERE (SELECT is_whole FROM stats_state) OR url_id < (SELECT next_url FROM stats_state)
     OR url_id = (SELECT next_url FROM stats_state)
        AND ${quarterOf('minute')} >= (SELECT next_quarter FROM stats_state)`;

/** The keys whose sums get the differences and their facts: key, minute, the facts, clicks, previews. */
const scopesOf = (source: string): string => `
  SELECT 0::bigint AS key, minute, ${FACTS}, clicks, previews FROM ${source} WHERE is_of_all
  UNION ALL
  SELECT owner, minute, ${FACTS}, clicks, previews FROM ${source} WHERE owner IS NOT NULL
  UNION ALL
  SELECT -url_id, minute, ${FACTS}, clicks, previews FROM ${source} JOIN stats_summed_links USING (url_id) WHERE is_of_all`;

/**
 * Removes the rows `$1` from those that wait, and adds them. Clicks of batches are summed by the places of their facts;
 * the facts themselves are joined when there is one row left for each key.
 */
const addText = addEntries(`
  WITH queued AS (DELETE FROM stats_queue WHERE id = ANY ($1::bigint[]) RETURNING *),
  batches AS (DELETE FROM stats_batches WHERE id = ANY ($1::bigint[]) RETURNING *),
  changed AS MATERIALIZED (${isBuilt(DIFFERENCES)}),
  clicked AS MATERIALIZED (${isBuilt(CLICKS)}),
  links AS (
    SELECT url_id, minute, clicks, previews FROM clicked
    UNION ALL SELECT url_id, minute, clicks, previews FROM changed WHERE is_of_all
  ),
  by_owner AS MATERIALIZED (
    SELECT owner, minute, batch, fact, sum(clicks)::integer AS clicks, sum(previews)::integer AS previews
    FROM clicked GROUP BY 1, 2, 3, 4
  ), by_key AS MATERIALIZED (
    SELECT 0::bigint AS key, minute, batch, fact, sum(clicks)::integer AS clicks, sum(previews)::integer AS previews
    FROM by_owner GROUP BY 2, 3, 4
    UNION ALL
    SELECT owner, minute, batch, fact, clicks, previews FROM by_owner WHERE owner IS NOT NULL
    UNION ALL
    SELECT -url_id, minute, batch, fact, clicks, previews FROM clicked JOIN stats_summed_links USING (url_id)
  ), scoped AS MATERIALIZED (${scopesOf('changed')}),
  totals AS (
    SELECT key, minute, clicks, previews FROM by_key UNION ALL SELECT key, minute, clicks, previews FROM scoped
  ),
  known AS MATERIALIZED (${KNOWN_FACTS}),
  known_facts AS MATERIALIZED (${factsIn('known', 'batch, fact AS place')}),
  detailed AS (
    SELECT key, minute, known_facts.fact, clicks, previews
    FROM by_key JOIN known_facts ON known_facts.batch = by_key.batch AND place = by_key.fact
    UNION ALL SELECT key, minute, fact, clicks, previews FROM (${factsIn('scoped', 'key, minute, clicks, previews')}) AS each
  )`);

export const addStatement: Statement = { name: 'stats_add', text: addText };

/**
 * Events of links by minute, or by quarter where no request reaches the minutes, which gives fewer rows. Includes dropped
 * events. `condition` selects by url_id and `quarter`.
 */
const eventsBy = (condition: (quarter: string) => string): string => `
  SELECT url_id, minute, country, referrer, browser, os AS system, device,
         clicks::integer AS clicks, previews::integer AS previews
  FROM (
    SELECT url_id, details::text AS details,
           CASE WHEN "timestamp" >= ${OLDEST_MINUTE} THEN date_trunc('minute', "timestamp")
                ELSE ${quarterOf('"timestamp"')} END AS minute,
           count(*) FILTER (WHERE event_type = 'click') AS clicks,
           count(*) FILTER (WHERE event_type = 'preview') AS previews
    FROM events WHERE event_type IN ('click', 'preview') AND ${condition(quarterOf('"timestamp"'))}
    GROUP BY 1, 2, 3
  ) AS grouped LEFT JOIN LATERAL stats_facts(details) ON true
  UNION ALL
  SELECT url_id, slot, country, referrer, browser, os, device, clicks, previews FROM dropped_events
  WHERE ${condition('slot')}`;

/** What waits in the same snapshot, to subtract from what is counted in it: it is added in its turn. */
const waitingBy = (condition: (quarter: string) => string): string => `
  SELECT is_of_all, url_id, owner, minute, ${FACTS}, -clicks, -previews
  FROM (${DIFFERENCES}) AS changes WHERE ${condition(quarterOf('minute'))}
  UNION ALL
  SELECT true, url_id, owner, minute, ${FACTS}, -clicks, -previews
  FROM (${CLICKS}) AS changes LEFT JOIN (${KNOWN_FACTS}) AS known USING (batch, fact)
  WHERE ${condition(quarterOf('minute'))}`;

const WAITING = `
  WITH queued AS (SELECT * FROM stats_queue WHERE kind IN ('events', 'owners')),
  batches AS (SELECT * FROM stats_batches)`;

/** From link `$1` before the quarter `$2` to link `$3` from `$4` on. Within a link the latest quarters come first. */
const inPiece = (quarter: string): string => `
  url_id BETWEEN $1 AND $3 AND (url_id > $1 OR ${quarter} < $2::timestamp) AND (url_id < $3 OR ${quarter} >= $4::timestamp)`;

/** All sums of one piece of the events. */
export const pieceStatement = addEntries(`
  ${WAITING},
  changed AS MATERIALIZED (
    -- The events of deleted links are subtracted from their owner when they are removed.
    SELECT true AS is_of_all, url_id, coalesce(user_id, owner_id) AS owner, minute, ${FACTS}, counted.clicks, counted.previews
    FROM (${eventsBy(inPiece)}) AS counted LEFT JOIN short_urls ON short_urls.id = url_id
      LEFT JOIN deleted_links ON link_id = url_id
    UNION ALL ${waitingBy(inPiece)}
  ),
  links AS (SELECT url_id, minute, clicks, previews FROM changed WHERE is_of_all),
  scoped AS MATERIALIZED (${scopesOf('changed')}),
  totals AS (SELECT key, minute, clicks, previews FROM scoped),
  detailed AS (${factsIn('scoped', 'key, minute, clicks, previews')})`);

/** The end of a piece that begins after (`$1`, `$2`) and has roughly `$3` events; no row if the rest is one piece. */
export const pieceEndStatement = `
  SELECT url_id, ${quarterOf('at')} AS quarter FROM (
    SELECT url_id, "timestamp" AS at FROM events
    WHERE url_id >= $1 AND event_type IN ('click', 'preview') AND (url_id > $1 OR "timestamp" < $2::timestamp)
    UNION ALL
    SELECT url_id, slot FROM dropped_events WHERE url_id >= $1 AND (url_id > $1 OR slot < $2::timestamp)
  ) AS counted
  ORDER BY url_id, at DESC OFFSET $3 LIMIT 1`;

/** Makes sums of their own for the links `$1`, which have none yet. */
const isAsked = (): string => 'url_id = ANY ($1::bigint[])';

export const addLinkStatement = addEntries(`
  ${WAITING},
  changed AS MATERIALIZED (
    SELECT true AS is_of_all, url_id, NULL::bigint AS owner, minute, ${FACTS}, clicks, previews
    FROM (${eventsBy(isAsked)}) AS counted
    UNION ALL ${waitingBy(isAsked)}
  ),
  links AS (SELECT NULL::bigint AS url_id, NULL::timestamp AS minute, 0 AS clicks, 0 AS previews WHERE false),
  totals AS (SELECT -url_id AS key, minute, clicks, previews FROM changed WHERE is_of_all),
  detailed AS (${factsIn('(SELECT * FROM changed WHERE is_of_all) AS visits', '-url_id AS key, minute, clicks, previews')})`);
