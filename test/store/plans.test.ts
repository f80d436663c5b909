import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ListQuery, Page } from '../../src/api/lists.js';
import { listSql } from '../../src/store/lists.js';
import { createDatabase, type TestDatabase } from '../support/database.js';

const ROWS = 100_000;
let database: TestDatabase;

interface Plan {
  readonly 'Node Type': string;
  readonly 'Relation Name'?: string;
  readonly Plans?: Plan[];
}

beforeAll(async () => {
  database = await createDatabase();
  await database.query(
    `INSERT INTO users (username, email) SELECT 'u' || n, 'u' || n || '@example.com' FROM generate_series(1, ${ROWS}) AS n`,
  );
  await database.query(
    `INSERT INTO short_urls (user_id, original_url, short_code, is_active, created_at)
     SELECT 1 + n % 5000, 'https://example.com/' || n, 'c' || n, n % 50 > 0, now() - n * interval '1 minute'
     FROM generate_series(1, ${ROWS}) AS n`,
  );
  // Nearly all are clicks, as in real use, over several partitions.
  await database.query(`SELECT make_event_partitions((now() - interval '4 months')::date, now()::date)`);
  await database.query(
    `INSERT INTO events (url_id, user_id, event_type, "timestamp", details)
     SELECT 1 + n % 20000, 1 + n % 5000, CASE WHEN n % 100 = 0 THEN 'created' ELSE 'click' END,
            now() - n * interval '1 minute', '{"short_code":"abcdef"}'
     FROM generate_series(1, ${ROWS}) AS n`,
  );
  await database.query('ANALYZE');
});

afterAll(async () => {
  await database?.drop();
});

async function planOf(query: ListQuery, page?: Page): Promise<Plan> {
  const { text, values } = listSql(query, page);
  const [row] = await database.query<{ 'QUERY PLAN': [{ Plan: Plan }] }>(
    `EXPLAIN (FORMAT JSON) ${text}`,
    values,
  );
  return (row as { 'QUERY PLAN': [{ Plan: Plan }] })['QUERY PLAN'][0].Plan;
}

/** Tables that a plan reads from end to end; a partition without rows to speak of may be. */
function scannedWhole(plan: Plan): string[] {
  const own = plan['Node Type'].includes('Seq Scan') ? [plan['Relation Name'] ?? '?'] : [];
  return [...own, ...(plan.Plans ?? []).flatMap(scannedWhole)];
}

async function rowsIn(table: string): Promise<number> {
  const [row] = await database.query<{ n: string }>(`SELECT count(*) AS n FROM ${table}`);
  return Number(row?.n);
}

const page: Page = { limit: 20, offset: 40 };
const lists: [name: string, query: ListQuery, page?: Page][] = [
  ['users, a page', { of: 'users' }, page],
  ['users, a late page', { of: 'users' }, { limit: 20, offset: 50_000 }],
  ['urls, a page', { of: 'urls' }, page],
  ['urls of a user', { of: 'urls', userId: '7' }],
  ['urls of a user, a page', { of: 'urls', userId: '7' }, page],
  ['urls of a user and state', { of: 'urls', userId: '7', isActive: false }],
  ['inactive urls', { of: 'urls', isActive: false }],
  ['inactive urls, a page', { of: 'urls', isActive: false }, page],
  ['active urls, a page', { of: 'urls', isActive: true }, page],
  ['events, a page', { of: 'events' }, page],
  ['events of a link', { of: 'events', urlId: '7' }],
  ['events of a link, a page', { of: 'events', urlId: '7' }, page],
  ['events of a user', { of: 'events', userId: '7' }],
  ['events of a user and type', { of: 'events', userId: '7', eventType: 'created' }],
  ['events of a link and type', { of: 'events', urlId: '7', eventType: 'click' }],
  ['events of a link, user and type', { of: 'events', urlId: '7', userId: '7', eventType: 'click' }],
  ['events of a rare type', { of: 'events', eventType: 'created' }],
  ['events of a rare type, a page', { of: 'events', eventType: 'created' }, page],
  ['events of the common type, a page', { of: 'events', eventType: 'click' }, page],
  ['events of a type that is not there', { of: 'events', eventType: 'nothing' }],
];

describe(`on ${ROWS} rows`, () => {
  it.each(lists)('%s: no table is read from end to end', async (_, query, window) => {
    const plan = await planOf(query, window);
    for (const table of scannedWhole(plan)) expect([table, await rowsIn(table)]).toEqual([table, 0]);
  });

  it.each([
    ['one event', 'SELECT * FROM events WHERE id = 50000'],
    ['the deletion of a link’s events', 'DELETE FROM events WHERE url_id = 7'],
    ['the deletion of a user’s events', 'DELETE FROM events WHERE user_id = 7'],
    [
      'the resolution of codes',
      `SELECT id FROM short_urls WHERE short_code = ANY ('{c1,c2,zzz}') AND is_active`,
    ],
  ])('%s: no table is read from end to end', async (_, sql) => {
    const [row] = await database.query<{ 'QUERY PLAN': [{ Plan: Plan }] }>(`EXPLAIN (FORMAT JSON) ${sql}`);
    for (const table of scannedWhole((row as { 'QUERY PLAN': [{ Plan: Plan }] })['QUERY PLAN'][0].Plan)) {
      expect([table, await rowsIn(table)]).toEqual([table, 0]);
    }
  });

  it('counters are updated in their pages, without touching an index', async () => {
    await database.query('VACUUM short_urls');
    const before = await hotUpdates();
    await database.query('UPDATE short_urls SET click_count = click_count + 1 WHERE id % 50 = 0');
    const after = await hotUpdates();
    expect(after.all - before.all).toBe(ROWS / 50);
    expect(after.hot - before.hot).toBeGreaterThan((ROWS / 50) * 0.95);
  });
});

async function hotUpdates(): Promise<{ all: number; hot: number }> {
  await database.query('SELECT pg_stat_force_next_flush()');
  await database.query('SELECT 1');
  const [row] = await database.query<{ all: string; hot: string }>(
    `SELECT n_tup_upd AS all, n_tup_hot_upd AS hot FROM pg_stat_user_tables WHERE relname = 'short_urls'`,
  );
  return { all: Number(row?.all), hot: Number(row?.hot) };
}
