import { createServer } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Url } from '../support/clients/answers.js';
import { startLoad } from '../support/clients/load.js';
import { connectDatabase, createDatabase, type TestDatabase } from '../support/database/database.js';
import { eventually } from '../support/machine/wait.js';
import { runServer, startServer, type TestServer, WITH_FAULTS } from '../support/server/server.js';
import { click, createUrl } from '../support/server/suite.js';

let database: TestDatabase;

beforeAll(async () => {
  database = await createDatabase();
});

afterAll(async () => {
  await database?.drop();
});

async function clicksOf(url: Url): Promise<number> {
  const [row] = await database.query<{ click_count: string; events: string }>(
    `SELECT click_count, (SELECT count(*) FROM events WHERE url_id = $1 AND event_type = 'click') AS events
     FROM short_urls WHERE id = $1`,
    [url.id],
  );
  expect(row?.click_count).toBe(row?.events);
  return Number(row?.events);
}

describe.each(['SIGTERM', 'SIGINT'] as const)('%s', (signal) => {
  it('drains: requests in flight are answered, clicks are in the database', async () => {
    const server = await startServer({ DATABASE_URL: database.url, GATEWAY_THREADS: '2' });
    const url = await createUrl(server);
    for (let count = 0; count < 50; count += 1) await click(server, url.short_code);
    // A body that is still coming in while the server is told to stop.
    let finish: () => void = () => undefined;
    const body = new ReadableStream({
      start(stream) {
        stream.enqueue(Buffer.from('{"event_type":'));
        finish = () => {
          stream.enqueue(Buffer.from('"late"}'));
          stream.close();
        };
      },
    });
    const request = server.fetch('/events', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body,
      duplex: 'half',
    } as RequestInit);
    await new Promise((resolve) => setTimeout(resolve, 200));
    server.signal(signal);
    await eventually(() => server.logs.some((entry) => entry.message.includes('drains')));
    finish();
    expect((await request).status).toBe(201);
    expect(await server.exit).toBe(0);
    expect(await clicksOf(url)).toBe(50);
    await expect(server.fetch('/health')).rejects.toThrow();
  });
});

describe('a list that begins while the server stops', () => {
  it('arrives whole', async () => {
    const server = await startServer({ DATABASE_URL: database.url, CALL_DEADLINE_MS: '10000' });
    const holder = await connectDatabase(database.address);
    await holder.query('BEGIN; LOCK TABLE events_from_65537');
    const list = server.json('/events?page=1000&per_page=1000');
    await eventually(async () => {
      const rows = await database.query(
        `SELECT FROM pg_stat_activity
         WHERE datname = current_database() AND wait_event_type = 'Lock' AND application_name LIKE 'switchyard%'`,
      );
      return rows.length > 0;
    });
    server.signal('SIGTERM');
    await eventually(() => server.logs.some((entry) => entry.message.includes('drains')));
    await holder.query('COMMIT');
    await holder.drop();
    expect(await list).toEqual({ status: 200, body: [] });
    expect(await server.exit).toBe(0);
  });
});

