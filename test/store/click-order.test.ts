import { readdirSync, readFileSync } from 'node:fs';
import fc from 'fast-check';
import pg from 'pg';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { clientOptions, inTransaction } from '../../src/postgres/pool.js';
import { keepClickOrder, noteCountedLinks, renewClickOrder } from '../../src/store/click-order.js';
import { prepareDatabase } from '../../src/store/migrate.js';
import { createDatabase, createEmptyDatabase, type TestDatabase } from '../support/database/database.js';

const DEADLINE_MS = 5000;
let database: TestDatabase;
let clients: pg.Client[];

beforeEach(() => {
  clients = [];
});

afterEach(async () => {
  await Promise.all(clients.map((client) => client.end().catch(() => undefined)));
  await database?.drop();
});

/** A connection as the server has them. */
async function connect(): Promise<pg.Client> {
  const client = new pg.Client(clientOptions(database.address, 'test', 5000));
  await client.connect();
  clients.push(client);
  return client;
}

async function makeLinks(links: number): Promise<void> {
  await database.query(
    `INSERT INTO short_urls (original_url, short_code, click_count)
     SELECT 'https://example.com/' || n, 'c' || n, n % 7 FROM generate_series(1, ${links}) AS n`,
  );
}

/** As if the copy had last been brought up to date long ago. */
async function age(seconds = 3600): Promise<void> {
  await database.query(
    `UPDATE link_click_order SET renewed_at = now() AT TIME ZONE 'utc' - interval '${seconds} seconds'`,
  );
}

/** Links whose place in the order is not that of their counter; places that are no link's. */
async function misplaced(): Promise<unknown[]> {
  return database.query(
    `SELECT id, click_count, link_id, clicks FROM short_urls FULL JOIN link_clicks ON link_id = id
     WHERE click_count IS DISTINCT FROM clicks`,
  );
}

const notes = (): Promise<unknown[]> => database.query('SELECT amount, link_ids FROM link_click_changes');

describe('the order of links by clicks', () => {
  it('has a new link at once, and others after a renewal, whatever was done to them', async () => {
    database = await createDatabase();
    const client = await connect();
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.oneof(
            fc.nat(30).map(
              (n) => `INSERT INTO short_urls (original_url, short_code, click_count)
              SELECT 'http://e.com', md5(random()::text), m FROM generate_series(1, ${n}) AS m`,
            ),
            fc.nat(40).map((n) => `UPDATE short_urls SET click_count = click_count + 1 WHERE id % 41 = ${n}`),
            fc.nat(40).map((n) => `UPDATE short_urls SET title = 'x', click_count = 0 WHERE id % 41 = ${n}`),
            fc.nat(40).map((n) => `DELETE FROM short_urls WHERE id % 41 = ${n}`),
            fc.constant('UPDATE short_urls SET id = id + 100000 WHERE id = (SELECT max(id) FROM short_urls)'),
            fc.constant('TRUNCATE short_urls'),
          ),
          { maxLength: 12 },
        ),
        async (history) => {
          for (const sql of history) await database.query(sql);
          await age();
          expect(await renewClickOrder(client, DEADLINE_MS)).toBe('ready');
          expect(await misplaced()).toEqual([]);
          expect(await notes()).toEqual([]);
        },
      ),
      { numRuns: 30 },
    );
    await makeLinks(10);
    expect(await misplaced()).toEqual([]);
  });

  it('is noted by an ingest in one row, and by nothing else in its transaction', async () => {
    database = await createDatabase();
    await makeLinks(20);
    const client = await connect();
    await inTransaction(client, async () => {
      await noteCountedLinks(client, ['3', '5']);
      await client.query('UPDATE short_urls SET click_count = 90 WHERE id IN (3, 5)');
    });
    expect(await notes()).toEqual([{ amount: 2, link_ids: ['3', '5'] }]);
    await noteCountedLinks(client, []);
    // The transaction after it is one of its own.
    await client.query('UPDATE short_urls SET click_count = 80 WHERE id = 7');
    await client.query(`UPDATE short_urls SET title = 'x', click_count = click_count WHERE id = 8`);
    expect(await notes()).toEqual([
      { amount: 2, link_ids: ['3', '5'] },
      { amount: 1, link_ids: ['7'] },
    ]);
    await age();
    expect(await renewClickOrder(client, DEADLINE_MS)).toBe('ready');
    expect(await misplaced()).toEqual([]);
  });

  it('compares all links where more changed than are noted', async () => {
    database = await createDatabase();
    await makeLinks(3000);
    await database.query('UPDATE short_urls SET click_count = 5000 - id');
    const rows = (await notes()) as { link_ids: unknown }[];
    expect(rows).toHaveLength(1001);
    expect(rows.filter(({ link_ids: ids }) => ids === null)).toHaveLength(1);
    const client = await connect();
    expect(await renewClickOrder(client, DEADLINE_MS)).toBe('ready');
    expect(await misplaced()).toEqual([]);
  });

  it('is left as it is while it is young', async () => {
    database = await createDatabase();
    await makeLinks(10);
    const client = await connect();
    expect(await renewClickOrder(client, DEADLINE_MS)).toBe('ready');
    await database.query('UPDATE short_urls SET click_count = 50 WHERE id = 1');
    expect(await renewClickOrder(client, DEADLINE_MS)).toBe('ready');
    expect(await misplaced()).toHaveLength(1);
    await age(6);
    expect(await renewClickOrder(client, DEADLINE_MS)).toBe('ready');
    expect(await misplaced()).toEqual([]);
  });

  it('is used while another renews it, until it is ten seconds old', async () => {
    database = await createDatabase();
    await makeLinks(10);
    const other = await connect();
    await other.query('BEGIN');
    await other.query('SELECT pg_advisory_xact_lock($1)', [0x5357_0004]);
    const client = await connect();
    await age(7);
    expect(await renewClickOrder(client, DEADLINE_MS)).toBe('ready');
    await age(11);
    expect(await renewClickOrder(client, 200)).toBe('behind');
    await keepClickOrder(client);
    const renewed = renewClickOrder(client, DEADLINE_MS);
    await other.query('COMMIT');
    expect(await renewed).toBe('ready');
  });

  it('is brought up to date piece by piece: by those who ask, and by the upkeep once one of them asked in vain', async () => {
    database = await createDatabase();
    await makeLinks(12_500);
    const client = await connect();
    // Too many to be noted one by one, but for an ingest. Each link comes twice.
    const count = async (): Promise<void> => {
      const ids = Array.from({ length: 12_000 }, (_, n) => String(n + 1));
      await inTransaction(client, async () => {
        await noteCountedLinks(client, ids);
        await client.query('UPDATE short_urls SET click_count = click_count + 9 WHERE id = ANY ($1)', [ids]);
      });
    };
    await count();
    await count();
    // What an asker without any time does stays done.
    await age();
    expect(await renewClickOrder(client, 0)).toBe('behind');
    expect(await misplaced()).toHaveLength(9500);
    // Nothing of it is old, and it is worked off all the same.
    await keepClickOrder(client);
    expect(await misplaced()).toEqual([]);
    expect(await notes()).toEqual([]);
    expect(await renewClickOrder(client, 0)).toBe('ready');
    await count();
    await age();
    for (let asked = 0; (await renewClickOrder(client, 0)) !== 'ready'; asked += 1)
      expect(asked).toBeLessThan(10);
    expect(await misplaced()).toEqual([]);
  });

  it('is brought up to date where nobody asks, but not for changes of a moment ago', async () => {
    database = await createDatabase();
    await makeLinks(10);
    const client = await connect();
    await database.query('UPDATE short_urls SET click_count = 50 WHERE id = 1');
    await keepClickOrder(client);
    expect(await notes()).toHaveLength(1);
    await database.query(`UPDATE link_click_changes SET noted_at = noted_at - interval '301 seconds'`);
    await keepClickOrder(client);
    expect(await notes()).toEqual([]);
    expect(await misplaced()).toEqual([]);
  });
});

