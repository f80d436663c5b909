import pg from 'pg';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { clientOptions } from '../../src/postgres/pool.js';
import { keepEventChunks } from '../../src/store/event-chunks.js';
import { dropOldChunks } from '../../src/store/retention-chunks.js';
import { createDatabase, type TestDatabase } from '../support/database/database.js';
import { EVENTS_EVER } from '../support/database/retention.js';
import { eventually } from '../support/machine/wait.js';

const CHUNK = 65_536;
const BEFORE = '2026-01-01 00:00:00';
let database: TestDatabase;
/** A connection as the server has them. */
let client: pg.Client;

async function connect(): Promise<pg.Client> {
  const connected = new pg.Client(clientOptions(database.address, 'test', 20_000));
  connected.on('error', () => undefined);
  await connected.connect();
  return connected;
}

/** Three chunks: one of old clicks and previews, one that has another event too, one with a young click; and the hot one. */
beforeEach(async () => {
  database = await createDatabase();
  client = await connect();
  await database.query(
    `INSERT INTO short_urls (original_url, short_code) SELECT 'https://example.com/', 'c' || n FROM generate_series(1, 5) AS n`,
  );
  for (const [index, last] of [
    `'click', '2025-01-01'`,
    `'created', '2025-01-01'`,
    `'click', '2026-06-01'`,
    `'click', '2025-01-01'`,
  ].entries()) {
    if (index > 0) await database.query(`SELECT setval('events_id_seq', ${index * CHUNK})`);
    await database.query(
      `INSERT INTO events (url_id, event_type, "timestamp", details)
       SELECT nullif(1 + n % 7, 7), CASE WHEN n % 4 = 0 THEN 'preview' ELSE 'click' END,
              timestamp '2025-05-05' + n * interval '7 minutes', json_build_object('country', n % 3)
       FROM generate_series(1, 200) AS n`,
    );
    await database.query(`INSERT INTO events (url_id, event_type, "timestamp") VALUES (1, ${last})`);
  }
  while ((await keepEventChunks(client)) !== undefined);
});

afterEach(async () => {
  await client.end();
  await database.drop();
});

const chunks = async (): Promise<(string | undefined)[]> =>
  (
    await database.query<{ name: string }>(
      `SELECT name FROM event_chunks(), events_id_seq WHERE first_id <= last_value ORDER BY first_id`,
    )
  ).map(({ name }) => name);

/** Clicks and previews by link, quarter of an hour and facts. */
const counts = (): Promise<unknown[]> =>
  database.query(
    `SELECT url_id, event_type, date_bin('15 minutes', "timestamp", '2000-01-01') AS slot, details ->> 'country' AS country,
            count(*) AS n
     FROM ${EVENTS_EVER} AS e WHERE event_type IN ('click', 'preview') AND url_id IS NOT NULL
     GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4`,
  );

it('a chunk goes as a whole where all is old; what it was of each link stays', async () => {
  const all = await chunks();
  const before = await counts();
  expect(await dropOldChunks(client, BEFORE)).toEqual({ removed: 201, isMore: false });
  expect(await chunks()).toEqual(all.slice(1));
  expect(await counts()).toEqual(before);
  expect(await dropOldChunks(client, BEFORE)).toEqual({ removed: 0, isMore: false });
  // One that row by row has become empty goes too.
  await database.query(`SET switchyard.differences = 'none'`);
  await database.query(`DELETE FROM "${all[1]}"`);
  expect(await dropOldChunks(client, BEFORE)).toEqual({ removed: 0, isMore: false });
  expect(await chunks()).toEqual(all.slice(2));
});

it('a chunk stays whose events are in no archive that is there', async () => {
  const all = await chunks();
  expect((await dropOldChunks(client, BEFORE, ['events-2025-05.ndjson'])).removed).toBe(0);
  await database.query(
    `INSERT INTO archived_events (file, first_id, last_id)
     SELECT 'events-2025-' || month || '.ndjson', 1, 1000 FROM unnest('{01,05}'::text[]) AS month`,
  );
  const files = ['events-2025-01.ndjson', 'events-2025-05.ndjson'];
  expect((await dropOldChunks(client, BEFORE, files)).removed).toBe(201);
  expect(await chunks()).toEqual(all.slice(1));
});

it('nobody waits for long, and a kill at any step leaves all as it was', async () => {
  const all = await chunks();
  const before = await counts();
  const other = await connect();
  try {
    for (const held of [
      // A reader of all events, for as long as a dump takes: the drop itself can't be done.
      'SELECT FROM events LIMIT 1',
      'SELECT FROM short_urls WHERE id = 3 FOR UPDATE',
      `UPDATE events SET details = details WHERE id = 5`,
    ]) {
      await other.query('BEGIN');
      await other.query(held);
      expect((await dropOldChunks(client, BEFORE)).removed).toBe(0);
      await other.query('ROLLBACK');
      expect(await chunks()).toEqual(all);
    }
    await other.query('BEGIN');
    await other.query('SELECT FROM events LIMIT 1');
    const killed = dropOldChunks(client, BEFORE).then(
      () => 'done',
      () => 'killed',
    );
    await eventually(async () => {
      const [waiting] = await database.query<{ pid: number }>(
        `SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE 'DROP TABLE%'`,
      );
      if (waiting === undefined) return false;
      await database.query('SELECT pg_terminate_backend($1)', [waiting.pid]);
      return true;
    });
    expect(await killed).toBe('killed');
    await other.query('ROLLBACK');
  } finally {
    await other.end();
  }
  expect(await chunks()).toEqual(all);
  expect(await counts()).toEqual(before);
  client = await connect();
  expect((await dropOldChunks(client, BEFORE)).removed).toBe(201);
  expect(await counts()).toEqual(before);
});
