import pg from 'pg';
import { clientOptions } from '../../../src/postgres/pool.js';
import { endChunk, newestChunk } from '../../../src/store/chunk-end.js';
import { eventually } from '../machine/wait.js';
import type { TestDatabase } from './database.js';

/**
 * Waits until no click or preview is left that is older than this many days, plus the hours that a round
 * rounds down.
 */
export async function removed(database: TestDatabase, days: number): Promise<void> {
  await eventually(
    async () => {
      const [row] = await database.query<{ left: boolean }>(
        `SELECT EXISTS (SELECT FROM events WHERE event_type IN ('click', 'preview')
           AND "timestamp" < now() AT TIME ZONE 'utc' - interval '${days} days 3 hours') AS left`,
      );
      return row?.left === false;
    },
    60_000,
    'old events to be removed',
  );
}

/** Links whose counter is not the number of their clicks, removed ones included. */
export function wrongCounters(database: TestDatabase): Promise<unknown[]> {
  return database.query(
    `SELECT * FROM (
       SELECT id, click_count,
              (SELECT count(*) FROM events WHERE url_id = short_urls.id AND event_type = 'click') AS events,
              (SELECT coalesce(sum(clicks), 0) FROM dropped_events WHERE url_id = short_urls.id) AS dropped
       FROM short_urls) AS compared
     WHERE click_count <> events + dropped`,
  );
}

/**
 * Events, and one for each that was removed: what statistics count, however old. To be used in the place of a table;
 * the times of removed ones are those of their quarters of an hour.
 */
export const EVENTS_EVER = `(
  SELECT url_id, event_type, "timestamp", details FROM events
  UNION ALL
  SELECT url_id, event_type, slot, json_build_object('country', country, 'referrer', referrer, 'browser', browser,
                                                     'os', os, 'device', device)
  FROM dropped_events, LATERAL (
    SELECT 'click' AS event_type FROM generate_series(1, clicks)
    UNION ALL SELECT 'preview' FROM generate_series(1, previews)
  ) AS each)`;

/** Lets ids go on behind the newest chunk, if it has clicks: a server with CLICK_EVENTS=off does so after ten seconds. */
export async function endNewestChunk(database: TestDatabase): Promise<void> {
  const client = new pg.Client(clientOptions(database.address, 'test', 20_000));
  await client.connect();
  try {
    const newest = await newestChunk(client);
    if (newest !== undefined && newest.bytes > 0) await endChunk(client, newest);
  } finally {
    await client.end();
  }
}
