import { readdirSync } from 'node:fs';
import path from 'node:path';
import pg from 'pg';
import { afterEach, describe, expect, it } from 'vitest';
import { clientOptions } from '../../src/postgres/pool.js';
import { maintainDatabase, makePartitions, prepareDatabase, SCHEMA_LOCK } from '../../src/store/migrate.js';
import { createDatabase, createEmptyDatabase, type TestDatabase } from '../support/database/database.js';
import { createMonthlyDatabase, upgrade } from '../support/database/monthly.js';
import { eventually } from '../support/machine/wait.js';
import { runServer, startServer } from '../support/server/server.js';

const migrationNames = readdirSync(new URL('../../src/store/migrations/', import.meta.url))
  .map((file) => path.basename(file, '.sql'))
  .sort();

let database: TestDatabase;

afterEach(async () => {
  await database?.drop();
});

async function connect(): Promise<pg.Client> {
  const client = new pg.Client(clientOptions(database.address, 'test', 5000));
  await client.connect();
  return client;
}

describe('prepareDatabase', () => {
  it('migrates an empty database once, however many servers start at once', async () => {
    database = await createEmptyDatabase();
    const clients = await Promise.all(Array.from({ length: 10 }, connect));
    let filled = 0;
    const prepared = await Promise.all(
      clients.map((client) =>
        prepareDatabase(client, async () => {
          filled += 1;
        }),
      ),
    );
    const applied = prepared.filter((one) => one.applied.length > 0);
    expect(applied).toHaveLength(1);
    expect(applied[0]?.applied).toEqual(migrationNames);
    expect(filled).toBe(10);
    expect(prepared.some((one) => one.newer)).toBe(false);
    await Promise.all(clients.map((client) => client.end()));
  });

  it('leaves nothing behind when it fails', async () => {
    database = await createEmptyDatabase();
    const client = await connect();
    await expect(prepareDatabase(client, () => Promise.reject(new Error('no seed')))).rejects.toThrow(
      'no seed',
    );
    const tables = await database.query(`SELECT tablename FROM pg_tables WHERE schemaname = 'public'`);
    expect(tables).toEqual([]);
    await client.end();
  });

  it('goes on with a database of a newer version, and says so', async () => {
    database = await createDatabase();
    await database.query(`INSERT INTO schema_migrations (number, name) VALUES (9999, '9999_future')`);
    const client = await connect();
    expect(await prepareDatabase(client)).toEqual({ applied: [], newer: true, raised: [] });
    await client.end();
  });

  it('raises a sequence that is behind its ids, and lowers none', async () => {
    database = await createDatabase();
    await database.query(
      `INSERT INTO users (id, username, email) VALUES (1, 'restored', 'a@example.com');
       INSERT INTO short_urls (id, original_url, short_code) VALUES (42, 'https://example.com', 'restored');
       INSERT INTO events (id, event_type, "timestamp") VALUES (7, 'x', '2020-01-01'), (43, 'x', '1999-01-01')`,
    );
    const client = await connect();
    expect((await prepareDatabase(client)).raised).toEqual([
      { table: 'users', from: '1', to: '1' },
      { table: 'short_urls', from: '1', to: '42' },
      { table: 'events', from: '1', to: '43' },
    ]);
    const [made] = await database.query(
      `WITH u AS (INSERT INTO users (username, email) VALUES ('next', 'a@example.com') RETURNING id),
            l AS (INSERT INTO short_urls (original_url, short_code) VALUES ('https://example.com', 'next') RETURNING id),
            e AS (INSERT INTO events (event_type) VALUES ('x') RETURNING id)
       SELECT u.id AS user, l.id AS link, e.id AS event FROM u, l, e`,
    );
    expect(made).toEqual({ user: '2', link: '43', event: '44' });
    await database.query(`DELETE FROM events; SELECT setval('users_id_seq', 1000)`);
    expect((await prepareDatabase(client)).raised).toEqual([]);
    expect(await database.query(`SELECT nextval('users_id_seq'), nextval('events_id_seq') AS event`)).toEqual(
      [{ nextval: '1001', event: '45' }],
    );
    await client.end();
  });

  it('says at a start what it raised, and creates go on', async () => {
    database = await createDatabase();
    await database.query(
      `INSERT INTO short_urls (id, original_url, short_code) SELECT n, 'https://example.com', 'c' || n FROM generate_series(1, 9) AS n`,
    );
    const server = await startServer({ DATABASE_URL: database.url });
    const { status } = await server.post('/shorten', { url: 'https://example.com' });
    await server.stop();
    expect(status).toBe(201);
    expect(server.logs.map(({ message }) => message)).toContain(
      'the sequence of short_urls was behind its ids: raised from 1 to 9',
    );
  });

  it('lets six servers start at once on an empty database, seeded once', { timeout: 120_000 }, async () => {
    database = await createEmptyDatabase();
    const servers = await Promise.all(
      Array.from({ length: 6 }, () =>
        startServer({
          DATABASE_URL: database.url,
          DATABASE_POOL_MAX: '4',
          SEED_ON_BOOT: 'true',
          CSV_DIR: '../../csv',
        }),
      ),
    );
    // One that can't reach the database in time listens all the same, and prepares it afterwards.
    const counts = await eventually(() =>
      database
        .query(
          'SELECT (SELECT count(*) FROM users) AS users, (SELECT count(*) FROM short_urls) AS urls, (SELECT count(*) FROM events) AS events',
        )
        .catch(() => undefined),
    );
    expect(counts).toEqual([{ users: '400', urls: '2000', events: '3422' }]);
    expect(await Promise.all(servers.map((server) => server.stop()))).toEqual(Array(6).fill(0));
  });
});

