import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createDatabase, type TestDatabase } from '../support/database/database.js';
import { FaultProxy } from '../support/database/proxy.js';
import { eventually } from '../support/machine/wait.js';
import { startServer, type TestServer } from '../support/server/server.js';
import { uniqueName } from '../support/server/suite.js';

let database: TestDatabase;
let proxy: FaultProxy;
let server: TestServer;

function start(): Promise<TestServer> {
  const url = new URL(database.url);
  url.port = String(proxy.port);
  return startServer({ DATABASE_URL: url.href, CALL_DEADLINE_MS: '20000' });
}

beforeAll(async () => {
  database = await createDatabase();
  proxy = await FaultProxy.start(database.address.port);
  server = await start();
});

afterAll(async () => {
  await server?.stop();
  await proxy?.stop();
  await database?.drop();
});

interface Answer {
  readonly status: number;
  readonly isReplayed: boolean;
}

async function post(path: string, key: string, body: unknown): Promise<Answer> {
  const response = await server.fetch(path, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'idempotency-key': key },
    body: JSON.stringify(body),
  });
  await response.arrayBuffer();
  return {
    status: response.status,
    isReplayed: response.headers.get('idempotent-replayed') === 'true',
  };
}

async function countOf(table: string): Promise<number> {
  const [row] = await database.query<{ count: string }>(`SELECT count(*) FROM ${table}`);
  return Number(row?.count);
}

const requests = [
  ['/shorten', 'short_urls', 201, () => ({ url: 'https://example.com/' })],
  ['/urls', 'short_urls', 201, () => ({ original_url: 'https://example.com/', find_if_exists: false })],
  ['/urls/bulk', 'short_urls', 200, () => ({ urls: [{ original_url: 'https://example.com/' }] })],
  ['/users', 'users', 201, () => ({ username: uniqueName(), email: 'a@example.com' })],
  ['/events', 'events', 201, () => ({ event_type: 'seen' })],
] as const;

/** Whatever became of it; what a server that was killed did not say is nothing. */
function settled(answer: Promise<Answer>): Promise<Answer | undefined> {
  return answer.catch(() => undefined);
}

describe('a kill between the commit and the answer', () => {
  it.each(requests)('makes no second one of POST %s', async (path, table, status, bodyOf) => {
    const [key, body] = [uniqueName(), bodyOf()];
    const before = { made: await countOf(table), kept: await countOf('idempotency_keys') };
    proxy.muteCommitAfter('idempotency_keep');
    const unheard = settled(post(path, key, body));
    await eventually(async () => (await countOf('idempotency_keys')) > before.kept);
    await server.kill();
    expect(await unheard).toBeUndefined();
    server = await start();
    expect(await post(path, key, body)).toEqual({ status, isReplayed: true });
    expect(await countOf(table)).toBe(before.made + 1);
  });
});

describe('a kill before the commit', () => {
  it.each(requests.slice(2))('leaves nothing of POST %s, and the next try does it', async (...request) => {
    const [path, table, status, bodyOf] = request;
    const [key, body] = [uniqueName(), bodyOf()];
    const before = await countOf(table);
    await database.query('BEGIN');
    await database.query(`LOCK TABLE ${table} IN SHARE ROW EXCLUSIVE MODE`);
    const unheard = settled(post(path, key, body));
    await eventually(async () => {
      const rows = await database.query(
        'SELECT FROM pg_locks WHERE relation = $1::regclass AND NOT granted',
        [table],
      );
      return rows.length > 0;
    });
    await server.kill();
    await database.query('COMMIT');
    expect(await unheard).toBeUndefined();
    server = await start();
    // Its lock goes when PostgreSQL has found its connection gone.
    const answers: Answer[] = [];
    await eventually(async () => {
      answers.push(await post(path, key, body));
      return answers.at(-1)?.status !== 409;
    });
    expect(answers.at(-1)).toEqual({ status, isReplayed: false });
    expect(await post(path, key, body)).toEqual({ status, isReplayed: true });
    expect(await countOf(table)).toBe(before + 1);
  });
});

it('while PostgreSQL is away it is 503, and nothing is kept', async () => {
  const [key, body] = [uniqueName(), { url: 'https://example.com/away' }];
  const before = await countOf('short_urls');
  proxy.freeze();
  proxy.cutAll();
  await eventually(async () => (await post('/shorten', key, body)).status === 503);
  expect((await post('/shorten', key, { url: 'nowhere' })).status).toBe(503);
  proxy.thaw();
  const answers: Answer[] = [];
  await eventually(async () => {
    answers.push(await post('/shorten', key, body));
    return answers.at(-1)?.status === 201;
  });
  expect(answers.at(-1)).toEqual({ status: 201, isReplayed: false });
  expect(await countOf('short_urls')).toBe(before + 1);
});

it('a commit whose answer is lost is 503, and its repetition gets the first answer', async () => {
  const [key, body] = [uniqueName(), { url: 'https://example.com/lost' }];
  const before = await countOf('short_urls');
  await eventually(async () => (await server.fetch('/health')).status === 200);
  proxy.muteCommitAfter('idempotency_keep');
  const lost = post('/shorten', key, body);
  await eventually(async () => (await countOf('short_urls')) > before);
  proxy.cutAll();
  expect((await lost).status).toBe(503);
  await eventually(async () => {
    const { status, isReplayed } = await post('/shorten', key, body);
    return status === 201 && isReplayed;
  });
  expect(await countOf('short_urls')).toBe(before + 1);
});
