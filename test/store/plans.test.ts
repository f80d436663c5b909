import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { InputFor } from '../../src/api/registry.js';
import { eventOperations } from '../../src/store/events.js';
import { linkOperations } from '../../src/store/links.js';
import type { ListSelect } from '../../src/store/operation.js';
import { userOperations } from '../../src/store/users.js';
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

async function planOf({ text, values }: ListSelect): Promise<Plan> {
  const [row] = await database.query<{ 'QUERY PLAN': [{ Plan: Plan }] }>(`EXPLAIN (FORMAT JSON) ${text}`, [
    ...values,
  ]);
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

const page = { page: 3, per_page: 20 };
const all = { page: undefined, per_page: undefined };
const users = (input: Partial<InputFor<'listUsers'>>): ListSelect =>
  userOperations.listUsers.select({ ...all, ...input });
const links = (input: Partial<InputFor<'listLinks'>>): ListSelect =>
  linkOperations.listLinks.select({ ...all, user_id: undefined, is_active: undefined, ...input });
const events = (input: Partial<InputFor<'listEvents'>>): ListSelect => {
  const any = { ...all, url_id: undefined, user_id: undefined, event_type: undefined };
  return eventOperations.listEvents.select({ ...any, ...input });
};

const lists: [name: string, select: ListSelect][] = [
  ['users, a page', users({ ...page })],
  ['users, a late page', users({ page: 2501, per_page: 20 })],
  ['urls, a page', links({ ...page })],
  ['urls of a user', links({ user_id: '7' })],
  ['urls of a user, a page', links({ ...page, user_id: '7' })],
  ['urls of a user and state', links({ user_id: '7', is_active: false })],
  ['inactive urls', links({ is_active: false })],
  ['inactive urls, a page', links({ ...page, is_active: false })],
  ['active urls, a page', links({ ...page, is_active: true })],
  ['events, a page', events({ ...page })],
  ['events of a link', events({ url_id: '7' })],
  ['events of a link, a page', events({ ...page, url_id: '7' })],
  ['events of a user', events({ user_id: '7' })],
  ['events of a user and type', events({ user_id: '7', event_type: 'created' })],
  ['events of a link and type', events({ url_id: '7', event_type: 'click' })],
  ['events of a link, user and type', events({ url_id: '7', user_id: '7', event_type: 'click' })],
  ['events of a rare type', events({ event_type: 'created' })],
  ['events of a rare type, a page', events({ ...page, event_type: 'created' })],
  ['events of the common type, a page', events({ ...page, event_type: 'click' })],
  ['events of a type that is not there', events({ event_type: 'nothing' })],
];

describe(`on ${ROWS} rows`, () => {
  it.each(lists)('%s: no table is read from end to end', async (_, select) => {
    const plan = await planOf(select);
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
