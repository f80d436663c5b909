import { sqlStateOf } from '../postgres/failures.js';
import { type Connection, inTransaction, rowsOf, type Statement } from '../postgres/pool.js';

/**
 * Removes the events of deleted links that had too many to delete at once. Each piece is a range of ids and one transaction,
 * which deletes the links' events in the range, subtracts them from the statistics and notes how far it got. After a kill the
 * next piece continues from there.
 */

/** Held by the server that removes: one at a time. */
const REMOVAL_LOCK = 0x5357_0007;

/** How long a piece may hold locks on events. */
const PIECE_MS = 1000;
const LONG_MS = 500;
const SHORT_MS = 200;
const FIRST_IDS = 16_384n;
const MIN_IDS = 1024n;
/** Ranges grow where the links have no events: a gap of a thousand million ids takes a few pieces. */
const MAX_IDS = 2n ** 40n;
const LINKS_A_PIECE = 1000;
const LOWEST_ID = -(2n ** 63n);
const QUERY_CANCELED = '57014';

export interface RemovalStep {
  /** Events that the piece removed. */
  readonly removed: number;
  /** Whether there is more to do at once; `false` while another server does it. */
  readonly isMore: boolean;
  /** Links that have no events left. */
  readonly finished: number;
}

const NOTHING: RemovalStep = { removed: 0, isMore: false, finished: 0 };

type Link = readonly [id: string, ownerId: string | null, lastEvent: string, nextEvent: string];

/** The links that are furthest along: they are finished however many others are deleted meanwhile. */
const linksStatement: Statement = {
  name: 'removal_links',
  text: `SELECT link_id, owner_id, last_event, next_event FROM deleted_links
         WHERE next_event = (SELECT max(next_event) FROM deleted_links)
         ORDER BY link_id LIMIT ${LINKS_A_PIECE} FOR UPDATE`,
};

const movedStatement: Statement = {
  name: 'removal_moved',
  text: 'UPDATE deleted_links SET next_event = $2 WHERE link_id = ANY ($1::bigint[])',
};

const finishedStatement: Statement = {
  name: 'removal_finished',
  text: 'DELETE FROM deleted_links WHERE link_id = ANY ($1::bigint[])',
};

/** How many places a row in the statistics' queue has at most: a step adds whole rows, as many as it has time for. */
const PLACES_A_ROW = 1000;

/** Subtracts `changes` from the statistics; `$1` are links, `$2` their owners. */
const noted = (changes: string): string => `
  INSERT INTO stats_queue
    (kind, is_less, url_ids, owners, minutes, countries, referrers, browsers, systems, devices, clicks, previews)
  SELECT 'events', true, array_agg(url_id), array_agg(owner_id), array_agg(minute),
         array_agg(country), array_agg(referrer), array_agg(browser), array_agg(os), array_agg(device),
         array_agg(-clicks), array_agg(-previews)
  FROM (
    SELECT changes.*, owner_id, (row_number() OVER () - 1) / ${PLACES_A_ROW} AS part
    FROM (${changes}) AS changes
      JOIN unnest($1::bigint[], $2::bigint[]) AS link (link_id, owner_id) ON link_id = url_id
  ) AS changed
  GROUP BY part`;

/** Of ids from `from` up to `to`, which is not one of them. They stand in the statement: the planner then looks at no other chunk. */
const eventsText = (from: bigint, to: bigint): string => `
  WITH gone AS (
    DELETE FROM events
    WHERE id >= '${from}'::bigint AND id < '${to}'::bigint AND url_id = ANY ($1::bigint[])
      AND id <= (SELECT last_event FROM deleted_links WHERE link_id = url_id)
    RETURNING url_id, event_type, "timestamp", details
  ), noted AS (${noted(`
    SELECT url_id, minute, country, referrer, browser, os, device, clicks, previews
    FROM (
      SELECT url_id, date_trunc('minute', "timestamp") AS minute, details::text AS details,
             count(*) FILTER (WHERE event_type = 'click') AS clicks,
             count(*) FILTER (WHERE event_type = 'preview') AS previews
      FROM gone WHERE event_type IN ('click', 'preview') GROUP BY 1, 2, 3
    ) AS grouped LEFT JOIN LATERAL stats_facts(details) ON true`)})
  SELECT count(*) FROM gone`;

