import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { encodeCursor } from '../../src/api/cursors.js';
import type { InputFor } from '../../src/api/registry.js';
import { type Connection, clientOptions } from '../../src/postgres/pool.js';
import { keepEventChunks } from '../../src/store/event-chunks.js';
import { eventOperations } from '../../src/store/events.js';
import { readPage } from '../../src/store/list-pages.js';
import { createDatabase, type TestDatabase } from '../support/database/database.js';

type Asked = Partial<InputFor<'listEvents'>>;
type Rows = readonly (readonly (string | null)[])[];

const CHUNK = 65_536;
const CHUNKS = 12;
const ROWS_A_CHUNK = 120;
const LINKS = 6;

let database: TestDatabase;
let reader: pg.Client;

/** Pseudo-random numbers, the same in every run. */
let seed = 20_261_126;
function random(below: number): number {
  seed = (Math.imul(seed, 1_103_515_245) + 12_345) & 0x7fffffff;
  return seed % below;
}

const none = {
  page: undefined,
  per_page: undefined,
  url_id: undefined,
  user_id: undefined,
  event_type: undefined,
  from: undefined,
  to: undefined,
};

async function list(asked: Asked, limit?: number): Promise<Rows> {
  const { read } = eventOperations.listEvents.select({ ...none, ...asked }, limit);
  if (read === undefined) throw new Error('the list has no end');
  return read(reader);
}

/** All pages by cursor. */
async function pages(asked: Asked, limit: number): Promise<Rows> {
  const rows: (readonly (string | null)[])[] = [];
  let after: string | undefined;
  do {
    const query = eventOperations.listEvents.page({ ...none, ...asked, limit, after });
    if (query === undefined) throw new Error('no page was asked for');
    const page = await readPage(reader, query);
    rows.push(...(page?.rows ?? []).map((row) => row.slice(0, 6)));
    after = page?.next === undefined ? undefined : encodeCursor(query.digest, page.next);
  } while (after !== undefined);
  return rows.map((row) => row.slice(0, 6));
}

/** The same list, sorted by the database as a whole. */
async function sorted({ url_id, user_id, event_type, from, to }: Asked): Promise<Rows> {
  const { rows } = await reader.query({
    text: `SELECT id, url_id, user_id, event_type, "timestamp", details FROM events
           WHERE ($1::bigint IS NULL OR url_id = $1) AND ($2::bigint IS NULL OR user_id = $2)
             AND ($3::text IS NULL OR event_type = $3)
             AND ($4::float8 IS NULL OR "timestamp" >= to_timestamp($4 / 1000) AT TIME ZONE 'UTC')
             AND ($5::float8 IS NULL OR "timestamp" < to_timestamp($5 / 1000) AT TIME ZONE 'UTC')
           ORDER BY "timestamp" DESC, id DESC`,
    values: [url_id ?? null, user_id ?? null, event_type ?? null, from ?? null, to ?? null],
    rowMode: 'array',
  });
  return rows as (string | null)[][];
}

const idsOf = (rows: Rows): (string | null | undefined)[] => rows.map(([id]) => id);

/** Events of a chunk, whose times are mostly later than those of the chunk before. */
async function fill(chunk: number): Promise<void> {
  if (chunk > 0) await database.query(`SELECT setval('events_id_seq', ${chunk * CHUNK})`);
  const rows = Array.from({ length: ROWS_A_CHUNK }, (_, row) => {
    const isStray = random(100) < 4;
    const minutes = isStray ? random(CHUNKS * 200) : chunk * 100 + row + random(8);
    // Times alike are many.
    const time = `timestamp '2026-01-01' + ${Math.floor(minutes / 3)} * interval '3 minutes'`;
    const url = 1 + Math.floor((random(LINKS) * random(LINKS + 1)) / LINKS);
    return `(${url}, ${1 + random(3)}, '${random(20) === 0 ? 'created' : 'click'}', ${time})`;
  });
  await database.query(
    `INSERT INTO events (url_id, user_id, event_type, "timestamp") VALUES ${rows.join(', ')}`,
  );
}

/** A minute of those that the events are spread over. */
function minute(n: number): number {
  return Date.UTC(2026, 0, 1) + n * 60_000;
}

