import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Event, Url, User } from '../support/clients/answers.js';
import { countBySql, counted, settled, statisticsOf } from '../support/clients/statistics.js';
import { createDatabase, type TestDatabase } from '../support/database/database.js';
import { EVENTS_EVER, endNewestChunk, wrongCounters } from '../support/database/retention.js';
import { eventually } from '../support/machine/wait.js';
import { run } from '../support/server/program.js';
import { startServer, type TestServer } from '../support/server/server.js';
import { click, createUrl, createUser } from '../support/server/suite.js';

const FACTS = 'country,referrer,browser,os,device';
const BROWSER = { 'user-agent': 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0' };
let database: TestDatabase;
let server: TestServer;
/** One that would keep clicks. */
let keeping: TestServer;
let owner: User;
let links: Url[];

async function clickCounts(): Promise<number[]> {
  return Promise.all(links.map(async ({ id }) => (await server.get(`/urls/${id}`)).click_count));
}

async function clicksLeft(): Promise<number> {
  const [row] = await database.query<{ n: number }>(
    `SELECT count(*)::integer AS n FROM events WHERE event_type IN ('click', 'preview')`,
  );
  return row?.n ?? -1;
}

/** Until every click has been counted, and its event is gone. */
async function gone(clicks: number): Promise<void> {
  await eventually(
    async () =>
      (await clickCounts()).reduce((sum, one) => sum + one, 0) === clicks && (await clicksLeft()) === 0,
    60_000,
    'the events of clicks to be gone',
  );
}

/** Statistics of all links and of each are what a count by SQL says. */
async function compare(): Promise<void> {
  await settled(database);
  const from = new Date(Date.now() - 3_600_000).toISOString();
  for (const interval of ['minute', 'hour']) {
    const ofLinks = links.map(({ id }) => [`/urls/${id}/stats`, FACTS, counted.link(id)] as const);
    for (const [path, by, condition] of [['/stats', `${FACTS},code`, counted.all] as const, ...ofLinks]) {
      const answer = await statisticsOf(server, path, { from, interval, by, limit: '100' });
      const { expected, given } = await countBySql(database, answer, condition, EVENTS_EVER);
      expect(given).toEqual(expected);
    }
  }
}

beforeAll(async () => {
  database = await createDatabase();
  server = await startServer({ DATABASE_URL: database.url, CLICK_EVENTS: 'off', CLICK_DETAILS: 'basic' });
  keeping = await startServer({ DATABASE_URL: database.url });
  owner = await createUser(server);
  links = [];
  for (const fields of [{}, { user_id: owner.id }, {}]) links.push(await createUrl(server, fields));
  for (const [index, { short_code }] of links.entries()) {
    for (let n = 0; n < 10 * (index + 1); n += 1) {
      const headers = n % 5 === 4 ? { 'sec-purpose': 'prefetch' } : n % 2 ? {} : BROWSER;
      await server.fetch(`/${short_code}`, { headers: headers as Record<string, string> });
    }
  }
}, 60_000);

afterAll(async () => {
  await server?.stop();
  await keeping?.stop();
  await database?.drop();
});

describe('CLICK_EVENTS=off', { timeout: 120_000 }, () => {
  it('counts clicks, keeps statistics exact, and keeps no event of a click', async () => {
    await eventually(async () => {
      const [row] = await database.query<{
        n: number;
      }>(`SELECT count(*)::integer AS n FROM ${EVENTS_EVER} AS e
                                                         WHERE event_type IN ('click', 'preview')`);
      return row?.n === 60;
    });
    await compare();
    await gone(48);
    expect(await clickCounts()).toEqual([8, 16, 24]);
    await compare();
    expect(await wrongCounters(database)).toEqual([]);
    // The tables of their chunks are gone; what else happened stands in one.
    const full = await database.query<{ name: string }>(
      `SELECT name FROM event_chunks(), events_id_seq WHERE end_id <= last_value`,
    );
    expect(full).toEqual([{ name: 'events_from_0' }]);
    const events: Event[] = await server.get('/events?per_page=100');
    expect(events.map(({ event_type }) => event_type)).toEqual(['created', 'created', 'created']);
    expect(await server.get(`/events?event_type=click&url_id=${links[0]?.id}`)).toEqual([]);
  });

  it('leaves nothing for reconcile to find, and lists by clicks as they are', async () => {
    const ended = await run(process.execPath, ['dist/src/cli/main.js', 'reconcile'], {
      env: { PATH: process.env.PATH, DATABASE_URL: database.url },
    });
    expect(ended).toEqual({ code: 0, output: '3 links compared, 0 counters wrong\n' });
    const listed: Url[] = await server.get('/urls?sort=-click_count');
    expect(listed.map(({ click_count }) => click_count)).toEqual([24, 16, 8]);
  });

  it('takes clicks off with their link, and none with the user who made them', async () => {
    const user = await createUser(server);
    const link = await createUrl(server, { user_id: owner.id });
    const before = (await clickCounts()).reduce((sum, one) => sum + one, 0);
    links.push(link);
    for (const { id } of [links[0] as Url, link])
      await server.post('/events', { event_type: 'click', url_id: id, user_id: user.id });
    await endNewestChunk(database);
    await gone(before + 2);
    expect((await server.json(`/users/${user.id}`, { method: 'DELETE' })).status).toBe(204);
    links.pop();
    expect((await server.json(`/urls/${link.id}`, { method: 'DELETE' })).status).toBe(204);
    expect((await clickCounts()).reduce((sum, one) => sum + one, 0)).toBe(before + 1);
    await compare();
    expect(await wrongCounters(database)).toEqual([]);
  });

  it('decides for servers that would keep clicks, which say so', async () => {
    await eventually(
      () =>
        keeping.logs.some(
          ({ levelname, message }) => levelname === 'WARNING' && /CLICK_EVENTS=off removes/.test(message),
        ),
      30_000,
      'the warning of a server with CLICK_EVENTS=on',
    );
    expect(server.logs.some(({ message }) => /CLICK_EVENTS=off removes/.test(message))).toBe(false);
    const metrics = await (await server.fetch('/metrics')).text();
    expect(metrics).toMatch(/^switchyard_retention_removed_total 6\d$/m);
    expect(metrics).toMatch(/^switchyard_retention_failures_total 0$/m);
    expect(metrics).toMatch(/^switchyard_retention_days 0\.0\d+$/m);
  });

  it('is over with a start without it', async () => {
    const { dataDir } = server;
    await server.kill();
    server = await startServer({ DATABASE_URL: database.url, DATA_DIR: dataDir });
    const before = await clicksLeft();
    await click(server, links[0]?.short_code ?? '');
    await eventually(async () => (await clicksLeft()) === before + 1);
    const [event]: Event[] = await server.get(`/events?event_type=click`);
    expect(event?.url_id).toBe(links[0]?.id);
    expect(await (await server.fetch('/metrics')).text()).toMatch(/^switchyard_retention_days 0$/m);
    await compare();
    expect(await wrongCounters(database)).toEqual([]);
  });
});
