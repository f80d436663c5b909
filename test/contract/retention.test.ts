import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Event, Statistics, Url, User } from '../support/clients/answers.js';
import { settled, statisticsOf } from '../support/clients/statistics.js';
import { createDatabase, type TestDatabase } from '../support/database/database.js';
import { removed, wrongCounters } from '../support/database/retention.js';
import { eventually } from '../support/machine/wait.js';
import { startServer, type TestServer } from '../support/server/server.js';
import { createUrl, createUser } from '../support/server/suite.js';

const DAYS = 10;
const FACTS = 'country,referrer,browser,os,device';
let database: TestDatabase;
let server: TestServer;
let owner: User;
let links: Url[];

const ranges: readonly Readonly<Record<string, string>>[] = [
  { from: '2025-10-20', to: '2025-11-10', interval: 'hour', timezone: 'America/St_Johns' },
  { from: '2024-12-01', to: '2027-02-01', interval: 'month', timezone: 'Asia/Kathmandu' },
  { interval: 'day', timezone: 'Australia/Lord_Howe' },
  {},
];

/** Statistics of all links and of each, but for their times of now. */
async function answers(): Promise<unknown[]> {
  await settled(database);
  const found: unknown[] = [];
  for (const range of ranges) {
    const paths = links.map(({ id }) => `/urls/${id}/stats` as const);
    for (const path of ['/stats', ...paths] as const) {
      const by = path === '/stats' ? `${FACTS},code` : FACTS;
      const {
        as_of: _,
        from,
        to,
        ...answer
      } = await statisticsOf(server, path, { ...range, by, limit: '100' });
      found.push({ path, range, ...answer, series: withoutZeros(answer.series) });
    }
  }
  return found;
}

/** Intervals up to now move between two answers; what is counted does not. */
function withoutZeros(series: Statistics['series']): Statistics['series'] {
  return series.filter(({ clicks, previews }) => clicks > 0 || previews > 0);
}

async function clickCounts(): Promise<number[]> {
  return Promise.all(links.map(async ({ id }) => (await server.get(`/urls/${id}`)).click_count));
}

async function metrics(): Promise<(name: string) => number> {
  const text = await (await server.fetch('/metrics')).text();
  return (name) => Number(new RegExp(`^switchyard_retention_${name} (.*)$`, 'm').exec(text)?.[1]);
}

let startedAt: number;
let before: { statistics: unknown[]; counts: number[] };
let kept: Event[];
let old: Event | undefined;

beforeAll(async () => {
  database = await createDatabase();
  server = await startServer({ DATABASE_URL: database.url });
  owner = await createUser(server);
  links = [];
  for (const fields of [{}, { user_id: owner.id }, { user_id: owner.id }]) {
    links.push(await createUrl(server, { original_url: 'https://example.com/', ...fields }));
  }
  // Every ten hours back to two years ago, and some of a while ago; with facts, with none, and odd ones.
  await database.query(
    `INSERT INTO events (url_id, user_id, event_type, "timestamp", details)
     SELECT CASE WHEN n % 11 = 10 THEN NULL ELSE ($1::bigint[])[1 + n % 3] END, $2, type,
            (now() AT TIME ZONE 'utc') - n * interval '601 minutes',
            CASE n % 4 WHEN 0 THEN '{}' WHEN 1 THEN '{"country":"DE","browser":"Firefox","short_code":"a"}'
                       WHEN 2 THEN '{"country":null,"referrer":"https://example.com/\\u00e4","os":"Linux"}'
                       ELSE '{"browser":"\\u0000","device":"phone"}' END::json
     FROM generate_series(0, 1800) AS n,
          unnest(CASE WHEN n % 5 = 4 THEN ARRAY['preview', 'noted'] WHEN n % 7 = 6 THEN ARRAY['click', 'click']
                      ELSE ARRAY['click'] END) AS type`,
    [links.map(({ id }) => id), owner.id],
  );
  await database.query(
    `INSERT INTO events (url_id, event_type, "timestamp") VALUES ($1, 'click', '-infinity'), (NULL, 'click', '2020-01-01')`,
    [links[0]?.id],
  );
  await database.query(
    `UPDATE short_urls SET click_count =
       (SELECT count(*) FROM events WHERE url_id = short_urls.id AND event_type = 'click')`,
  );
  before = { statistics: await answers(), counts: await clickCounts() };
  [old] = await server.get(`/events?event_type=click&url_id=${links[0]?.id}&page=100&per_page=5`);
  kept = await database.query(
    `SELECT id FROM events WHERE event_type NOT IN ('click', 'preview')
       OR "timestamp" > now() AT TIME ZONE 'utc' - interval '${DAYS} days' ORDER BY id`,
  );
  const { dataDir } = server;
  await server.kill();
  startedAt = Date.now() / 1000;
  server = await startServer({
    DATABASE_URL: database.url,
    DATA_DIR: dataDir,
    EVENTS_RETENTION_DAYS: String(DAYS),
  });
  await removed(database, DAYS);
}, 120_000);

