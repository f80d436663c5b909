import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Position } from '../../src/api/cursors.js';
import type { InputFor } from '../../src/api/registry.js';
import { clientOptions } from '../../src/postgres/pool.js';
import { countSettings, countStatement } from '../../src/store/click-counts.js';
import { keepEventChunks } from '../../src/store/event-chunks.js';
import { eventOperations } from '../../src/store/events.js';
import { linkOperations } from '../../src/store/links.js';
import {
  gatherStatement,
  orderedStatement,
  type PageQuery,
  readPage,
  walkStatement,
} from '../../src/store/list-pages.js';
import type { ListSelect } from '../../src/store/lists.js';
import { findByConditions } from '../../src/store/search.js';
import { userOperations } from '../../src/store/users.js';
import { createDatabase, type TestDatabase } from '../support/database/database.js';

const ROWS = 100_000;
const CHUNK = 65_536;
const HOT = `events_from_${3 * CHUNK + 1}`;
const HOT_ROWS = 3000;
let database: TestDatabase;
/** A connection as the server has them. */
let reader: pg.Client;

interface Plan {
  readonly 'Node Type': string;
  readonly 'Relation Name'?: string;
  readonly 'Index Name'?: string;
  readonly 'Total Cost': number;
  readonly Plans?: Plan[];
}

beforeAll(async () => {
  database = await createDatabase();
  await database.query(
    `INSERT INTO users (username, email) SELECT 'u' || n, 'u' || n || '@example.com' FROM generate_series(1, ${ROWS}) AS n`,
  );
  await database.query(
    `INSERT INTO short_urls (user_id, original_url, short_code, title, is_active, click_count, created_at, updated_at, tags)
     SELECT 1 + n % 5000, 'https://example.com/' || n, 'c' || n, 'Title ' || n * 7919 % 100003, n % 50 > 0,
            n * 7919 % 1009,
            now() - n * interval '1 minute', now() - (n * 7919 % 100003) * interval '1 second',
            CASE WHEN n % 20000 = 0 THEN ARRAY['rare'] WHEN n % 2 = 0 THEN ARRAY['even'] ELSE '{}' END
     FROM generate_series(1, ${ROWS}) AS n`,
  );
  reader = new pg.Client(clientOptions(database.address, 'test', 5000));
  await reader.connect();
  // The links have their counters.
  await database.query(`SET switchyard.differences = 'none'`);
  // Nearly all are clicks, as in real use, over several chunks and the hot one.
  for (const [index, rows] of [30_000, 40_000, 27_000, HOT_ROWS].entries()) {
    if (index > 0) await database.query(`SELECT setval('events_id_seq', ${index * CHUNK})`);
    await database.query(
      `INSERT INTO events (url_id, user_id, event_type, "timestamp", details)
       SELECT 1 + n % 20000, 1 + n % 5000, CASE WHEN n % 100 = 0 THEN 'created' ELSE 'click' END,
              now() - (${(4 - index) * 40_000} - n) * interval '1 minute', '{"short_code":"abcdef"}'
       FROM generate_series(1, ${rows}) AS n`,
    );
  }
  await database.query('RESET switchyard.differences');
  while ((await keepEventChunks(reader)) !== undefined);
  await database.query('ANALYZE');
});

afterAll(async () => {
  await reader?.end();
  await database?.drop();
});

async function planOf({ text, values }: Pick<ListSelect, 'text' | 'values'>): Promise<Plan> {
  const [row] = await database.query<{ 'QUERY PLAN': [{ Plan: Plan }] }>(`EXPLAIN (FORMAT JSON) ${text}`, [
    ...values,
  ]);
  return (row as { 'QUERY PLAN': [{ Plan: Plan }] })['QUERY PLAN'][0].Plan;
}

/** Tables that a plan reads from end to end, but for the hot chunk of events, which has no index. */
function scannedWhole(plan: Plan): string[] {
  const name = plan['Relation Name'] ?? '?';
  const own = plan['Node Type'].includes('Seq Scan') && name !== HOT ? [name] : [];
  return [...own, ...(plan.Plans ?? []).flatMap(scannedWhole)];
}

/** Tables whose rows a plan sorts, but for the hot chunk. To put rows of the same time in order is no such sort. */
function sorted(plan: Plan, isBelow = false): string[] {
  const isSorted = isBelow || plan['Node Type'] === 'Sort';
  const name = plan['Relation Name'];
  const own = isSorted && name !== undefined && name !== HOT ? [name] : [];
  return [...own, ...(plan.Plans ?? []).flatMap((part) => sorted(part, isSorted))];
}

