import { type Connection, inTransaction } from '../postgres/pool.js';

/** Who adds to the sums, or makes them anew, holds this lock: one server at a time. */
const STATISTICS_LOCK = 0x5357_0003;

/** Rows of the queue that are added in one transaction; a row may be of a whole batch of an ingest. */
const ROWS_A_STEP = 50;

/** What waits: differences that triggers have noted, and those of the ingest's batches. */
const WAITING = `(SELECT id, kind, noted_at FROM stats_queue UNION ALL SELECT id, 'batch', noted_at FROM stats_batches)`;

/** Minutes are kept an hour longer than anybody may ask for them. */
const OLDEST_MINUTE = `(now() AT TIME ZONE 'utc' - interval '25 hours')`;

/**
 * Of each fact so many values a day are kept, the first to come. What has another one is in no value's sum, but in
 * that of all, and therefore in what the answer calls other.
 */
const VALUES_A_DAY = 1000;

export interface SumsStep {
  /** Whether the sums hold all events; if not, they are to be built. */
  readonly isBuilt: boolean;
  /** Whether another step would find something at once. */
  readonly hasMore: boolean;
  /** Rows that still wait, and how long the oldest has, in seconds. */
  readonly queued: number;
  readonly behindSeconds: number;
}

/**
 * Groups of `source` by all that there are sums of. A link's clicks are in one step alone, for links are many: in
 * minutes while those are kept, then in quarters. `source` has owner, url_id, minute, the facts, clicks and
 * previews; an owner of null is nobody's.
 */
function upsertFrom(source: string, before: string): string {
  return `
    ${before}
    , scoped AS (
      SELECT 0::bigint AS owner, url_id, minute, country, referrer, browser, system, device, clicks, previews
      FROM ${source} WHERE is_of_all
      UNION ALL
      SELECT owner, url_id, minute, country, referrer, browser, system, device, clicks, previews
      FROM ${source} WHERE owner IS NOT NULL
    ), grouped AS (
      SELECT owner, minute, sum(clicks) AS clicks, sum(previews) AS previews,
             (CASE 0 WHEN grouping(url_id) THEN 'l' WHEN grouping(country) THEN 'c' WHEN grouping(referrer) THEN 'r'
                     WHEN grouping(browser) THEN 'b' WHEN grouping(system) THEN 'o' WHEN grouping(device) THEN 'd'
                     ELSE 't' END)::"char" AS field,
             coalesce(url_id::text, country, referrer, browser, system, device) AS value
      FROM scoped
      GROUP BY owner, minute, GROUPING SETS ((), (url_id), (country), (referrer), (browser), (system), (device))
    ), days AS (
      SELECT owner, field, date_trunc('day', minute) AS day, value, sum(clicks) + sum(previews) AS n
      FROM grouped WHERE field NOT IN ('t', 'l') AND value IS NOT NULL GROUP BY 1, 2, 3, 4
    ), new_values AS (
      SELECT * FROM days WHERE NOT EXISTS (
        SELECT FROM stats_sums AS known
        WHERE known.owner = days.owner AND known.field = days.field AND known.step = 'd' AND known.slot = day
          AND known.value = days.value)
    ), refused AS (
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
    WHERE CASE WHEN field = 'l' THEN steps.step = (CASE WHEN minute >= ${OLDEST_MINUTE} THEN 'm' ELSE 'q' END)::"char"
               ELSE steps.step <> 'm' OR steps.slot >= ${OLDEST_MINUTE} END
      AND (value IS NULL
           OR (owner, field, date_trunc('day', minute), value) NOT IN (SELECT owner, field, day, value FROM refused))
    GROUP BY owner, field, steps.step, steps.slot, value
    HAVING sum(clicks) <> 0 OR sum(previews) <> 0
    ORDER BY owner, field, steps.step, steps.slot
    ON CONFLICT (owner, field, step, slot, value)
    DO UPDATE SET clicks = stats_sums.clicks + excluded.clicks, previews = stats_sums.previews + excluded.previews`;
}