const asked: [name: string, asked: Asked][] = [
  ['all', {}],
  ['clicks', { event_type: 'click' }],
  ['of a rare type', { event_type: 'created' }],
  ['of a type that is not there', { event_type: 'none' }],
  ['of a link', { url_id: '1' }],
  ['of a link with few', { url_id: String(LINKS) }],
  ['of a link that is not there', { url_id: '999' }],
  ['of a user', { user_id: '2' }],
  ['of a link, a user and clicks', { url_id: '1', user_id: '2', event_type: 'click' }],
  ['of a link and a rare type', { url_id: '2', event_type: 'created' }],
  ['from a time on', { from: minute(700) }],
  ['up to a time', { to: minute(300) }],
  ['between two times', { from: minute(300), to: minute(600) }],
  ['within a minute', { from: minute(600), to: minute(601) }],
  ['before all', { to: minute(-100_000) }],
  ['after all', { from: minute(1_000_000) }],
  ['clicks between two times', { event_type: 'click', from: minute(300), to: minute(900) }],
  ['of a rare type between two times', { event_type: 'created', from: minute(300), to: minute(900) }],
  [
    'of a link and a user between two times',
    { url_id: '1', user_id: '2', from: minute(100), to: minute(900) },
  ],
];

async function expectAllInOrder(): Promise<void> {
  for (const [name, what] of asked) {
    const all = idsOf(await sorted(what));
    expect([name, idsOf(await list(what, 501))]).toEqual([name, all.slice(0, 501)]);
    for (const [page, per_page] of [
      [1, 10],
      [1, 70],
      [7, 9],
      [3, 150],
      [90, 100],
    ] as const) {
      const found = idsOf(await list({ ...what, page, per_page }));
      const first = (page - 1) * per_page;
      expect([name, page, found]).toEqual([name, page, all.slice(first, first + per_page)]);
    }
    for (const limit of [37, 500]) expect([name, idsOf(await pages(what, limit))]).toEqual([name, all]);
  }
}

describe('lists of the newest events', () => {
  beforeAll(async () => {
    database = await createDatabase();
    reader = new pg.Client(clientOptions(database.address, 'test', 5000));
    await reader.connect();
    await database.query(
      `INSERT INTO users (username, email) SELECT 'u' || n, 'u@example.com' FROM generate_series(1, 3) AS n;
       INSERT INTO short_urls (original_url, short_code)
         SELECT 'https://example.com', 'c' || n FROM generate_series(1, ${LINKS}) AS n`,
    );
    for (let chunk = 0; chunk < CHUNKS; chunk += 1) await fill(chunk);
  });

  afterAll(async () => {
    await reader?.end();
    await database?.drop();
  });

  it('are right while no chunk is sealed', expectAllInOrder);

  it('are right where all but the hot chunk are sealed and their times noted', async () => {
    while ((await keepEventChunks(reader)) !== undefined);
    const [noted] = await database.query<{ n: string }>(
      `SELECT count(*) AS n FROM event_chunk_times WHERE amount = ${ROWS_A_CHUNK} AND first_time < last_time`,
    );
    expect(Number(noted?.n)).toBe(CHUNKS - 1);
    await expectAllInOrder();
  });

  it('are right where events of noted chunks come, change and go by hand', async () => {
    const first = (chunk: number): number => chunk * CHUNK + 1000;
    await database.query(
      `INSERT INTO events (id, url_id, user_id, event_type, "timestamp") VALUES
         (${first(1)}, 1, 2, 'click', '2026-03-01'), (${first(2)}, 1, 2, 'click', '2025-12-01'),
         (${first(4)}, 2, 1, 'created', '2026-03-01'), (${first(5)}, 1, 1, 'click', 'infinity'),
         (${first(6)}, 1, 1, 'click', '-infinity'), (${first(7)}, 1, 1, 'click', '0044-03-15 BC'),
         (${first(8)}, 1, 1, 'click', '20000-01-01');
       UPDATE events SET "timestamp" = '2026-02-28 12:00' WHERE id = ${3 * CHUNK + 5};
       UPDATE events SET id = ${first(3)}, "timestamp" = '2026-02-28 13:00' WHERE id = ${9 * CHUNK + 5};
       DELETE FROM events WHERE id % 7 = 0;
       DELETE FROM events WHERE id BETWEEN ${9 * CHUNK} AND ${10 * CHUNK - 1}`,
    );
    expect(await keepEventChunks(reader)).toBeUndefined();
    await expectAllInOrder();
  });
});

interface Plan {
  readonly 'Node Type': string;
  readonly 'Relation Name'?: string;
  readonly 'Index Name'?: string;
  readonly Plans?: Plan[];
}

/** What a plan does with which tables. */
function stepsOf(plan: Plan): string[] {
  const step = `${plan['Node Type']} ${plan['Index Name'] ?? plan['Relation Name'] ?? ''}`.trim();
  return [step, ...(plan.Plans ?? []).flatMap(stepsOf)];
}