/** Of chunks ahead, which have no rows yet. */
async function expectNoRows(tables: readonly string[]): Promise<void> {
  for (const table of tables) expect([table, await rowsIn(table)]).toEqual([table, 0]);
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
  linkOperations.listLinks.select({
    ...all,
    user_id: undefined,
    is_active: undefined,
    tags: 'all',
    sort: '-created_at',
    ...input,
  });
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
  ['urls by clicks, a page', links({ ...page, sort: '-click_count' })],
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

/** The kinds of steps of a plan, with the indexes of tables and of their partitions. */
function shapeOf(plan: Plan): string[] {
  const index = plan['Index Name'] ?? '';
  return [`${plan['Node Type']} ${index}`.trim(), ...(plan.Plans ?? []).flatMap(shapeOf)];
}

type Asked<Name extends string> = Partial<InputFor<Name>>;
const paged = { ...all, limit: 1000, after: undefined };

function pageOf(query: PageQuery | undefined): PageQuery {
  if (query === undefined) throw new Error('no page was asked for');
  return query;
}

const linkPage = (input: Asked<'listLinks'>): PageQuery =>
  pageOf(
    linkOperations.listLinks.page({
      ...paged,
      user_id: undefined,
      is_active: undefined,
      tags: 'all',
      sort: '-created_at',
      ...input,
    }),
  );
const userPage = (): PageQuery => pageOf(userOperations.listUsers.page(paged));
const eventPage = (input: Asked<'listEvents'>): PageQuery =>
  pageOf(
    eventOperations.listEvents.page({
      ...paged,
      url_id: undefined,
      user_id: undefined,
      event_type: undefined,
      ...input,
    }),
  );

/** A position with that many rows of the list behind it. */
async function lateIn({ source, order, leading }: PageQuery, left: number): Promise<Position> {
  const { key = 'id', direction } = order;
  const filter = leading === undefined ? '' : `WHERE ${leading.sql('$1')}`;
  const opposite = direction === 'ASC' ? 'DESC' : 'ASC';
  const [row] = await database.query<{ key: string; id: string }>(
    `SELECT (${key})::text AS key, id::text FROM ${source} ${filter}
     ORDER BY ${key} ${opposite}, id ${opposite} LIMIT 1 OFFSET ${left}`,
    leading === undefined ? [] : [leading.value],
  );
  return row as Position;
}

const orderedPages: [name: string, index: string, query: PageQuery][] = [
  ['users', 'users_pkey', userPage()],
  ['urls', 'short_urls_newest', linkPage({})],
  ['urls, oldest first', 'short_urls_newest', linkPage({ sort: 'created_at' })],
  ['urls by update', 'short_urls_by_update', linkPage({ sort: '-updated_at' })],
  ['urls by clicks', 'link_clicks_order', linkPage({ sort: 'click_count' })],
  ['urls by clicks, most first', 'link_clicks_order', linkPage({ sort: '-click_count' })],
  ['urls by title', 'short_urls_by_title', linkPage({ sort: 'title' })],
  ['urls by title, descending', 'short_urls_by_title', linkPage({ sort: '-title' })],
  ['events', '_newest', eventPage({})],
];

describe(`pages by cursor on ${ROWS} rows`, () => {
  it.each(orderedPages)(
    '%s: the last page has the plan and the cost of the first',
    async (_, index, query) => {
      const late = { ...query, after: await lateIn(query, 20_000) };
      const first = await planOf(orderedStatement(query));
      const last = await planOf(orderedStatement(late));
      for (const plan of [first, last]) {
        await expectNoRows(scannedWhole(plan));
        await expectNoRows(sorted(plan));
      }
      expect(shapeOf(last).join()).toContain(index);
      // An estimate; what is really read comes next.
      expect(last['Total Cost']).toBeLessThan(first['Total Cost'] * 5);
      // At the very end the few rows that are left may be sorted instead.
      const buffers = await buffersOf(query);
      for (const left of [20_000, 1200, 500]) {
        const after = await lateIn(query, left);
        expect([left, (await buffersOf({ ...query, after })) < buffers * 1.5 + 50]).toEqual([left, true]);
      }
    },
  );

  it.each([
    ['urls of a user', 'short_urls_by_user', linkPage({ user_id: '7', limit: 10 })],
    ['events of a link', 'by_url', eventPage({ url_id: '7', limit: 3 })],
    ['events of a user', 'by_user', eventPage({ user_id: '7', limit: 3 })],
  ])('%s: by its index', async (_, index, query) => {
    const plan = await planOf(orderedStatement(query));
    await expectNoRows(scannedWhole(plan));
    expect(shapeOf(plan).join()).toContain(index);
  });

  it.each([
    ['urls of a user and state', 'short_urls_by_user', linkPage({ user_id: '7', is_active: false })],
    ['urls of a tag, by title', 'short_urls_by_title', linkPage({ tag: ['rare'], sort: 'title' })],
    ['urls of a tag, by clicks', 'link_clicks_order', linkPage({ tag: ['rare'], sort: '-click_count' })],
    ['clicks', '_newest', eventPage({ event_type: 'click' })],
    ['clicks of a user', '_by_user', eventPage({ event_type: 'click', user_id: '7' })],
  ])('%s: rows are looked at by the index of the order', async (_, index, query) => {
    const plan = await planOf(walkStatement(query, 1000));
    await expectNoRows(scannedWhole(plan));
    expect(shapeOf(plan).join()).toContain(index);
  });

  it('events of a rare type are found by their index, the last page as the first', async () => {
    const query = eventPage({ event_type: 'created', limit: 20 });
    const late = { ...query, after: await lateIn(query, 100) };
    for (const one of [query, late]) {
      expect(shapeOf(await planOf(orderedStatement(one))).join()).toContain('_by_rare_type');
      expect(await buffersOf(one)).toBeLessThan(200);
    }
  });

  it('a text is found by the trigrams of the search', async () => {
    const query = linkPage({ q: 'COM/9999', limit: 10 });
    await database.query('SET enable_seqscan = off');
    try {
      const plan = await planOf(gatherStatement(query, 40_000));
      expect(scannedWhole(plan)).toEqual([]);
      expect(shapeOf(plan).join()).toContain('short_urls_by_search');
    } finally {
      await database.query('RESET enable_seqscan');
    }
    const found = await readPage(reader, query);
    expect(found?.rows).toHaveLength(10);
    for (const q of ['.com/7777', 'c77777', 'title 77']) {
      await reader.query('BEGIN');
      await findByConditions(reader);
      const { text, values } = links({ q });
      const { rows } = await reader.query<{ 'QUERY PLAN': string }>(`EXPLAIN ${text}`, [...values]);
      await reader.query('ROLLBACK');
      expect(rows.map((row) => row['QUERY PLAN']).join()).toMatch(
        /Bitmap Index Scan on short_urls_by_search/,
      );
    }
  });

  it.each(['title', '-click_count'] as const)(
    'rare rows are found by the indexes of their conditions, by %s',
    async (sort) => {
      const query = linkPage({ tag: ['rare'], sort, limit: 10 });
      await database.query('SET enable_seqscan = off');
      try {
        const plan = await planOf(gatherStatement(query, 40_000));
        expect(shapeOf(plan).join()).toContain('short_urls_by_tag');
      } finally {
        await database.query('RESET enable_seqscan');
      }
      const page = await readPage(reader, query);
      expect(page?.rows).toHaveLength(5);
      expect(page?.next).toBeUndefined();
    },
  );

  it('a page ends early where too many rows would be looked at, and the next goes on from there', async () => {
    // Neither has an index: each row is looked at.
    const query: PageQuery = {
      ...linkPage({ limit: 10 }),
      rest: [{ value: 'c99990', sql: (code) => `short_code || '' = ${code}` }],
    };
    const first = await readPage(reader, query);
    expect(first).toEqual({ rows: [], next: expect.objectContaining({ id: '50000' }) });
    const second = await readPage(reader, { ...query, after: first?.next });
    expect(second?.rows.map((row) => row[0])).toEqual(['99990']);
  });
});

/** Blocks that a statement touches. */
async function buffersOf(query: PageQuery): Promise<number> {
  const { text, values } = orderedStatement(query);
  const [row] = await database.query<{ 'QUERY PLAN': [{ Plan: Record<string, number> }] }>(
    `EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) ${text}`,
    [...values],
  );
  const plan = (row as { 'QUERY PLAN': [{ Plan: Record<string, number> }] })['QUERY PLAN'][0].Plan;
  return (plan['Shared Hit Blocks'] ?? 0) + (plan['Shared Read Blocks'] ?? 0);
}

describe(`on ${ROWS} rows`, () => {
  it.each(lists)('%s: no table is read from end to end', async (_, select) => {
    const plan = await planOf(select);
    await expectNoRows(scannedWhole(plan));
  });

  it.each([
    ['one event', 'SELECT * FROM events WHERE id = 5000'],
    ['the deletion of a link’s events', 'DELETE FROM events WHERE url_id = 7'],
    ['the deletion of a user’s events', 'DELETE FROM events WHERE user_id = 7'],
    [
      'the resolution of codes',
      `SELECT id FROM short_urls WHERE short_code = ANY ('{c1,c2,zzz}') AND is_active`,
    ],
  ])('%s: no table is read from end to end', async (_, sql) => {
    const [row] = await database.query<{ 'QUERY PLAN': [{ Plan: Plan }] }>(`EXPLAIN (FORMAT JSON) ${sql}`);
    await expectNoRows(scannedWhole((row as { 'QUERY PLAN': [{ Plan: Plan }] })['QUERY PLAN'][0].Plan));
  });

  it('links are locked for their clicks in the order of their ids, by the index of ids', async () => {
    const ids = Array.from({ length: 30_000 }, (_, n) => n * 3 + 1);
    const values = [
      ids,
      ids.map((id) => `c${id}`),
      ids.map(() => null),
      ids.map(() => 1),
      ids.map(() => null),
    ];
    await database.query('BEGIN');
    await database.query(countSettings);
    const plan = await planOf({ text: countStatement.text, values });
    await database.query('ROLLBACK');
    const steps = shapeOf(plan);
    const join = steps.findIndex((step) => step.startsWith('Nested Loop'));
    expect(steps.slice(join - 1)).toEqual([
      'ModifyTable',
      'Nested Loop',
      'Subquery Scan',
      'Sort',
      'Function Scan',
      'Index Scan short_urls_pkey',
      ...steps.slice(join + 5),
    ]);
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
