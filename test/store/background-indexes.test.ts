import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { clientOptions } from '../../src/postgres/pool.js';
import {
  backgroundIndexes,
  buildMissingIndexes,
  missingIndexes,
} from '../../src/store/background-indexes.js';
import { prepareDatabase } from '../../src/store/migrate.js';
import { dropRetiredIndexes } from '../../src/store/retired-indexes.js';
import { createDatabase, createEmptyDatabase, type TestDatabase } from '../support/database/database.js';
import { createMonthlyDatabase, upgrade } from '../support/database/monthly.js';
import { eventually } from '../support/machine/wait.js';
import { startServer } from '../support/server/server.js';

let database: TestDatabase;
let clients: pg.Client[];

beforeEach(() => {
  clients = [];
});

afterEach(async () => {
  await Promise.all(clients.map((client) => client.end().catch(() => undefined)));
  await database?.drop();
});

async function connect(): Promise<pg.Client> {
  const client = new pg.Client(clientOptions(database.address, 'test', 5000));
  client.on('error', () => undefined);
  await client.connect();
  clients.push(client);
  return client;
}

async function dropIndexes(): Promise<void> {
  for (const { name } of backgroundIndexes) await database.query(`DROP INDEX ${name}`);
}

/** A database as the release before link options left it, with that many links. */
async function createEarlierDatabase(links: number): Promise<void> {
  database = await createEmptyDatabase();
  await database.query(
    'CREATE TABLE schema_migrations (number integer PRIMARY KEY, name text NOT NULL, applied_at timestamp NOT NULL DEFAULT now())',
  );
  for (const [number, name] of [
    [1, '0001_schema'],
    [2, '0002_invalidation'],
  ] as const) {
    await database.query(
      readFileSync(new URL(`../../src/store/migrations/${name}.sql`, import.meta.url), 'utf8'),
    );
    await database.query('INSERT INTO schema_migrations (number, name) VALUES ($1, $2)', [number, name]);
  }
  await database.query(
    `INSERT INTO short_urls (original_url, short_code)
     SELECT 'https://example.com/' || n, 'c' || n FROM generate_series(1, ${links}) AS n`,
  );
}

