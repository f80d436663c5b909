import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Url } from '../support/clients/answers.js';
import { startLoad } from '../support/clients/load.js';
import { TestCluster } from '../support/database/cluster.js';
import { eventually } from '../support/machine/wait.js';
import { startServer, type TestServer } from '../support/server/server.js';
import { click, createUrl } from '../support/server/suite.js';

let cluster: TestCluster;
let server: TestServer;

/** Of those who may log in to a test's database besides its owner. */
const role = 'app';

beforeAll(async () => {
  cluster = await TestCluster.start();
});

beforeEach(async () => {
  // The test before may have failed while it was stopped, or frozen.
  cluster.thaw();
  await cluster.restart();
  await asOperator(
    'DROP DATABASE IF EXISTS switchyard WITH (FORCE)',
    'DROP DATABASE IF EXISTS elsewhere WITH (FORCE)',
    `DROP ROLE IF EXISTS ${role}`,
    'CREATE DATABASE switchyard',
  );
});

afterEach(() => server?.stop());

afterAll(() => cluster?.remove());

async function asOperator(...statements: string[]): Promise<void> {
  const url = new URL(cluster.url);
  url.pathname = '/postgres';
  const client = new pg.Client({ connectionString: url.href });
  await client.connect();
  for (const statement of statements) await client.query(statement);
  await client.end();
}

async function timed(path: string, init?: RequestInit): Promise<{ status: number; milliseconds: number }> {
  const start = performance.now();
  const response = await server.fetch(path, init);
  await response.text();
  return { status: response.status, milliseconds: performance.now() - start };
}

const json = { 'content-type': 'application/json' };
const calls: readonly (readonly [path: string, init?: RequestInit])[] = [
  ['/users'],
  ['/users/1'],
  ['/urls?page=1&per_page=5'],
  ['/events'],
  ['/NotYet'],
  ['/shorten', { method: 'POST', headers: json, body: '{"url":"https://example.com"}' }],
  ['/users/1', { method: 'DELETE' }],
  ['/users/bulk', { method: 'POST', body: multipart() }],
];

function multipart(): FormData {
  const form = new FormData();
  form.append('file', new Blob(['username,email\na,b@example.com\n']), 'users.csv');
  return form;
}

async function makeLinks(count: number): Promise<Url[]> {
  const urls: Url[] = [];
  for (let index = 0; index < count; index += 1) {
    urls.push(await createUrl(server, { original_url: `https://example.com/${index}` }));
  }
  for (const url of urls) await click(server, url.short_code);
  return urls;
}

/** What the database has of each link: its counter and its click events. */
async function counted(): Promise<Map<string, { counter: number; events: number }>> {
  const database = await cluster.connect();
  const rows = await database.query<{ short_code: string; click_count: string; events: string }>(
    `SELECT short_code, click_count, (SELECT count(*) FROM events WHERE url_id = u.id AND event_type = 'click') AS events
     FROM short_urls AS u`,
  );
  await database.drop();
  return new Map(
    rows.map((row) => [row.short_code, { counter: Number(row.click_count), events: Number(row.events) }]),
  );
}

describe.each(['fast', 'kill'] as const)('PostgreSQL stopped (%s) under load', (mode) => {
  it('cached links go on, all else is 503 in time, and no click is missing afterwards', async () => {
    server = await startServer({ DATABASE_URL: cluster.url });
    const urls = await makeLinks(20);
    const codes = urls.map((url) => url.short_code);
    const load = startLoad(server.port, codes);
    await eventually(() => load.total() > 200);
    await cluster.stop(mode);
    const atStop = load.total();

    for (const [path, init] of calls) {
      const { status, milliseconds } = await timed(path, init);
      expect([path, status]).toEqual([path, 503]);
      expect(milliseconds).toBeLessThan(2000);
    }
    // By now the server knows, and answers at once.
    await eventually(async () => (await timed('/users')).milliseconds < 200);
    expect((await server.json('/users')).body).toEqual({ error: 'Service unavailable', status: 503 });
    expect((await server.fetch('/users')).headers.get('retry-after')).toBe('1');
    expect((await timed('/health')).status).toBe(200);
    expect((await timed('/logs')).status).toBe(200);
    const metrics = await (await server.fetch('/metrics')).text();
    expect(metrics).toContain('\nswitchyard_database_up 0\n');
    await eventually(() => load.total() > atStop + 500);

    await cluster.restart();
    await eventually(async () => (await timed('/users')).status === 200);
    await eventually(async () => (await timed('/shorten', calls[5]?.[1])).status === 201);
    const after = load.total();
    await eventually(() => load.total() > after + 200);
    await load.stop();
    expect([...load.statuses.keys()]).toEqual([302]);

    const expected = new Map(codes.map((code) => [code, 1 + (load.redirects.get(code) ?? 0)]));
    await eventually(async () => {
      const rows = await counted();
      return codes.every((code) => (rows.get(code)?.events ?? 0) >= (expected.get(code) ?? 0));
    });
    const rows = await counted();
    for (const code of codes) {
      expect(rows.get(code)).toEqual({ counter: expected.get(code), events: expected.get(code) });
    }
  });
});