describe('the migration of a database with links', () => {
  const folder = new URL('../../src/store/migrations/', import.meta.url);

  it.each([
    ['where nobody asks', false],
    ['as lists ask for it', true],
  ])('copies their counters piece by piece, %s', { timeout: 60_000 }, async (_, isAsked) => {
    database = await createEmptyDatabase();
    await database.query(
      'CREATE TABLE schema_migrations (number integer PRIMARY KEY, name text NOT NULL, applied_at timestamp NOT NULL DEFAULT now())',
    );
    for (const file of readdirSync(folder).sort()) {
      const name = file.replace(/\.sql$/, '');
      if (Number(name.slice(0, 4)) >= 10) continue;
      await database.query(readFileSync(new URL(file, folder), 'utf8'));
      await database.query('INSERT INTO schema_migrations (number, name) VALUES ($1, $2)', [
        Number(name.slice(0, 4)),
        name,
      ]);
    }
    await makeLinks(25_000);
    const client = await connect();
    await prepareDatabase(client);
    expect(await database.query('SELECT FROM link_clicks')).toEqual([]);
    // Too little time for all of it.
    expect(await renewClickOrder(client, 0)).toBe('unbuilt');
    // What comes meanwhile has its place at once; what goes is in none.
    await makeLinksMeanwhile();
    if (isAsked) {
      while ((await renewClickOrder(client, 100)) !== 'ready') await age(7);
    } else await keepClickOrder(client);
    await age();
    expect(await renewClickOrder(client, DEADLINE_MS)).toBe('ready');
    expect(await misplaced()).toEqual([]);
    expect(await database.query('SELECT is_built, next_id FROM link_click_order')).toEqual([
      { is_built: true, next_id: null },
    ]);
  });

  async function makeLinksMeanwhile(): Promise<void> {
    await database.query(
      `INSERT INTO short_urls (original_url, short_code) SELECT 'http://e.com', 'new' || n FROM generate_series(1, 50) AS n`,
    );
    await database.query('DELETE FROM short_urls WHERE id % 1000 = 1');
    await database.query('UPDATE short_urls SET click_count = click_count + 1 WHERE id % 100 = 2');
  }
});