describe('a second signal', () => {
  it('ends the server at once', async () => {
    const server = await startServer({ DATABASE_URL: database.url, DRAIN_DEADLINE_MS: '60000' });
    const url = await createUrl(server);
    await click(server, url.short_code);
    // This one would be waited for.
    const body = new ReadableStream({ start: (stream) => stream.enqueue(Buffer.from('{')) });
    const headers = { 'content-type': 'application/json' };
    const request = server.fetch('/events', { method: 'POST', headers, body, duplex: 'half' } as RequestInit);
    request.catch(() => undefined);
    await new Promise((resolve) => setTimeout(resolve, 1000));
    server.signal('SIGTERM');
    await eventually(() => server.logs.some((entry) => entry.message.includes('drains')));
    // Sooner it would be the echo of the first.
    await new Promise((resolve) => setTimeout(resolve, 400));
    server.signal('SIGTERM');
    expect(await server.exit).toBe(6);
    await expect(request).rejects.toThrow();
  });

  it('right behind the first, as npm passes it on beside the terminal, is the same one', async () => {
    const server = await startServer({ DATABASE_URL: database.url });
    server.signal('SIGINT');
    server.signal('SIGINT');
    expect(await server.exit).toBe(0);
    expect(server.logs.some(({ message }) => message.includes('again'))).toBe(false);
  });

  it('is not needed when a deadline is set', async () => {
    const server = await startServer({ DATABASE_URL: database.url, DRAIN_DEADLINE_MS: '300' });
    const body = new ReadableStream({ start: (stream) => stream.enqueue(Buffer.from('{')) });
    const headers = { 'content-type': 'application/json' };
    const request = server.fetch('/events', { method: 'POST', headers, body, duplex: 'half' } as RequestInit);
    request.catch(() => undefined);
    await new Promise((resolve) => setTimeout(resolve, 1000));
    server.signal('SIGTERM');
    expect(await server.exit).toBe(6);
  });
});

describe.each([
  ['gateway', 'throw'],
  ['interactive', 'throw'],
  ['interactive', 'exit'],
  ['ingest', 'throw'],
  ['ingest', 'exit'],
  ['transfer', 'throw'],
  ['transfer', 'exit'],
] as const)('a %s thread that ends (%s)', (thread, action) => {
  it('is replaced, and said; the server goes on and no click is lost', async () => {
    const server = await startServer({ DATABASE_URL: database.url, GATEWAY_THREADS: '2', ...WITH_FAULTS });
    const url = await createUrl(server);
    const load = startLoad(server.port, [url.short_code], 4);
    for (let round = 0; round < 2; round += 1) {
      const before = load.total();
      await eventually(() => load.total() > before + 100);
      const restarts = await eventually(() => restartsOf(server));
      await eventually(async () => {
        // A thread that is only just starting does not hear it yet; one that is missing is left to come back.
        const now = await restartsOf(server);
        if (now === undefined || now > restarts) return now !== undefined;
        server.fault({ thread, action });
        await new Promise((resolve) => setTimeout(resolve, 300));
        return false;
      });
      await eventually(async () => {
        const answers = await Promise.all([
          server.fetch('/users?page=1&per_page=1').then((response) => response.status),
          server.fetch('/users').then((response) => response.status),
        ]).catch(() => [0]);
        return answers.every((status) => status === 200);
      });
    }
    await load.stop();
    const metrics = await (await server.fetch('/metrics')).text();
    expect(metrics).toContain('switchyard_threads{kind="gateway"} 2\n');
    expect(metrics).toMatch(/^switchyard_clicks_lost_total 0$/m);
    // A connection that was cut may have been answered: the visitor does not know, the journal does.
    const broken = load.statuses.get(0) ?? 0;
    await eventually(async () => (await clicksOf(url)) >= load.total());
    expect(await clicksOf(url)).toBeLessThanOrEqual(load.total() + broken);
    // Only a gateway's end is felt; while there is no interactive worker, a first miss has to be refused.
    const felt = { gateway: [0, 302, 503], interactive: [302, 503], ingest: [302], transfer: [302] }[thread];
    expect(felt).toEqual(expect.arrayContaining([...load.statuses.keys()]));
    expect(
      server.logs.some((entry) => entry.levelname === 'ERROR' && /ended|failed/.test(entry.message)),
    ).toBe(true);
    expect(await server.stop()).toBe(0);
  });
});

describe('a worker thread that dies while it starts', () => {
  it.each(['ingest', 'interactive', 'transfer'] as const)('%s: is replaced all the same', async (thread) => {
    const server = await startServer({ DATABASE_URL: database.url, ...WITH_FAULTS });
    const url = await createUrl(server);
    // One after the other, so that most of them find a thread that has only just been started.
    for (let round = 0; round < 20; round += 1) {
      server.fault({ thread, action: 'exit' });
      await new Promise((resolve) => setTimeout(resolve, 15));
    }
    await eventually(async () => (await server.fetch(`/${url.short_code}`)).status === 302);
    await eventually(async () => (await clicksOf(url)) === 1);
    await eventually(async () => (await server.fetch('/users?page=1&per_page=2000')).status === 200);
    expect(await server.stop()).toBe(0);
  });
});

