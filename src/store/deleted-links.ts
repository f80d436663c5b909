import { type Connection, rowsOf, type Statement } from '../postgres/pool.js';

/**
 * Links and their events are deleted at once while the events are few. Those of links with many clicks are hidden with
 * the link, and removed in the background (removal.ts): `deleted_links` has such links until then.
 */

/** Clicks that are deleted at once; that takes a fraction of a second. */
const MOST_AT_ONCE = 20_000;

/** SQL that is true for events that are not of such a link. It goes into a query of `events` without another `url_id` or `id`. */
export const IS_VISIBLE = `((url_id IN (SELECT link_id FROM deleted_links)) IS NOT TRUE
  OR NOT EXISTS (SELECT FROM deleted_links WHERE link_id = url_id AND id <= last_event))`;

/** What events are read from. */
export const VISIBLE_EVENTS = `(SELECT * FROM events WHERE ${IS_VISIBLE}) AS events`;

const clicksStatement: Statement = {
  name: 'deleted_links_clicks',
  text: 'SELECT coalesce(sum(click_count), 0) FROM short_urls WHERE id = ANY ($1::bigint[])',
};

/**
 * A link that was made by hand under the id of one whose events are still there: the owner of before is forgotten.
 * `$2` is the last event's id.
 */
const hideStatement: Statement = {
  name: 'deleted_links_hide',
  text: `INSERT INTO deleted_links (link_id, owner_id, last_event)
         SELECT id, user_id, $2::bigint FROM short_urls WHERE id = ANY ($1::bigint[]) ORDER BY id
         ON CONFLICT (link_id) DO UPDATE
         SET owner_id = excluded.owner_id, last_event = excluded.last_event, next_event = excluded.next_event,
             deleted_at = excluded.deleted_at`,
};

/**
 * Deletes links with their events. They are locked by the caller, in whose transaction it is: no events are added
 * meanwhile, and a new snapshot sees clicks that an ingest committed while the caller waited for the lock.
 */
export async function deleteLockedLinks(
  connection: Connection,
  linkIds: readonly (string | number)[],
): Promise<void> {
  if (linkIds.length === 0) return;
  const ids = `{${linkIds.join()}}`;
  const [sum] = await rowsOf<[clicks: string]>(connection, clicksStatement, [ids]);
  if (Number(sum?.[0]) <= MOST_AT_ONCE) {
    // Events first, while their links still tell the statistics whose they were.
    await connection.query('DELETE FROM events WHERE url_id = ANY ($1::bigint[])', [ids]);
  } else {
    await rowsOf(connection, hideStatement, [ids, await lastEvent(connection, ids)]);
  }
  await connection.query('DELETE FROM short_urls WHERE id = ANY ($1::bigint[])', [ids]);
}

/** The highest id that events of the links may have: it was given by the sequence, or by hand beyond it. */
async function lastEvent(connection: Connection, ids: string): Promise<string> {
  const { rows: given } = await connection.query<{ last: string }>(
    'SELECT last_value AS last FROM events_id_seq',
  );
  const last = BigInt(given[0]?.last ?? 0);
  const { rows: beyond } = await connection.query<{ last: string | null }>(
    `SELECT max(id) AS last FROM events WHERE id > ${last} AND url_id = ANY ($1::bigint[])`,
    [ids],
  );
  return beyond[0]?.last ?? `${last}`;
}