async function isUp(): Promise<boolean> {
  const metrics = await (await server.fetch('/metrics')).text();
  return metrics.includes('\nswitchyard_database_up 1\n');
}

/** Ends every connection of the server. */
const cutAll = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                WHERE application_name LIKE 'switchyard%' AND pid <> pg_backend_pid()`;

describe('PostgreSQL that lets nobody in', () => {
  it.each([
    [
      'because the database is closed to connections (55000)',
      ['ALTER DATABASE switchyard ALLOW_CONNECTIONS false'],
      ['ALTER DATABASE switchyard ALLOW_CONNECTIONS true'],
    ],
    [
      'because the database has been renamed (3D000)',
      ['ALTER DATABASE switchyard RENAME TO elsewhere'],
      ['ALTER DATABASE elsewhere RENAME TO switchyard'],
    ],
    [
      'because no connection is left (53300)',
      [`ALTER ROLE ${role} CONNECTION LIMIT 0`],
      [`ALTER ROLE ${role} CONNECTION LIMIT -1`],
    ],
    ['because the role may not log in (28000)', [`ALTER ROLE ${role} NOLOGIN`], [`ALTER ROLE ${role} LOGIN`]],
    [
      'because the password was changed (28P01)',
      [`ALTER ROLE ${role} PASSWORD 'another'`],
      [`ALTER ROLE ${role} PASSWORD 'secret'`],
    ],
  ])('%s: is down, 503, and up again by itself', async (_, shut, open) => {
    await asOperator(
      `CREATE ROLE ${role} LOGIN PASSWORD 'secret'`,
      `GRANT ALL ON DATABASE switchyard TO ${role}`,
    );
    const owner = await cluster.connect();
    await owner.query(`GRANT ALL ON SCHEMA public TO ${role}; GRANT ${owner.address.user} TO ${role}`);
    await owner.drop();
    const url = new URL(cluster.url);
    url.username = role;
    url.password = 'secret';
    url.pathname = '/switchyard';
    server = await startServer({ DATABASE_URL: url.href });
    const made = await createUrl(server);
    await click(server, made.short_code);
    // Nobody new is let in, but the connections that are there work on.
    // A database in use can't be renamed: it is cut first, and the server must not be back before.
    await asOperator(`ALTER ROLE ${role} CONNECTION LIMIT 0`, cutAll, ...shut);
    if (!shut.some((statement) => statement.includes('LIMIT 0'))) {
      await asOperator(`ALTER ROLE ${role} CONNECTION LIMIT -1`);
    }
    await eventually(async () => !(await isUp()));
    for (const [path, init] of calls) {
      const { status, milliseconds } = await timed(path, init);
      expect([path, status]).toEqual([path, 503]);
      expect(milliseconds).toBeLessThan(2000);
    }
    expect(await click(server, made.short_code)).toBe(made.original_url);
    await asOperator(...open);
    await eventually(isUp);
    expect((await server.post('/shorten', { url: 'https://example.com' })).status).toBe(201);
    await eventually(async () => (await counted()).get(made.short_code)?.events === 2);
  });

  it('is not down while the connections that it gave before work', async () => {
    server = await startServer({ DATABASE_URL: cluster.url });
    const [made] = (await makeLinks(1)) as [Url];
    await asOperator('ALTER DATABASE switchyard ALLOW_CONNECTIONS false');
    const listener = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'switchyard listen'`;
    await asOperator(listener);
    await eventually(async () =>
      (await (await server.fetch('/metrics')).text()).includes('\nswitchyard_cache_coherent 0\n'),
    );
    for (let round = 0; round < 10; round += 1) {
      expect([(await timed(`/urls/${made.id}`)).status, await isUp()]).toEqual([200, true]);
      await sleep(100);
    }
    await asOperator('ALTER DATABASE switchyard ALLOW_CONNECTIONS true');
  });
});

