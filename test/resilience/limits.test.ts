import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { bodyOf } from '../support/clients/api-client.js';
import { connectDatabase, createDatabase, type TestDatabase } from '../support/database/database.js';
import { eventually } from '../support/machine/wait.js';
import {
  type ServerEnvironment,
  startServer,
  type TestServer,
  WITH_FAULTS,
} from '../support/server/server.js';
import { click, createUrl } from '../support/server/suite.js';
import { untilEnd } from '../support/server/until-end.js';

let database: TestDatabase;
let server: TestServer;

beforeAll(async () => {
  database = await createDatabase();
});

afterAll(() => database?.drop());

const unavailable = { error: 'Service unavailable', status: 503 };

function useLimits(environment: ServerEnvironment): void {
  beforeEach(async () => {
    server = untilEnd(
      await startServer({ DATABASE_URL: database.url, GATEWAY_THREADS: '1', ...environment }),
    );
  });
}

async function metric(name: string): Promise<number> {
  const text = await (await server.fetch('/metrics')).text();
  return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1]);
}

/** A lock that whoever reads or writes users has to wait for. */
async function lockUsers(): Promise<{ release: () => Promise<void> }> {
  const holder = await connectDatabase(database.address);
  await holder.query('BEGIN');
  await holder.query('LOCK TABLE users');
  return { release: () => holder.drop() };
}

describe('bodies', () => {
  useLimits({ BODY_MAX_BYTES: '1000000', BODY_TOTAL_BYTES: '1000000' });

  it('are held up to a sum; beyond it the next one is refused, until there is room again', async () => {
    const event = JSON.stringify({ event_type: 'large', details: { text: 'x'.repeat(600_000) } });
    let finish: () => void = () => undefined;
    const body = new ReadableStream({
      start(stream) {
        stream.enqueue(Buffer.from(event.slice(0, -1)));
        finish = () => {
          stream.enqueue(Buffer.from(event.slice(-1)));
          stream.close();
        };
      },
    });
    const headers = { 'content-type': 'application/json' };
    const first = server.fetch('/events', { method: 'POST', headers, body, duplex: 'half' } as RequestInit);
    await eventually(async () => (await metric('switchyard_request_body_bytes')) === event.length - 1);
    expect(await server.post('/events', event)).toEqual({ status: 503, body: unavailable });
    expect((await server.post('/events', { event_type: 'small' })).status).toBe(201);
    finish();
    expect((await first).status).toBe(201);
    await eventually(async () => (await metric('switchyard_request_body_bytes')) === 0);
    expect((await server.post('/events', event)).status).toBe(201);
  });
});

describe('calls', () => {
  useLimits({ CALL_PENDING_MAX: '2', CALL_DEADLINE_MS: '5000' });

  it('wait so many and so long, and no longer; hits need none of them', async () => {
    const url = await createUrl(server);
    await click(server, url.short_code);
    const lock = await lockUsers();
    try {
      const waiting = [server.json('/users/1'), server.json('/users/2')];
      await eventually(async () => (await metric('switchyard_calls_pending')) === 2);
      expect(await server.json('/urls/1')).toEqual({ status: 503, body: unavailable });
      expect(await metric('switchyard_calls_refused_total')).toBe(1);
      expect(await click(server, url.short_code)).toBe(url.original_url);
      expect(await Promise.all(waiting)).toEqual(Array(2).fill({ status: 503, body: unavailable }));
    } finally {
      await lock.release();
    }
    await eventually(async () => (await server.fetch('/users/1')).status === 404);
  });
});

describe('creations that share a statement', () => {
  useLimits({});

  it('fail each for itself when PostgreSQL refuses one of them', async () => {
    await database.query(
      `ALTER TABLE short_urls ADD CONSTRAINT of_the_operator CHECK (original_url NOT LIKE '%forbidden%')`,
    );
    const lock = await connectDatabase(database.address);
    await lock.query('BEGIN');
    // All that comes meanwhile waits for the first, and is one batch then.
    await lock.query('LOCK TABLE short_urls IN EXCLUSIVE MODE');
    const answers = Array.from({ length: 40 }, (_, index) =>
      server.post('/urls', { original_url: `https://example.com/${index === 20 ? 'forbidden' : index}` }),
    );
    await eventually(async () => (await metric('switchyard_calls_pending')) === 40);
    await lock.drop();
    for (const [index, answer] of (await Promise.all(answers)).entries()) {
      if (index === 20)
        expect(answer).toEqual({ status: 500, body: { error: 'Internal server error', status: 500 } });
      else expect(bodyOf(answer, 201).original_url).toBe(`https://example.com/${index}`);
    }
    await database.query('ALTER TABLE short_urls DROP CONSTRAINT of_the_operator');
  });
});

describe('a supervisor that is busy', () => {
  useLimits(WITH_FAULTS);

  it('is missed by what it is asked for, and by nobody else', async () => {
    const url = await createUrl(server);
    await click(server, url.short_code);
    server.fault({ thread: 'supervisor', action: 'block', milliseconds: 8000 });
    await eventually(async () => (await server.fetch('/metrics')).status === 503);
    expect(await server.json('/logs')).toEqual({ status: 503, body: unavailable });
    expect((await server.fetch('/health')).status).toBe(200);
    expect(await click(server, url.short_code)).toBe(url.original_url);
    expect((await server.json(`/users/2147483646`)).status).toBe(404);
    // Afterwards all is as it was.
    await eventually(async () => (await server.fetch('/metrics')).status === 200);
    await eventually(async () => (await server.get(`/urls/${url.id}`)).click_count === 2);
  });
});
