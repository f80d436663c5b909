import { type Connection, inTransaction, rowsOf, type Statement } from '../postgres/pool.js';

/** A row of `events` as PostgreSQL's text; `details` is JSON text. */
export type EventRow = readonly [
  id: string,
  urlId: string | null,
  userId: string | null,
  eventType: string,
  timestamp: string,
  details: string,
];

export const eventColumns = 'id, url_id, user_id, event_type, "timestamp", details';

export interface NewEvent {
  readonly urlId: string | null;
  readonly userId: string | null;
  readonly eventType: string;
  /** UTC, `YYYY-MM-DD HH:MM:SS.mmm`. */
  readonly timestamp: string;
  /** JSON text of an object. */
  readonly details: string;
}

const getStatement: Statement = {
  name: 'event_get',
  text: `SELECT ${eventColumns} FROM events WHERE id = $1`,
};

/**
 * Locks user, then link (the count in the second condition makes it wait for the first), so that
 * neither can be deleted before the event is there.
 */
const insertStatement: Statement = {
  name: 'event_insert',
  text: `
    WITH owner AS (SELECT id FROM users WHERE id = $2 FOR KEY SHARE),
         link AS (SELECT id FROM short_urls WHERE id = $1 AND (SELECT count(*) FROM owner) >= 0 FOR KEY SHARE),
         found AS (SELECT $1::bigint IS NULL OR EXISTS (SELECT FROM link) AS link,
                          $2::bigint IS NULL OR EXISTS (SELECT FROM owner) AS owner),
         made AS (INSERT INTO events (url_id, user_id, event_type, "timestamp", details)
                  SELECT $1, $2, $3::text, $4::timestamp, $5::json FROM found WHERE link AND owner RETURNING ${eventColumns})
    SELECT link, owner, ${eventColumns} FROM found LEFT JOIN made ON true`,
};

const countClickStatement: Statement = {
  name: 'event_count_click',
  text: 'UPDATE short_urls SET click_count = click_count + 1 WHERE id = $1',
};

/** The link is locked before its event, as everywhere; a click is taken off the link's counter. */
const deleteStatement: Statement = {
  name: 'event_delete',
  text: `
    WITH doomed AS (SELECT url_id, event_type FROM events WHERE id = $1),
         link AS (SELECT id FROM short_urls
                  WHERE id = (SELECT url_id FROM doomed WHERE event_type = 'click') FOR NO KEY UPDATE),
         gone AS (DELETE FROM events WHERE id = $1 AND (SELECT count(*) FROM link) >= 0
                  RETURNING url_id, event_type),
         counted AS (UPDATE short_urls SET click_count = click_count - 1 FROM gone
                     WHERE short_urls.id = gone.url_id AND gone.event_type = 'click')
    SELECT count(*) FROM gone`,
};

export async function getEvent(connection: Connection, id: string): Promise<EventRow | undefined> {
  const [row] = await rowsOf<EventRow>(connection, getStatement, [id]);
  return row;
}

/**
 * @returns the new row, or which of its references does not exist. A `click` posted by hand counts
 * as a click, so that a link's counter always equals its click events.
 */
export async function insertEvent(
  connection: Connection,
  event: NewEvent,
): Promise<EventRow | 'no-link' | 'no-user'> {
  if (event.eventType === 'click' && event.urlId !== null) {
    return inTransaction(connection, async () => {
      const made = await insertOnly(connection, event);
      if (typeof made !== 'string') await rowsOf(connection, countClickStatement, [event.urlId]);
      return made;
    });
  }
  return insertOnly(connection, event);
}

async function insertOnly(
  connection: Connection,
  event: NewEvent,
): Promise<EventRow | 'no-link' | 'no-user'> {
  type Answer = readonly [link: string, owner: string, ...made: (string | null)[]];
  const values = [event.urlId, event.userId, event.eventType, event.timestamp, event.details];
  const [answer] = await rowsOf<Answer>(connection, insertStatement, values);
  const [link, owner, ...made] = answer ?? ['f', 'f'];
  if (link !== 't') return 'no-link';
  if (owner !== 't') return 'no-user';
  return made as unknown as EventRow;
}

/** @returns whether there was such an event. */
export async function deleteEvent(connection: Connection, id: string): Promise<boolean> {
  const [row] = await rowsOf<[string]>(connection, deleteStatement, [id]);
  return row?.[0] === '1';
}