const addStatement = upsertFrom(
  'differences',
  `WITH taken AS (DELETE FROM stats_queue WHERE id = ANY ($1::bigint[]) RETURNING *),
   batches AS MATERIALIZED (DELETE FROM stats_batches WHERE id = ANY ($1::bigint[]) RETURNING *),
   differences AS MATERIALIZED (
     SELECT kind = 'events' AS is_of_all, changed.*
     FROM taken, unnest(url_ids, owners, minutes, countries, referrers, browsers, systems, devices, clicks, previews)
       AS changed (url_id, owner, minute, country, referrer, browser, system, device, clicks, previews)
     UNION ALL
     SELECT true, url_id, owner, minute, country, referrer, browser, system, device, clicked.clicks, clicked.previews
     FROM (SELECT batches.id, minute, changed.*
           FROM batches, unnest(url_ids, owners, facts, clicks, previews)
             AS changed (url_id, owner, place, clicks, previews)) AS clicked
     LEFT JOIN (SELECT batches.id, known.*
                FROM batches, unnest(countries, referrers, browsers, systems, devices) WITH ORDINALITY
                  AS known (country, referrer, browser, system, device, place)) AS facts USING (id, place)
   )`,
);

/**
 * Events of minutes that nobody may ask for are grouped by quarters of an hour at once: there are fewer. Dropped events
 * are among them.
 */
const buildStatement = upsertFrom(
  'counted',
  `WITH counted AS MATERIALIZED (
     SELECT true AS is_of_all, user_id AS owner, url_id, minute, clicks, previews,
            country, referrer, browser, os AS system, device
     FROM (
       SELECT url_id, details::text AS details,
              CASE WHEN "timestamp" >= ${OLDEST_MINUTE} THEN date_trunc('minute', "timestamp")
                   ELSE date_bin('15 minutes', "timestamp", timestamp '2000-01-01') END AS minute,
              count(*) FILTER (WHERE event_type = 'click') AS clicks,
              count(*) FILTER (WHERE event_type = 'preview') AS previews
       FROM events WHERE url_id IS NOT NULL AND event_type IN ('click', 'preview')
       GROUP BY 1, 2, 3
     ) AS grouped LEFT JOIN short_urls ON short_urls.id = url_id LEFT JOIN LATERAL stats_facts(details) ON true
     UNION ALL
     SELECT true, user_id, url_id, slot, clicks, previews, country, referrer, browser, os, device
     FROM dropped_events LEFT JOIN short_urls ON short_urls.id = url_id
   )`,
);

const queueStatement = `
  SELECT (SELECT is_built FROM stats_state) AS is_built,
         count(*) AS queued, greatest(extract(epoch FROM clock_timestamp() - min(noted_at)), 0) AS behind
  FROM ${WAITING} AS waiting`;

/** How far the sums are behind, without changing anything. */
export async function readQueue(connection: Connection): Promise<Omit<SumsStep, 'hasMore'>> {
  const { rows } = await connection.query<{ is_built: string; queued: string; behind: string | null }>(
    queueStatement,
  );
  const [row] = rows;
  return {
    isBuilt: row?.is_built !== 'f',
    queued: Number(row?.queued ?? 0),
    behindSeconds: Number(row?.behind ?? 0),
  };
}

/**
 * Adds what waits in the queue to the sums, in one transaction: each difference once. Where another server does
 * so now, or nothing waits, nothing is done.
 */