/** Threads that were replaced; `undefined` while nobody answers. */
async function restartsOf(server: TestServer): Promise<number | undefined> {
  const metrics = await server
    .fetch('/metrics')
    .then((response) => response.text())
    .catch(() => '');
  const values = [...metrics.matchAll(/^switchyard_thread_restarts_total\{kind="\w+"\} (\d+)$/gm)];
  return values.length === 0 ? undefined : values.reduce((sum, match) => sum + Number(match[1]), 0);
}

describe('a bad start', () => {
  it.each([
    ['PORT', 'abc', /^switchyard: PORT must be an integer from 0 to 65535, not "abc"\n$/],
    ['DATABASE_POOL_MAX', '2', /^switchyard: DATABASE_POOL_MAX must be an integer from 3 to 200, not "2"\n$/],
    [
      'LOG_LEVEL',
      'loud',
      /^switchyard: LOG_LEVEL must be one of trace, debug, info, warn, error, fatal, silent, not "loud"\n$/,
    ],
    ['DATABASE_URL', 'mysql://x', /^switchyard: DATABASE_URL must be a postgresql:\/\/ URL\n$/],
    ['SEED_ON_BOOT', 'perhaps', /^switchyard: SEED_ON_BOOT must be true or false, not "perhaps"\n$/],
  ])('with %s=%s ends with one line', async (name, value, line) => {
    const { code, stderr } = await runServer({ DATABASE_URL: database.url, [name]: value });
    expect(stderr).toMatch(line);
    expect(code).toBe(2);
  });

  it('with a taken port ends with one line', async () => {
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    const { port } = other.address() as { port: number };
    const { code, stderr } = await runServer({ DATABASE_URL: database.url, PORT: String(port) });
    other.close();
    expect(stderr).toBe(`switchyard: can't listen on 127.0.0.1:${port}: the port is taken\n`);
    expect(code).toBe(4);
  });

  it('beside another server on the same port ends with one line, however many gateways there are', async () => {
    const server = await startServer({ DATABASE_URL: database.url, GATEWAY_THREADS: '2' });
    const { code } = await runServer({
      DATABASE_URL: database.url,
      PORT: String(server.port),
      GATEWAY_THREADS: '2',
    });
    expect(code).toBe(4);
    expect(await server.stop()).toBe(0);
  });

  it('with a wrong password ends with one line that does not tell it', async () => {
    const url = database.url.replace(/:[^:@]+@/, ':not-the-password@');
    const { code, stderr } = await runServer({ DATABASE_URL: url });
    expect(stderr).toMatch(/^switchyard: password authentication failed for user "switchyard"\n$/);
    expect(code).toBe(3);
  });

  it('with a data folder that is none ends with one line', async () => {
    const { code, stderr } = await runServer({ DATABASE_URL: database.url, DATA_DIR: '/dev/null/data' });
    expect(stderr).toMatch(/^switchyard: DATA_DIR=\/dev\/null\/data can't be used: .*ENOTDIR.*\n$/);
    expect(code).toBe(5);
  });

  it('with a CSV folder that is none ends with one line', async () => {
    const empty = await createDatabase();
    const { code, stderr } = await runServer({
      DATABASE_URL: empty.url,
      SEED_ON_BOOT: 'true',
      CSV_DIR: '/nowhere',
    });
    await empty.drop();
    expect(stderr).toMatch(/^switchyard: CSV_DIR has no users\.csv: \/nowhere\/users\.csv does not exist\n$/);
    expect(code).toBe(2);
  });
});