describe('a start', () => {
  it('waits for another server that migrates longer than for a PostgreSQL that does not answer', async () => {
    database = await createEmptyDatabase();
    await database.query('SELECT pg_advisory_lock($1)', [SCHEMA_LOCK]);
    const started = startServer({ DATABASE_URL: database.url });
    let isStarted = false;
    const noted = started.then(() => {
      isStarted = true;
    });
    // Longer than a start waits for a PostgreSQL that does not answer.
    await eventually(async () => {
      const waiting = await database.query(
        `SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'advisory'
           AND query_start < clock_timestamp() - interval '4 seconds'`,
      );
      return waiting.length === 1;
    });
    expect(isStarted).toBe(false);
    await database.query('SELECT pg_advisory_unlock($1)', [SCHEMA_LOCK]);
    await noted;
    const server = await started;
    expect(await server.json('/users')).toEqual({ status: 200, body: [] });
    expect(server.banner()).not.toContain('can not be reached');
    expect(await server.stop()).toBe(0);
  });
});

describe('a database that won’t do', () => {
  it('for its encoding ends the start with one line', async () => {
    database = await createEmptyDatabase('SQL_ASCII');
    const { code, stderr } = await runServer({ DATABASE_URL: database.url });
    expect([code, stderr]).toEqual([3, `switchyard: the database's encoding is SQL_ASCII: UTF8 is needed\n`]);
    expect(await database.query(`SELECT tablename FROM pg_tables WHERE schemaname = 'public'`)).toEqual([]);
  });

  it('for its rights ends the start with one line', async () => {
    database = await createEmptyDatabase();
    await database.query('CREATE SCHEMA guarded; ALTER SCHEMA public RENAME TO elsewhere');
    const { code, stderr } = await runServer({ DATABASE_URL: database.url });
    expect([code, stderr]).toEqual([3, 'switchyard: no schema has been selected to create in\n']);
  });

  it('for a table of the same name ends the start with one line, and is left as it was', async () => {
    database = await createEmptyDatabase();
    await database.query(`CREATE TABLE users (note text); INSERT INTO users VALUES ('somebody else’s')`);
    const { code, stderr } = await runServer({ DATABASE_URL: database.url });
    expect([code, stderr]).toEqual([3, 'switchyard: relation "users" already exists\n']);
    expect(await database.query('SELECT * FROM users')).toEqual([{ note: 'somebody else’s' }]);
    const tables = await database.query(`SELECT tablename FROM pg_tables WHERE schemaname = 'public'`);
    expect(tables).toEqual([{ tablename: 'users' }]);
  });

  it('for a newer server’s migrations is served all the same, with a warning', async () => {
    database = await createDatabase();
    await database.query(`INSERT INTO schema_migrations (number, name) VALUES (9999, '9999_future')`);
    const server = await startServer({ DATABASE_URL: database.url });
    expect(
      server.logs.filter((entry) => entry.levelname === 'WARNING').map((entry) => entry.message),
    ).toContain('the database was migrated by a newer version of this server');
    expect((await server.post('/shorten', { url: 'https://example.com' })).status).toBe(201);
    expect(await server.stop()).toBe(0);
  });
});

describe('months of events', () => {
  it('are made ahead while events are in no chunks, and take over what came before them', async () => {
    database = await createMonthlyDatabase('');
    const partitions = async (): Promise<string[]> => {
      const rows = await database.query<{ name: string }>(
        `SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = 'events'::regclass ORDER BY 1`,
      );
      return rows.map((row) => row.name);
    };
    const there = (await partitions()).length;
    await database.query(
      `INSERT INTO events (event_type, "timestamp") VALUES ('old', '1999-05-05'), ('old', '1999-06-06'), ('far', '2999-01-01')`,
    );
    expect(await database.query('SELECT tableoid::regclass::text AS t FROM events GROUP BY 1')).toEqual([
      { t: 'events_other' },
    ]);
    const made = await database.query(`SELECT make_event_partitions('1999-05-20', '1999-06-01') AS n`);
    expect(made).toEqual([{ n: 2 }]);
    expect(
      await database.query(
        'SELECT tableoid::regclass::text AS t, event_type FROM events ORDER BY "timestamp"',
      ),
    ).toEqual([
      { t: 'events_1999_05', event_type: 'old' },
      { t: 'events_1999_06', event_type: 'old' },
      { t: 'events_other', event_type: 'far' },
    ]);
    await upgrade(database);
    const client = await connect();
    await makePartitions(client);
    await database.query(
      `INSERT INTO journal_checkpoints (journal_id, updated_at)
       VALUES (gen_random_uuid(), now() - interval '1 year'), (gen_random_uuid(), now())`,
    );
    await maintainDatabase(client);
    // A file of the old journal may still be somewhere.
    expect(await database.query('SELECT count(*) AS n FROM journal_checkpoints')).toEqual([{ n: '2' }]);
    expect(await partitions()).toHaveLength(there + 2);
    await client.end();
  });
});