describe('background indexes', () => {
  it('are there at once in a new database', async () => {
    database = await createDatabase();
    expect(await missingIndexes(await connect())).toEqual([]);
  });

  it('are built by a server that finds them missing, while it serves', { timeout: 120_000 }, async () => {
    await createEarlierDatabase(20_000);
    const server = await startServer({ DATABASE_URL: database.url });
    expect((await fetch(`${server.url}/c7`, { redirect: 'manual' })).headers.get('location')).toBe(
      'https://example.com/7',
    );
    const client = await connect();
    await eventually(async () => (await missingIndexes(client)).length === 0);
    expect(await server.stop()).toBe(0);
  });

  it('are counted by a metric while they are missing', { timeout: 120_000 }, async () => {
    database = await createDatabase();
    await dropIndexes();
    // So many that they are not built at the start, which would wait for the transaction too.
    await database.query(
      `INSERT INTO short_urls (original_url, short_code)
       SELECT 'https://example.com/' || n, 'c' || n FROM generate_series(1, 10001) AS n`,
    );
    // CREATE INDEX CONCURRENTLY waits for the transaction.
    const writer = await connect();
    await writer.query('BEGIN');
    await writer.query(`INSERT INTO short_urls (original_url, short_code) VALUES ('http://e.com', 'held')`);
    const server = await startServer({ DATABASE_URL: database.url });
    const missing = async (): Promise<number> => {
      const text = await (await server.fetch('/metrics')).text();
      return Number(/^switchyard_background_indexes_missing (\d+)$/m.exec(text)?.[1]);
    };
    // Those of empty tables are built at the start.
    const ofLinks = backgroundIndexes.filter(({ table }) => table === 'short_urls');
    await eventually(async () => (await missing()) === ofLinks.length);
    await writer.query('COMMIT');
    await eventually(async () => (await missing()) === 0);
    expect(await server.stop()).toBe(0);
  });

  it('are built once, however many servers find them missing', async () => {
    database = await createDatabase();
    await dropIndexes();
    const built: string[] = [];
    const builders = await Promise.all(Array.from({ length: 5 }, connect));
    await Promise.all(
      builders.map((builder) => buildMissingIndexes(builder, ({ name }) => built.push(name))),
    );
    expect(await missingIndexes(await connect())).toEqual([]);
    expect(new Set(built).size).toBe(built.length);
  });

  it('are begun anew where a kill left one half built', async () => {
    database = await createDatabase();
    await dropIndexes();
    // CREATE INDEX CONCURRENTLY waits for the transaction that has the old snapshot, and is killed there.
    const reader = await connect();
    await reader.query('BEGIN');
    await reader.query(`INSERT INTO short_urls (original_url, short_code) VALUES ('http://e.com', 'held')`);
    const builder = await connect();
    const building = buildMissingIndexes(builder, () => undefined).catch((error: unknown) => error);
    const halfBuilt = `SELECT relname FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
                       WHERE NOT indisvalid AND relname LIKE 'short_urls_by%'`;
    await eventually(async () => (await database.query(halfBuilt)).length === 1);
    await database.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
       WHERE datname = current_database() AND query LIKE 'CREATE INDEX CONCURRENTLY%' AND pid <> pg_backend_pid()`,
    );
    expect(await building).toBeInstanceOf(Error);
    await reader.query('COMMIT');
    expect(await database.query(halfBuilt)).toHaveLength(1);
    const next = await connect();
    expect(await buildMissingIndexes(next, () => undefined)).toBe(true);
    expect(await missingIndexes(next)).toEqual([]);
  });
});

describe('the migration of a database with many links', () => {
  it('steps back from a table that is in use, and holds nobody up', { timeout: 120_000 }, async () => {
    await createEarlierDatabase(200_000);
    const reader = await connect();
    await reader.query('BEGIN');
    await reader.query('SELECT count(*) FROM short_urls');
    const migrator = await connect();
    const migrated = prepareDatabase(migrator);
    // Others ask while the migration waits for the reader: none waits longer than it does.
    const asker = await connect();
    let longestMs = 0;
    for (let asked = 0; asked < 30; asked += 1) {
      const startMs = performance.now();
      await asker.query(`UPDATE short_urls SET title = 'x' WHERE id = ${asked + 1}`);
      longestMs = Math.max(longestMs, performance.now() - startMs);
      await sleep(100);
    }
    expect(longestMs).toBeLessThan(2000);
    await reader.query('COMMIT');
    expect((await migrated).applied).toContain('0004_link_options');
    // No row was rewritten: the ones that were there have the defaults.
    expect(
      await database.query(`SELECT redirect_status, tags, forward_query FROM short_urls WHERE id = 100`),
    ).toEqual([{ redirect_status: 302, tags: [], forward_query: false }]);
  });
});

describe('an index of all partitions of events', () => {
  const OLD = 'events_by_type';
  const NEW = 'events_by_rare_type';
  const EVENTS = 30_000;

  /** As the release before left it, with events in several months. */
  async function createEarlier(): Promise<void> {
    // They stay in months for the view.
    database = await createMonthlyDatabase(
      `CREATE VIEW mine AS SELECT id FROM events;
       INSERT INTO events (event_type, "timestamp")
         SELECT CASE WHEN n % 50 = 0 THEN 'created' ELSE 'click' END, now() - n * interval '4 minutes'
         FROM generate_series(1, ${EVENTS}) AS n`,
    );
    await upgrade(database);
  }

  async function indexesOfPartitions(): Promise<{ valid: number; partitions: number }> {
    const [row] = await database.query<{ valid: string; partitions: string }>(
      `SELECT count(*) AS partitions, count(*) FILTER (WHERE indisvalid) AS valid
       FROM pg_inherits AS part
         LEFT JOIN (pg_index JOIN pg_inherits AS own ON own.inhrelid = indexrelid AND own.inhparent = to_regclass('${NEW}'))
           ON indrelid = part.inhrelid
       WHERE part.inhparent = 'events'::regclass`,
    );
    return { valid: Number(row?.valid), partitions: Number(row?.partitions) };
  }

  async function exists(index: string): Promise<boolean> {
    const [row] = await database.query<{ there: boolean }>(`SELECT to_regclass($1) IS NOT NULL AS there`, [
      index,
    ]);
    return row?.there === true;
  }

  it('is built, and the one it stands in for dropped, by a server that serves', {
    timeout: 120_000,
  }, async () => {
    await createEarlier();
    const server = await startServer({ DATABASE_URL: database.url });
    await eventually(async () => !(await exists(OLD)));
    const { valid, partitions } = await indexesOfPartitions();
    expect(valid).toBe(partitions);
    const listed = await server.get('/events?event_type=created&limit=3');
    expect(listed.map(({ event_type }) => event_type)).toEqual(['created', 'created', 'created']);
    expect(await server.stop()).toBe(0);
    // A partition of later has it too.
    await database.query(`SELECT make_event_partitions('2031-01-01', '2031-01-01')`);
    const later = await indexesOfPartitions();
    expect([later.valid, later.partitions]).toEqual([partitions + 1, partitions + 1]);
  });

  it('goes on where a kill left it', async () => {
    await createEarlier();
    const writer = await connect();
    await writer.query('BEGIN');
    await writer.query(`INSERT INTO events (event_type) VALUES ('held')`);
    const builder = await connect();
    const building = buildMissingIndexes(builder, () => undefined).catch((error: unknown) => error);
    // It waits for the writer, either for the first step's lock or for a partition's transactions.
    await eventually(
      async () =>
        (
          await database.query(
            `SELECT FROM pg_stat_activity WHERE query LIKE 'CREATE INDEX%' AND datname = current_database() AND pid <> pg_backend_pid()`,
          )
        ).length > 0,
    );
    await builder.end();
    expect(await building).toBeInstanceOf(Error);
    expect(await dropRetiredIndexes(await connect())).toBe(true);
    expect(await exists(OLD)).toBe(true);
    await writer.query('COMMIT');
    const next = await connect();
    // The backend whose client is gone holds its lock a little longer.
    await eventually(() => buildMissingIndexes(next, () => undefined));
    expect(await missingIndexes(next)).toEqual([]);
    expect(await dropRetiredIndexes(next)).toBe(true);
    expect([await exists(OLD), await exists(NEW)]).toEqual([false, true]);
  });

  it('changes nothing, and holds nobody up, while somebody needs the table', {
    timeout: 60_000,
  }, async () => {
    await createEarlier();
    const builder = await connect();
    expect(await buildMissingIndexes(builder, () => undefined)).toBe(true);
    const reader = await connect();
    await reader.query('BEGIN');
    await reader.query('SELECT count(*) FROM events');
    const dropping = dropRetiredIndexes(builder);
    const asker = await connect();
    let longestMs = 0;
    for (let asked = 0; asked < 20; asked += 1) {
      const startMs = performance.now();
      await asker.query(`INSERT INTO events (event_type) VALUES ('asked')`);
      longestMs = Math.max(longestMs, performance.now() - startMs);
      await sleep(50);
    }
    expect(longestMs).toBeLessThan(1000);
    expect(await exists(OLD)).toBe(true);
    await reader.query('COMMIT');
    expect(await dropping).toBe(true);
    expect(await exists(OLD)).toBe(false);
  });
});
