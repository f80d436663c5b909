import { type Connection, inTransaction, rowsOf, type Statement } from '../postgres/pool.js';
import { isArchived, RETENTION_LOCK } from './archive.js';
import { IS_VISIBLE } from './deleted-links.js';
import { keepDropped } from './retention-chunks.js';

/** How long a statement of a piece may hold locks. */
const PIECE_MS = 1000;

/** How far a round is. */
export interface RetentionCursor {
  /** Events from then on stay. Times are as PostgreSQL writes them. */
  readonly before: string;
  /** The last event that was looked at: events are, in the order of their times and ids. */
  readonly timestamp: string;
  readonly id: string;
}

export interface RetentionStep {
  /** Where to go on; `undefined` at the end of the round. */
  readonly next: RetentionCursor | undefined;
  readonly removed: number;
  /** Events that are left for not being in an archive, though their month has been over for a day. */
  readonly unarchived: number;
  /** Whether another server removes events now: the round is left to it. */
  readonly isElsewhere: boolean;
}

/** A minute's statistics may be asked for 24 hours long, from the start of that minute on. */
const borderStatement: Statement = {
  name: 'retention_border',
  text: `SELECT date_trunc('hour', now() AT TIME ZONE 'utc') - make_interval(days => $1, hours => 1)`,
};

const FIRST = { timestamp: '-infinity', id: '-9223372036854775808' };

/** Whether nothing was looked at yet. */
export function isAtBeginning({ timestamp, id }: RetentionCursor): boolean {
  return timestamp === FIRST.timestamp && id === FIRST.id;
}

/** Where a round begins. */
export async function beginRound(connection: Connection, days: number): Promise<RetentionCursor> {
  const [row] = await rowsOf<[before: string]>(connection, borderStatement, [days]);
  return { before: row?.[0] ?? '-infinity', ...FIRST };
}

const lockStatement: Statement = {
  name: 'retention_lock',
  text: 'SELECT pg_try_advisory_xact_lock($1)',
};

/**
 * Of events of all kinds, so that none takes long however many are of others. `$5` are the archives that are there, or
 * NULL where none is needed.
 */
const nextStatement: Statement = {
  name: 'retention_next',
  text: `SELECT id, "timestamp", url_id,
                CASE WHEN event_type NOT IN ('click', 'preview') THEN 'other'
                     WHEN $5::text[] IS NULL OR ${isArchived('$5')} THEN 'old'
                     WHEN date_trunc('month', "timestamp") + interval '1 month 1 day' < now() AT TIME ZONE 'utc'
                       THEN 'unarchived'
                     ELSE 'waiting' END
         FROM events AS e
         WHERE "timestamp" >= $2 AND "timestamp" < $1 AND ("timestamp", id) > ($2, $3::bigint)
         ORDER BY "timestamp", id LIMIT $4`,
};

/**
 * Links stay as they are while their events are dropped. One that somebody else has locked, to delete it or to
 * give it away, is left alone, and its events are left to a later round.
 */
const linksStatement: Statement = {
  name: 'retention_links',
  text: `SELECT id FROM short_urls WHERE id = ANY ($1::bigint[]) ORDER BY id FOR KEY SHARE SKIP LOCKED`,
};

/**
 * Nobody is waited for: an event that somebody else has locked is left to a later round. A piece is a range of times,
 * which an index finds in sealed chunks; the hot chunk is read once, and not for each event. Those of deleted links are
 * about to be removed, and are not to be kept.
 */
const removeStatement: Statement = {
  name: 'retention_remove',
  text: `
    WITH piece AS MATERIALIZED (
      SELECT id FROM events
      WHERE id = ANY ($1::bigint[]) AND "timestamp" BETWEEN $2 AND $4 AND event_type IN ('click', 'preview')
        AND (url_id IS NULL OR url_id = ANY ($3::bigint[])
             OR NOT EXISTS (SELECT FROM short_urls WHERE short_urls.id = url_id))
        AND ${IS_VISIBLE}
      FOR UPDATE OF events SKIP LOCKED
    ), gone AS (
      DELETE FROM events
      WHERE id = ANY ($1::bigint[]) AND "timestamp" BETWEEN $2 AND $4 AND id = ANY (ARRAY(SELECT id FROM piece))
      RETURNING url_id, events."timestamp", event_type, details
    ), kept AS (${keepDropped('gone')})
    SELECT count(*) FROM gone`,
};

/**
 * The settings of a piece, within its transaction. The sums go on counting what is dropped, and events are found by
 * indexes, wherever there are any.
 */
const PIECE_SETTINGS = `
  SET LOCAL statement_timeout = ${PIECE_MS};
  SET LOCAL switchyard.differences = 'none';
  SET LOCAL enable_seqscan = off;
  SET LOCAL enable_bitmapscan = off;
  SET LOCAL enable_hashjoin = off;
  SET LOCAL enable_mergejoin = off;
  SET LOCAL plan_cache_mode = force_custom_plan;
  SET LOCAL jit = off`;

type Found = readonly [id: string, timestamp: string, urlId: string | null, kind: string];

/**
 * Removes clicks and previews among the next `limit` old events, and keeps what they were of their links; in one
 * transaction, so that a kill loses nothing and counts nothing twice.
 * @param archives Files of which one must have an event for it to be removed; `undefined` for none.
 */
export async function removeOldEvents(
  connection: Connection,
  cursor: RetentionCursor,
  limit: number,
  archives?: readonly string[],
): Promise<RetentionStep> {
  return inTransaction(connection, async () => {
    await connection.query(PIECE_SETTINGS);
    const [lock] = await rowsOf<[string]>(connection, lockStatement, [RETENTION_LOCK]);
    if (lock?.[0] !== 't') return { next: undefined, removed: 0, unarchived: 0, isElsewhere: true };
    const found = await rowsOf<Found>(connection, nextStatement, [
      cursor.before,
      cursor.timestamp,
      cursor.id,
      limit,
      archives ?? null,
    ]);
    const old = found.filter(([, , , kind]) => kind === 'old');
    const unarchived = found.filter(([, , , kind]) => kind === 'unarchived').length;
    const removed = old.length === 0 ? 0 : await remove(connection, old);
    const last = found.length < limit ? undefined : found.at(-1);
    const next = last === undefined ? undefined : { before: cursor.before, timestamp: last[1], id: last[0] };
    return { next, removed, unarchived, isElsewhere: false };
  });
}

async function remove(connection: Connection, old: readonly Found[]): Promise<number> {
  const urlIds = [...new Set(old.map(([, , urlId]) => urlId).filter((urlId) => urlId !== null))];
  const locked = await rowsOf<[string]>(connection, linksStatement, [arrayOf(urlIds)]);
  const [counted] = await rowsOf<[string]>(connection, removeStatement, [
    arrayOf(old.map(([id]) => id)),
    old[0]?.[1],
    arrayOf(locked.map(([id]) => id)),
    old.at(-1)?.[1],
  ]);
  return Number(counted?.[0]);
}

/** PostgreSQL's text of an array; pg's own takes several times as long. */
function arrayOf(values: readonly string[]): string {
  return `{${values.join()}}`;
}
