import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { afterEach, describe, expect, it } from 'vitest';
import { copyInto } from '../../src/postgres/copy.js';
import { clientOptions } from '../../src/postgres/pool.js';
import { keepEventChunks } from '../../src/store/event-chunks.js';
import { chunkOldEvents, dropTightConstraint } from '../../src/store/old-events.js';
import { connectDatabase, type TestDatabase } from '../support/database/database.js';
import { createMonthlyDatabase, upgrade } from '../support/database/monthly.js';
import { eventually } from '../support/machine/wait.js';
import { startServer } from '../support/server/server.js';
import { click } from '../support/server/suite.js';

const ROWS = 3000;
/** A user, two links, events of three months; `reader` may see them. */
const fill = `
  INSERT INTO users (username, email) VALUES ('u', 'u@example.com');
  INSERT INTO short_urls (user_id, original_url, short_code)
    VALUES (1, 'https://example.com/1', 'one'), (NULL, 'https://example.com/2', 'two');
  INSERT INTO events (url_id, user_id, event_type, "timestamp")
    SELECT 1 + n % 2, CASE WHEN n % 2 = 0 THEN 1 END, 'click', now() - n * interval '40 minutes'
    FROM generate_series(1, ${ROWS}) AS n;
  UPDATE short_urls SET click_count = ${ROWS / 2}`;

let database: TestDatabase;
let clients: pg.Client[] = [];

afterEach(async () => {
  await Promise.all(clients.map((client) => client.end().catch(() => undefined)));
  clients = [];
  await database?.drop();
});

async function connect(): Promise<pg.Client> {
  const client = new pg.Client(clientOptions(database.address, 'test', 5000));
  client.on('error', () => undefined);
  await client.connect();
  clients.push(client);
  return client;
}

async function open(more = ''): Promise<pg.Client> {
  database = await createMonthlyDatabase(`${fill}; ${more}`);
  await upgrade(database);
  return connect();
}

async function count(sql: string): Promise<number> {
  const [row] = await database.query<{ n: string }>(`SELECT count(*) AS n FROM ${sql}`);
  return Number(row?.n);
}

const constraints = `pg_constraint WHERE conname = 'events_before_chunks'`;

/** What holds of events in chunks with months before them. */
async function expectChunked(rows: number): Promise<void> {
  const [months, hot] = await database.query<{ name: string; end_id: string }>(
    'SELECT name, end_id FROM event_chunks()',
  );
  expect(months?.name).toBe('events_in_months');
  expect(await count('events')).toBe(rows);
  expect(await count(constraints)).toBe(0);
  const before = await count('stats_queue');
  const [made] = await database.query<{ id: string; t: string }>(
    `INSERT INTO events (url_id, event_type) VALUES (1, 'click') RETURNING id, tableoid::regclass::text AS t`,
  );
  expect([Number(made?.id) >= Number(months?.end_id), made?.t]).toEqual([true, hot?.name]);
  expect(await count('stats_queue')).toBe(before + 1);
  // An old event is found, changed and deleted in its month.
  await database.query(
    'UPDATE events SET event_type = event_type WHERE id = 7; DELETE FROM events WHERE id = 7',
  );
  expect(await count('stats_queue')).toBe(before + 4);
  expect(await count('events')).toBe(rows);
}