describe('plans of lists of the newest events', () => {
  const ROWS = 1000;
  const HOT = `events_from_${(CHUNKS - 1) * CHUNK + 1}`;
  const BEFORE = `events_from_${(CHUNKS - 2) * CHUNK + 1}`;

  beforeAll(async () => {
    database = await createDatabase();
    reader = new pg.Client(clientOptions(database.address, 'test', 5000));
    await reader.connect();
    for (let chunk = 0; chunk < CHUNKS; chunk += 1) {
      if (chunk > 0) await database.query(`SELECT setval('events_id_seq', ${chunk * CHUNK})`);
      await database.query(
        `INSERT INTO events (url_id, user_id, event_type, "timestamp")
         SELECT 1 + n % 9, 1 + n % 5, CASE WHEN n % 100 = 0 THEN 'created' ELSE 'click' END,
                timestamp '2026-01-01' + (${chunk * ROWS} + n) * interval '1 second'
         FROM generate_series(1, ${chunk === CHUNKS - 1 ? ROWS / 2 : ROWS}) AS n`,
      );
    }
    while ((await keepEventChunks(reader)) !== undefined);
  });

  afterAll(async () => {
    await reader?.end();
    await database?.drop();
  });

  /** Chunks with rows that the statements of a list touch, and how. */
  async function stepsFor(read: (connection: Connection) => Promise<unknown>): Promise<string> {
    const steps: string[] = [];
    const explaining = {
      query: async (query: { text: string; values?: unknown[] }) => {
        const explained = { text: `EXPLAIN (FORMAT JSON) ${query.text}`, values: query.values ?? [] };
        const { rows } = await reader.query<{ 'QUERY PLAN': string }>(explained);
        const [{ Plan }] = JSON.parse(rows[0]?.['QUERY PLAN'] ?? '') as [{ Plan: Plan }];
        steps.push(...stepsOf(Plan));
        return reader.query(query);
      },
    } as unknown as Connection;
    await read(explaining);
    return steps.filter((step) => /events_(from|reserve)_/.test(step)).join('; ');
  }

  const select = (asked: Asked) => (connection: Connection) =>
    eventOperations.listEvents.select({ ...none, ...asked }).read?.(connection) ?? Promise.resolve();
  const page = (asked: Asked) => (connection: Connection) => {
    const query = eventOperations.listEvents.page({ ...none, ...asked });
    if (query === undefined) throw new Error('no page was asked for');
    return readPage(connection, query);
  };

  it.each([
    ['all', select({ page: 1, per_page: 50 })],
    ['clicks', select({ event_type: 'click', page: 2, per_page: 50 })],
    ['all, by cursor', page({ limit: 50 })],
    ['clicks, by cursor', page({ event_type: 'click', limit: 50 })],
  ])('%s: of chunks with rows the hot one alone', async (_, read) => {
    const steps = await stepsFor(read);
    expect(steps).toContain(HOT);
    expect(steps).not.toContain(BEFORE);
    expect(steps).not.toContain('events_from_0');
  });

  it('more than the hot chunk has: the one before it, and none that is older', async () => {
    const steps = await stepsFor(select({ page: 12, per_page: 50 }));
    expect(steps).toContain(BEFORE);
    expect(steps).not.toContain(`events_from_${(CHUNKS - 3) * CHUNK + 1}`);
  });

  const time = (n: number): number => Date.UTC(2026, 0, 1) + n * 1000;
  const within = { from: time(3 * ROWS + 1), to: time(4 * ROWS + 1) };
  it.each([
    ['a page', select({ ...within, page: 1, per_page: 50 })],
    ['a page by cursor', page({ ...within, limit: 50 })],
    ['a page of clicks by cursor', page({ ...within, event_type: 'click', limit: 50 })],
    ['more than there are', page({ ...within, limit: 1000 })],
  ])('between two times, %s: the chunks of those times alone', async (_, read) => {
    const steps = await stepsFor(read);
    expect(steps).toContain(`events_from_${3 * CHUNK + 1}`);
    for (const other of [0, 2, 5, CHUNKS - 2])
      expect(steps).not.toContain(`events_from_${other === 0 ? 0 : other * CHUNK + 1}`);
  });

  it('of a link: the newest chunks alone where they have enough, else all, by the index of links', async () => {
    const few = await stepsFor(select({ url_id: '3', page: 1, per_page: 50 }));
    expect(few).toContain(BEFORE);
    expect(few).not.toContain('events_from_0');
    const all = await stepsFor(select({ url_id: '777', page: 1, per_page: 50 }));
    expect(all).toContain('events_from_0_by_url');
    expect(all).not.toContain('Seq Scan events_from_0');
  });
});