/** Last, what retention has kept of the links' dropped events. */
const DROPPED_A_PIECE = 10_000;
const droppedText = `
  WITH gone AS (
    DELETE FROM dropped_events
    WHERE ctid = ANY (ARRAY(SELECT ctid FROM dropped_events WHERE url_id = ANY ($1::bigint[]) LIMIT ${DROPPED_A_PIECE}))
    RETURNING *
  ), noted AS (${noted('SELECT *, slot AS minute FROM gone')})
  SELECT count(*) FROM gone`;

/** Ids that a piece covers: as many as this database manages in a fraction of a second. */
let ids = FIRST_IDS;

/** Removes one piece, if there is anything to remove. */
export async function removeDeleted(connection: Connection): Promise<RemovalStep> {
  const { rows } = await connection.query('SELECT FROM deleted_links LIMIT 1');
  if (rows.length === 0) return NOTHING;
  const begun = performance.now();
  try {
    const step = await inTransaction(connection, () => removePiece(connection));
    const took = performance.now() - begun;
    if (took > LONG_MS) ids = larger(MIN_IDS, ids / 2n);
    else if (took < SHORT_MS) ids = smaller(MAX_IDS, ids * 2n);
    return step;
  } catch (error) {
    if (sqlStateOf(error) !== QUERY_CANCELED || ids === MIN_IDS) throw error;
    ids = larger(MIN_IDS, ids / 8n);
    return { ...NOTHING, isMore: true };
  }
}

async function removePiece(connection: Connection): Promise<RemovalStep> {
  await connection.query(`SET LOCAL statement_timeout = ${PIECE_MS}; SET LOCAL jit = off;
                          SET LOCAL switchyard.differences = 'none'`);
  const { rows } = await connection.query<{ locked: string }>(
    'SELECT pg_try_advisory_xact_lock($1) AS locked',
    [REMOVAL_LOCK],
  );
  if (rows[0]?.locked !== 't') return NOTHING;
  // Before the links: a TRUNCATE of several tables locks the events first.
  await connection.query('LOCK TABLE ONLY events IN ROW EXCLUSIVE MODE');
  const links = await rowsOf<Link>(connection, linksStatement);
  const [first] = links;
  if (first === undefined) return NOTHING;
  const linkIds = `{${links.map(([id]) => id).join()}}`;
  const values = [linkIds, `{${links.map(([, ownerId]) => ownerId ?? 'NULL').join()}}`];
  const from = BigInt(first[3]);
  const end = links.reduce((highest, [, , last]) => larger(highest, BigInt(last)), LOWEST_ID) + 1n;
  if (from < end) {
    // Only rows inserted by hand have ids below 1.
    const to = smaller(end, larger(1n, from + ids));
    const removed = await countOf(connection, eventsText(from, to), values);
    await rowsOf(connection, movedStatement, [linkIds, `${to}`]);
    return { removed, isMore: true, finished: 0 };
  }
  if ((await countOf(connection, droppedText, values)) === DROPPED_A_PIECE)
    return { ...NOTHING, isMore: true };
  await rowsOf(connection, finishedStatement, [linkIds]);
  return { removed: 0, isMore: true, finished: links.length };
}

async function countOf(connection: Connection, text: string, values: readonly unknown[]): Promise<number> {
  const { rows } = await connection.query<{ count: string }>(text, [...values]);
  return Number(rows[0]?.count);
}

function larger(one: bigint, other: bigint): bigint {
  return one > other ? one : other;
}

function smaller(one: bigint, other: bigint): bigint {
  return one < other ? one : other;
}