describe('events in months', () => {
  it('are put into chunks while they are written and read, and nobody waits for long', {
    timeout: 120_000,
  }, async () => {
    const keeper = await open('CREATE ROLE chunk_reader; GRANT SELECT ON events TO chunk_reader');
    try {
      // As an ingest of the release before does it, and a reader of lists.
      const [writer, asker] = [await connect(), await connect()];
      let [isOver, written, longestMs] = [false, 0, 0];
      const timed = async (work: () => Promise<unknown>): Promise<void> => {
        while (!isOver) {
          const startMs = performance.now();
          await work();
          longestMs = Math.max(longestMs, performance.now() - startMs);
        }
      };
      const writing = timed(async () => {
        written += await copyInto(writer, 'events (url_id, event_type)', ['1\tclick\n', '2\tclick\n']);
      });
      const asking = timed(() =>
        asker.query('SELECT * FROM events WHERE url_id = 1 ORDER BY "timestamp" DESC, id DESC LIMIT 10'),
      );
      expect(await chunkOldEvents(keeper)).toEqual({ state: 'chunked' });
      await sleep(100);
      isOver = true;
      await Promise.all([writing, asking]);
      expect(longestMs).toBeLessThan(2000);
      await expectChunked(ROWS + written);
      const may = await database.query(
        `SELECT has_table_privilege('chunk_reader', 'events', 'SELECT') AS read, has_table_privilege('chunk_reader', 'events', 'DELETE') AS remove`,
      );
      expect(may).toEqual([{ read: true, remove: false }]);
      expect(await chunkOldEvents(keeper)).toEqual({ state: 'chunked' });
      await keepEventChunks(keeper);
    } finally {
      await database.query('DROP OWNED BY chunk_reader; DROP ROLE chunk_reader');
    }
  });

  it.each([
    [
      'behind the constraint',
      'ALTER TABLE events ADD CONSTRAINT events_before_chunks CHECK (id < 300000000) NOT VALID',
    ],
    ['behind its check', 'ALTER TABLE events ADD CONSTRAINT events_before_chunks CHECK (id < 300000000)'],
    [
      'before ids went on behind the months',
      'ALTER TABLE events ADD CONSTRAINT events_before_chunks CHECK (id < 300000000); SELECT chunk_events(300000000)',
    ],
  ])('go on where a kill left them, %s', async (_, done) => {
    const keeper = await open();
    await database.query(done);
    await database.query(`INSERT INTO events (event_type) VALUES ('meanwhile')`);
    expect(await chunkOldEvents(keeper)).toEqual({ state: 'chunked' });
    await expectChunked(ROWS + 1);
  });

  it('stay as they are while somebody needs them, without a limit on ids', { timeout: 60_000 }, async () => {
    const keeper = await open();
    const holder = await connectDatabase(database.address);
    await holder.query('BEGIN; SELECT count(*) FROM events');
    const chunking = chunkOldEvents(keeper, 3);
    const asker = await connect();
    let longestMs = 0;
    for (let asked = 0; asked < 20; asked += 1) {
      const startMs = performance.now();
      await asker.query(`INSERT INTO events (event_type) VALUES ('asked')`);
      longestMs = Math.max(longestMs, performance.now() - startMs);
      await sleep(50);
    }
    expect(longestMs).toBeLessThan(2000);
    expect(await chunking).toEqual({ state: 'later' });
    await holder.drop();
    expect(await count(constraints)).toBe(0);
    expect(await chunkOldEvents(keeper)).toEqual({ state: 'chunked' });
    await expectChunked(ROWS + 20);
  });

  it('lose the limit that a kill left before ids reach it', async () => {
    const keeper = await open(
      'ALTER TABLE events ADD CONSTRAINT events_before_chunks CHECK (id < 300000000) NOT VALID',
    );
    await dropTightConstraint(keeper);
    expect(await count(constraints)).toBeGreaterThan(0);
    await database.query(`SELECT setval('events_id_seq', 299000000)`);
    await dropTightConstraint(keeper);
    expect(await count(constraints)).toBe(0);
  });

  it('stay in months where an operator’s own things hang on them', async () => {
    const keeper = await open(
      'CREATE VIEW mine AS SELECT id FROM events; CREATE INDEX own ON events (event_type)',
    );
    expect(await chunkOldEvents(keeper)).toEqual({
      state: 'kept',
      obstacles: ['the view mine', 'the index own'],
    });
    await database.query('DROP VIEW mine; DROP INDEX own');
    expect(await chunkOldEvents(keeper)).toEqual({ state: 'chunked' });
  });

  it('are put into chunks by a server that serves', { timeout: 120_000 }, async () => {
    database = await createMonthlyDatabase(fill);
    const server = await startServer({ DATABASE_URL: database.url });
    await eventually(
      async () => (await count('event_chunks()')) > 0,
      60_000,
      () => server.logs.map(({ message }) => message).join('\n'),
    );
    expect(await click(server, 'one')).toBe('https://example.com/1');
    await eventually(async () => (await count('events')) === ROWS + 1);
    const body = await server.get('/events?url_id=1&limit=2');
    expect(body.map(({ id }) => id > 2 ** 28)).toEqual([true, false]);
    expect((await server.json('/urls/1')).body).toMatchObject({ click_count: ROWS / 2 + 1 });
    expect(await server.stop()).toBe(0);
  });
});