afterAll(async () => {
  await server?.stop();
  await database?.drop();
});

describe('EVENTS_RETENTION_DAYS', () => {
  it('removes clicks and previews that are older, and no other event', async () => {
    const left = await database.query(
      `SELECT id FROM events WHERE event_type NOT IN ('click', 'preview')
         OR "timestamp" > now() AT TIME ZONE 'utc' - interval '${DAYS} days' ORDER BY id`,
    );
    expect(left.length).toBeGreaterThan(300);
    expect(left).toEqual(kept);
    const metric = await metrics();
    expect(metric('days')).toBe(DAYS);
    expect(metric('removed_total')).toBeGreaterThan(1500);
    expect(metric('failures_total')).toBe(0);
    expect(metric('last_run_timestamp_seconds')).toBeGreaterThan(startedAt);
  });

  it('makes a removed event 404', async () => {
    const gone = { status: 404, body: { error: 'Event not found' } };
    expect(await server.json(`/events/${old?.id}`)).toEqual(gone);
    expect(await server.json(`/events/${old?.id}`, { method: 'DELETE' })).toEqual(gone);
  });

  it('leaves statistics and counters as they were', async () => {
    expect(await answers()).toEqual(before.statistics);
    expect(await clickCounts()).toEqual(before.counts);
    expect(await wrongCounters(database)).toEqual([]);
  });

  it('leaves them as they were when the sums are made anew', async () => {
    await database.query('UPDATE stats_state SET is_whole = false');
    expect(await answers()).toEqual(before.statistics);
  });

  it('counts what is new on top', async () => {
    const [count] = await clickCounts();
    await server.post('/events', { event_type: 'click', url_id: links[0]?.id });
    expect((await clickCounts())[0]).toBe((count ?? 0) + 1);
    await settled(database);
    const { clicks } = await statisticsOf(server, `/urls/${links[0]?.id}/stats`, { from: '2000-01-01' });
    expect(clicks).toBe(count);
  });

  it('keeps a removed click on its link when the user who made it is deleted, and takes off a later one', async () => {
    const user = await createUser(server);
    await database.query(`INSERT INTO events (url_id, user_id, event_type) VALUES ($1, $2, 'click')`, [
      links[0]?.id,
      user.id,
    ]);
    const [count = 0] = await clickCounts();
    expect((await server.json(`/users/${user.id}`, { method: 'DELETE' })).status).toBe(204);
    expect((await clickCounts())[0]).toBe(count - 1);
    expect(await wrongCounters(database)).toEqual([]);
  });

  it('says that it fails, and removes nothing then', async () => {
    await database.query(
      `INSERT INTO events (url_id, event_type, "timestamp") VALUES (NULL, 'click', '2025-01-01')`,
    );
    await database.query('ALTER TABLE dropped_events RENAME TO away');
    const { dataDir } = server;
    await server.kill();
    server = await startServer({ DATABASE_URL: database.url, DATA_DIR: dataDir, EVENTS_RETENTION_DAYS: '1' });
    await eventually(() =>
      server.logs.some(({ message }) => message.startsWith('old events are not removed: ')),
    );
    await database.query('ALTER TABLE away RENAME TO dropped_events');
    expect((await metrics())('failures_total')).toBeGreaterThan(0);
    expect(await database.query(`SELECT FROM events WHERE "timestamp" = '2025-01-01'`)).toHaveLength(1);
  });
});