describe('a restore', () => {
  it('that has dropped the tables makes calls 503, and all is well when they are back', async () => {
    server = await startServer({ DATABASE_URL: cluster.url });
    const [made] = (await makeLinks(1)) as [Url];
    const database = await cluster.connect();
    await database.query(`CREATE SCHEMA aside; ALTER TABLE short_urls SET SCHEMA aside;
                          ALTER TABLE users SET SCHEMA aside; ALTER TABLE events SET SCHEMA aside`);
    for (const [path, init] of calls) expect([path, (await timed(path, init)).status]).toEqual([path, 503]);
    expect(await click(server, made.short_code)).toBe(made.original_url);
    await database.query(`ALTER TABLE aside.short_urls SET SCHEMA public;
                          ALTER TABLE aside.users SET SCHEMA public; ALTER TABLE aside.events SET SCHEMA public`);
    await eventually(async () => (await timed('/users')).status === 200);
    expect((await timed('/shorten', calls[5]?.[1])).status).toBe(201);
    // The click that fell into the gap waited in the journal.
    await eventually(async () => (await counted()).get(made.short_code)?.events === 2);
    await database.drop();
  });

  it('that changes the columns beneath prepared statements is not noticed by anybody', async () => {
    server = await startServer({ DATABASE_URL: cluster.url });
    const [made] = (await makeLinks(1)) as [Url];
    const path = `/urls/${made.id}`;
    await Promise.all(Array.from({ length: 40 }, () => timed(path)));
    const database = await cluster.connect();
    await database.query(`ALTER TABLE short_urls ALTER COLUMN title TYPE varchar(255)`);
    const answers = await Promise.all(Array.from({ length: 40 }, () => timed(path)));
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
    await database.drop();
  });
});

describe('PostgreSQL frozen', () => {
  it('is noticed: 503 in time, hits go on, and all is well again by itself', async () => {
    server = await startServer({ DATABASE_URL: cluster.url });
    const [url] = (await makeLinks(1)) as [Url];
    cluster.freeze();
    try {
      for (const [path, init] of calls) {
        const { status, milliseconds } = await timed(path, init);
        expect([path, status]).toEqual([path, 503]);
        expect(milliseconds).toBeLessThan(2000);
      }
      expect(await click(server, url.short_code)).toBe(url.original_url);
    } finally {
      cluster.thaw();
    }
    await eventually(async () => (await timed('/users')).status === 200);
    await eventually(async () => (await counted()).get(url.short_code)?.events === 2);
    // What was asked and refused meanwhile was not done behind the asker's back, or was done whole.
    expect((await server.json('/urls')).status).toBe(200);
  });
});

describe('a server started without its database', () => {
  it.each([
    ['is not there', () => cluster.stop('fast'), () => cluster.restart()],
    ['does not answer', async () => cluster.freeze(), async () => cluster.thaw()],
  ])('that %s serves what it can, and all when the database comes', async (_, leave, comeBack) => {
    try {
      await leave();
      server = await startServer({ DATABASE_URL: cluster.url });
      expect((await server.fetch('/health')).status).toBe(200);
      expect((await server.fetch('/users')).status).toBe(503);
      await eventually(() => server.banner().includes('can not be reached'));
    } finally {
      await comeBack();
    }
    await eventually(async () => (await server.fetch('/users')).status === 200);
    expect((await server.post('/shorten', { url: 'https://example.com' })).status).toBe(201);
  });
});
