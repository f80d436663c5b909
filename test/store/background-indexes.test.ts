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
import { createDatabase, createEmptyDatabase, type TestDatabase } from '../support/database.js';
import { startServer } from '../support/server.js';
import { eventually } from '../support/wait.js';

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
    // CREATE INDEX CONCURRENTLY waits for the transaction.
    const writer = await connect();
    await writer.query('BEGIN');
    await writer.query(`INSERT INTO short_urls (original_url, short_code) VALUES ('http://e.com', 'held')`);
    const server = await startServer({ DATABASE_URL: database.url });
    const missing = async (): Promise<number> => {
      const text = await (await server.fetch('/metrics')).text();
      return Number(/^switchyard_background_indexes_missing (\d+)$/m.exec(text)?.[1]);
    };
    await eventually(async () => (await missing()) === backgroundIndexes.length);
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
