import { type Connection, inTransaction } from '../postgres/pool.js';
import { IS_VISIBLE } from './deleted-links.js';

/** A link whose counter is not the number of its click events, dropped ones included. */
export interface CounterError {
  readonly id: string;
  readonly shortCode: string;
  readonly counter: number;
  readonly events: number;
  /** Of events that EVENTS_RETENTION_DAYS has removed. */
  readonly dropped: number;
}

/** A link with click events from another link's visits: their code is not its own, or they are older. */
export interface StrangeEvents {
  readonly id: string;
  readonly shortCode: string;
  readonly events: number;
}

export interface ReconcileStep {
  /** Links compared. */
  readonly links: number;
  readonly wrong: readonly CounterError[];
  readonly strangers: readonly StrangeEvents[];
  /** The last link's id, from which to continue; `undefined` if there are no more. */
  readonly last: string | undefined;
}

export async function countLinks(connection: Connection): Promise<number> {
  const { rows } = await connection.query<{ n: string }>('SELECT count(*) AS n FROM short_urls');
  return Number(rows[0]?.n ?? 0);
}

/**
 * Compares the counters of the next links by id. Locks the links first and counts their events afterwards: a
 * simultaneous ingest is either seen whole or adds its clicks later.
 */
export async function findWrongCounters(
  connection: Connection,
  { after, links, repair }: { after: string; links: number; repair: boolean },
): Promise<ReconcileStep> {
  return inTransaction(connection, async () => {
    const locked = await connection.query<{ id: string }>(
      `SELECT id FROM short_urls WHERE id > $1 ORDER BY id LIMIT ${links} FOR NO KEY UPDATE`,
      [after],
    );
    const ids = locked.rows.map((row) => row.id);
    const counted = await connection.query<{
      id: string;
      short_code: string;
      click_count: string;
      events: string;
      dropped: string;
    }>(
      // All links at once: the hot chunk of events is read from end to end.
      `SELECT id, short_code, click_count, events, dropped
       FROM (SELECT id, short_code, click_count, coalesce(n, 0) AS events,
                    (SELECT coalesce(sum(clicks), 0) FROM dropped_events WHERE url_id = short_urls.id) AS dropped
             FROM short_urls
               LEFT JOIN (SELECT url_id, count(*) AS n FROM events
                          WHERE url_id = ANY ($1::bigint[]) AND event_type = 'click' AND ${IS_VISIBLE}
                          GROUP BY url_id) AS counted
                 ON url_id = id
             WHERE id = ANY ($1::bigint[])) AS compared
       WHERE click_count <> events + dropped ORDER BY id`,
      [ids],
    );
    const wrong = counted.rows.map((row) => ({
      id: row.id,
      shortCode: row.short_code,
      counter: Number(row.click_count),
      events: Number(row.events),
      dropped: Number(row.dropped),
    }));
    const strangers = await findStrangers(connection, ids);
    if (repair && wrong.length > 0) {
      await connection.query(
        `UPDATE short_urls SET click_count = right_count
         FROM unnest($1::bigint[], $2::bigint[]) AS counted (url_id, right_count) WHERE id = url_id`,
        [wrong.map(({ id }) => id), wrong.map(({ events, dropped }) => events + dropped)],
      );
    }
    return { links: ids.length, wrong, strangers, last: ids.length < links ? undefined : ids.at(-1) };
  });
}

/** How far a gateway's clock may be behind the one that recorded a link's creation. */
const CLOCK_SKEW = '10 minutes';

/** Events without a code were not made by us, and prove nothing. */
async function findStrangers(connection: Connection, ids: readonly string[]): Promise<StrangeEvents[]> {
  const { rows } = await connection.query<{ id: string; short_code: string; events: string }>(
    `SELECT short_urls.id, short_urls.short_code, count(*) AS events
     FROM events JOIN short_urls ON short_urls.id = events.url_id
     WHERE events.url_id = ANY ($1::bigint[]) AND event_type = 'click' AND details ->> 'short_code' IS NOT NULL
       AND (details ->> 'short_code' <> short_urls.short_code
            OR events."timestamp" < short_urls.created_at - interval '${CLOCK_SKEW}')
     GROUP BY short_urls.id ORDER BY short_urls.id`,
    [ids],
  );
  return rows.map((row) => ({ id: row.id, shortCode: row.short_code, events: Number(row.events) }));
}
