import { type Connection, rowsOf, type Statement } from '../postgres/pool.js';

/**
 * A link with few events is deleted together with them. The events of a link with many clicks are hidden when it is
 * deleted, and removed in the background (removal.ts); until then `deleted_links` has the link.
 */

/** Clicks that are deleted at once, which takes a fraction of a second. */
const MAX_AT_ONCE = 20_000;

/** SQL that is true for events of no such link, for a query of `events` in which no other table has `url_id` or `id`. */
export const IS_VISIBLE = `((url_id IN (SELECT link_id FROM deleted_links)) IS NOT TRUE
  OR NOT EXISTS (SELECT FROM deleted_links WHERE link_id = url_id AND id <= last_event))`;

/** The source from which events are read. */
export const VISIBLE_EVENTS = `(SELECT * FROM events WHERE ${IS_VISIBLE}) AS events`;

const clicksStatement: Statement = {
  name: 'deleted_links_clicks',
  text: 'SELECT coalesce(sum(click_count), 0) FROM short_urls WHERE id = ANY ($1::bigint[])',
};

/**
 * `$2` is the last event's id. If the id is already here, because somebody reused it by hand before its events were
 * removed, the former owner is forgotten.
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
 * Deletes links with their events, in the transaction of the caller, who has locked the links: nobody adds events
 * meanwhile, and a new snapshot sees clicks that an ingest committed while the caller waited for the lock.
 */
export async function deleteLockedLinks(
  connection: Connection,
  linkIds: readonly (string | number)[],
): Promise<void> {
  if (linkIds.length === 0) return;
  const ids = `{${linkIds.join()}}`;
  const [sum] = await rowsOf<[clicks: string]>(connection, clicksStatement, [ids]);
  if (Number(sum?.[0]) <= MAX_AT_ONCE) {
    // Events first: the statistics look up their owners in the links.
    await connection.query('DELETE FROM events WHERE url_id = ANY ($1::bigint[])', [ids]);
  } else {
    await rowsOf(connection, hideStatement, [ids, await lastEvent(connection, ids)]);
  }
  await connection.query('DELETE FROM short_urls WHERE id = ANY ($1::bigint[])', [ids]);
}

/** The highest id that events of the links may have: the sequence's last, or one inserted by hand beyond it. */
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
