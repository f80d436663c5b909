import { readdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { bodyOf } from '../support/clients/api-client.js';
import { createDatabase, type TestDatabase } from '../support/database/database.js';
import { makeFolder } from '../support/machine/folders.js';
import { eventually } from '../support/machine/wait.js';
import { type ServerEnvironment, startServer, type TestServer } from '../support/server/server.js';
import { click } from '../support/server/suite.js';

let database: TestDatabase;
let folder: string;
let environment: ServerEnvironment;

beforeEach(async () => {
  database = await createDatabase();
  folder = makeFolder('fall-back');
  environment = {
    DATABASE_URL: database.url,
    DATA_DIR: folder,
    GATEWAY_THREADS: '1',
    CALL_DEADLINE_MS: '20000',
    CLICK_JOURNAL_SEGMENT_MS: '200',
  };
});

afterEach(async () => {
  await database.drop();
  rmSync(folder, { recursive: true, force: true });
});

async function make(server: TestServer, code: string, target: string): Promise<number> {
  const body = bodyOf(await server.post('/urls', { original_url: target, short_code: code }), 201);
  return body.id;
}

async function clickTimes(server: TestServer, code: string, times: number): Promise<void> {
  for (let count = 0; count < times; count += 1) await click(server, code);
}

/** Each link's counter and events, by its target. */
async function counts(): Promise<Record<string, string>> {
  const rows = await database.query<{ target: string; counts: string }>(
    `SELECT original_url AS target,
            click_count || '/' || (SELECT count(*) FROM events WHERE url_id = u.id AND event_type = 'click') AS counts FROM short_urls AS u`,
  );
  return Object.fromEntries(rows.map(({ target, counts }) => [target, counts]));
}

async function metric(server: TestServer, name: string): Promise<number> {
  const text = await (await server.fetch('/metrics')).text();
  return Number(new RegExp(`^${name} (\\d+)`, 'm').exec(text)?.[1] ?? Number.NaN);
}

const kept = (server: TestServer): Promise<number> => metric(server, 'switchyard_journal_kept_bytes');

function segments(): number {
  return readdirSync(path.join(folder, 'journal'), { recursive: true, encoding: 'utf8' }).filter((name) =>
    name.endsWith('.clicks'),
  ).length;
}

describe('segments that are kept', () => {
  it('count no click again, whether their server was aborted or stopped, and go when their time is over', async () => {
    const target = 'https://example.com/';
    const first = await startServer(environment);
    await make(first, 'one', target);
    await clickTimes(first, 'one', 50);
    await eventually(async () => (await counts())[target] === '50/50' && (await kept(first)) > 0);
    first.signal('SIGABRT');
    await first.exit;
    const second = await startServer(environment);
    await clickTimes(second, 'one', 10);
    await eventually(async () => (await counts())[target] === '60/60' && (await kept(second)) > 50 * 8);
    expect(await second.stop()).toBe(0);
    expect(segments()).toBeGreaterThan(1);
    const third = await startServer({ ...environment, CLICK_JOURNAL_KEEP_SECONDS: '1' });
    await eventually(async () => (await kept(third)) === 0 && segments() <= 2);
    expect(await metric(third, 'switchyard_journal_rewinds_total')).toBe(0);
    await clickTimes(third, 'one', 5);
    await eventually(async () => (await counts())[target] === '65/65');
    await eventually(async () => (await kept(third)) > 0);
    await eventually(async () => (await kept(third)) === 0);
    expect(await third.stop()).toBe(0);
    expect(await counts()).toEqual({ [target]: '65/65' });
  });
});

describe('a database that is emptied under a running server', () => {
  it('gives a link that is made again, with the id and the code of one that is gone, its own clicks alone', async () => {
    const server = await startServer(environment);
    const [old, again] = ['https://example.com/old', 'https://example.com/again'];
    const id = await make(server, 'one', old);
    await clickTimes(server, 'one', 40);
    await eventually(async () => (await counts())[old] === '40/40' && (await kept(server)) > 0);
    await database.query('TRUNCATE users, short_urls, events, journal_checkpoints RESTART IDENTITY CASCADE');
    expect(await make(server, 'one', again)).toBe(id);
    await clickTimes(server, 'one', 7);
    await eventually(async () => (await metric(server, 'switchyard_clicks_dropped_total')) === 40);
    await eventually(async () => (await counts())[again] === '7/7');
    expect(await metric(server, 'switchyard_journal_rewinds_total')).toBe(1);
    expect(await metric(server, 'switchyard_clicks_lost_total')).toBe(0);
    expect(
      server.logs.some(({ message }) => message.includes('has fallen back in time: it lacks 40 clicks')),
    ).toBe(true);
    expect(await server.stop()).toBe(0);
    expect(await counts()).toEqual({ [again]: '7/7' });
  });
});