export async function addDifferences(connection: Connection): Promise<SumsStep> {
  const before = await readQueue(connection);
  if (!before.isBuilt || before.queued === 0) return { ...before, hasMore: false };
  const hasMore = await inTransaction(connection, async () => {
    if (!(await hasLock(connection))) return false;
    // All that was committed before the transaction began, whose time `now()` is, is in what this returns.
    const { rows } = await connection.query<{ id: string; kind: string }>(
      `SELECT id, kind FROM ${WAITING} AS waiting WHERE (SELECT is_built FROM stats_state) ORDER BY id LIMIT ${ROWS_A_STEP + 1}`,
    );
    const isAll = rows.length <= ROWS_A_STEP;
    let ids: string[] = [];
    // A TRUNCATE has the table for itself: who changed it before has a lower id, who does so after a higher.
    for (const { id, kind } of rows.slice(0, ROWS_A_STEP)) {
      ids.push(id);
      if (kind !== 'no_events' && kind !== 'no_owners') continue;
      await add(connection, ids);
      await connection.query(`DELETE FROM stats_sums${kind === 'no_owners' ? ' WHERE owner <> 0' : ''}`);
      // Events that were dropped before still count.
      await connection.query(
        'UPDATE stats_state SET is_built = false WHERE EXISTS (SELECT FROM dropped_events)',
      );
      ids = [];
    }
    await add(connection, ids);
    if (isAll) await connection.query('UPDATE stats_state SET as_of = now()');
    return !isAll;
  });
  return { ...(await readQueue(connection)), hasMore };
}

async function add(connection: Connection, ids: readonly string[]): Promise<void> {
  if (ids.length === 0) return;
  await connection.query(
    `UPDATE stats_state SET has_zeros = true
     WHERE NOT has_zeros AND EXISTS (SELECT FROM stats_queue WHERE id = ANY ($1::bigint[]) AND is_less)`,
    [ids],
  );
  await connection.query(addStatement, [ids]);
}

async function hasLock(connection: Connection): Promise<boolean> {
  const { rows } = await connection.query<{ locked: string }>(
    'SELECT pg_try_advisory_xact_lock($1) AS locked',
    [STATISTICS_LOCK],
  );
  return rows[0]?.locked === 't';
}

/**
 * Makes the sums anew from the events and from those that were dropped, as they are at one moment: what the queue holds by then is in them, and
 * what comes later stays in the queue. Killed, it has done nothing, and is begun again.
 * @returns whether the sums are there; `false` where another server makes them now.
 */
export async function buildSums(connection: Connection): Promise<boolean> {
  await connection.query('BEGIN ISOLATION LEVEL REPEATABLE READ');
  try {
    await connection.query(
      'SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0',
    );
    const isFirst = await hasLock(connection);
    const { rows } = await connection.query<{ is_built: string }>('SELECT is_built FROM stats_state');
    if (isFirst && rows[0]?.is_built === 'f') {
      await connection.query('DELETE FROM stats_sums');
      await connection.query(buildStatement);
      await connection.query('DELETE FROM stats_queue');
      await connection.query('DELETE FROM stats_batches');
      await connection.query('UPDATE stats_state SET is_built = true, as_of = now()');
    }
    await connection.query('COMMIT');
    return isFirst || rows[0]?.is_built === 't';
  } catch (error) {
    await connection.query('ROLLBACK');
    throw error;
  }
}

/** Removes minutes that are too old, those of links into quarters, and what has become zero. */
export async function tidySums(connection: Connection): Promise<void> {
  await inTransaction(connection, async () => {
    if (!(await hasLock(connection))) return;
    await connection.query(`
      WITH old AS (DELETE FROM stats_sums WHERE step = 'm' AND slot < ${OLDEST_MINUTE} RETURNING *)
      INSERT INTO stats_sums (owner, field, step, slot, value, clicks, previews)
      SELECT owner, field, 'q', date_bin('15 minutes', slot, timestamp '2000-01-01') AS slot, value,
             sum(clicks), sum(previews)
      FROM old WHERE field = 'l' GROUP BY 1, 2, 4, 5
      ON CONFLICT (owner, field, step, slot, value)
      DO UPDATE SET clicks = stats_sums.clicks + excluded.clicks, previews = stats_sums.previews + excluded.previews`);
    const { rows } = await connection.query(
      'UPDATE stats_state SET has_zeros = false WHERE has_zeros RETURNING true',
    );
    if (rows.length > 0) await connection.query('DELETE FROM stats_sums WHERE clicks = 0 AND previews = 0');
  });
}
