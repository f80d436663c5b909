import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startLoad } from '../support/clients/load.js';
import { settled, statisticsOf } from '../support/clients/statistics.js';
import { createDatabase, type TestDatabase } from '../support/database/database.js';
import { EVENTS_EVER, endNewestChunk, removed, wrongCounters } from '../support/database/retention.js';
import { eventually } from '../support/machine/wait.js';
import { startServer, type TestServer } from '../support/server/server.js';
import { Random, rounds, seed, timeout } from './torture.js';

const DAYS = 30;
const OLD_GO = { EVENTS_RETENTION_DAYS: String(DAYS) };
const NONE_STAY = { CLICK_EVENTS: 'off', CLICK_DETAILS: 'basic' };
const LINKS = 20;
let database: TestDatabase;
let server: TestServer | undefined;
let dataDir: string | undefined;

async function start(settings: Readonly<Record<string, string>>): Promise<TestServer> {
  server = await startServer({
    DATABASE_URL: database.url,
    ...settings,
    ...(dataDir === undefined ? {} : { DATA_DIR: dataDir }),
  });
  dataDir = server.dataDir;
  return server;
}

/** Clicks and previews by link, quarter of an hour and facts. */
function counts(source: string): Promise<unknown[]> {
  return database.query(
    `SELECT url_id, event_type, date_bin('15 minutes', "timestamp", '2000-01-01') AS slot, details ->> 'country' AS country,
            count(*) AS n
     FROM ${source} AS e WHERE event_type IN ('click', 'preview') GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4`,
  );
}

async function dropped(): Promise<number> {
  const [row] = await database.query<{ n: number }>(
    'SELECT coalesce(sum(clicks + previews), 0)::integer AS n FROM dropped_events',
  );
  return row?.n ?? 0;
}

/** Events that are still to be removed. */
async function old(): Promise<number> {
  const [row] = await database.query<{ n: number }>(
    `SELECT count(*)::integer AS n FROM events
     WHERE event_type IN ('click', 'preview') AND "timestamp" < now() AT TIME ZONE 'utc' - interval '${DAYS} days 3 hours'`,
  );
  return row?.n ?? 0;
}

beforeEach(async () => {
  database = await createDatabase();
});
afterEach(async () => {
  await server?.stop();
  server = undefined;
  dataDir = undefined;
  await database?.drop();
});

describe(`events removed by servers that are killed (seed ${seed})`, () => {
  const kills = rounds(3, 100);
  const random = new Random('retention');

  it(`${kills} times: each is in the counts once`, timeout(kills, 15), async () => {
    const events = Math.max(20_000, kills * 5000);
    await database.query(
      `INSERT INTO short_urls (original_url, short_code) SELECT 'https://example.com/', 'c' || n FROM generate_series(1, ${LINKS}) AS n`,
    );
    await database.query(
      `INSERT INTO events (url_id, event_type, "timestamp", details)
       SELECT 1 + (n * 7919) % ${LINKS}, (ARRAY['click', 'click', 'preview', 'noted'])[1 + n % 4],
              now() AT TIME ZONE 'utc' - n % 90 * interval '1 day' - n % 4 * interval '15 minutes', json_build_object('country', (ARRAY['DE', 'FR'])[1 + n % 3])
       FROM generate_series(1, ${events}) AS n`,
    );
    await database.query(
      `UPDATE short_urls SET click_count =
         (SELECT count(*) FROM events WHERE url_id = short_urls.id AND event_type = 'click')`,
    );
    const before = await counts('events');
    let cutShort = 0;
    for (let kill = 1; kill <= kills; kill += 1) {
      const was = await dropped();
      const running = await start(OLD_GO);
      await eventually(
        async () => (await dropped()) > was || (await old()) === 0,
        30_000,
        'a piece to be removed',
      );
      await sleep(random.between(0, 50));
      await running.kill();
      expect(await wrongCounters(database), `after kill ${kill}`).toEqual([]);
      if ((await old()) > 0) cutShort += 1;
    }
    expect(cutShort, 'kills in the midst of a round').toBeGreaterThan(0);
    const last = await start(OLD_GO);
    await removed(database, DAYS);
    expect(await counts(EVENTS_EVER)).toEqual(before);
    await settled(database);
    const [row] = await database.query(
      `SELECT count(*) FILTER (WHERE event_type = 'click')::integer AS clicks,
              count(*) FILTER (WHERE event_type = 'preview')::integer AS previews FROM ${EVENTS_EVER} AS e`,
    );
    const from = new Date(Date.now() - 100 * 86_400_000).toISOString();
    expect(await statisticsOf(last, '/stats', { from })).toMatchObject(row as object);
  });
});

describe(`clicks that are not kept, with servers that are killed (seed ${seed})`, () => {
  const kills = rounds(2, 100);
  const random = new Random('clicks that are not kept');

  it(`${kills} times: each is counted once, and none stays`, timeout(kills, 30), async () => {
    const codes = Array.from({ length: LINKS }, (_, index) => `c${index}`);
    await database.query(
      `INSERT INTO short_urls (original_url, short_code) SELECT 'https://example.com/', unnest($1::text[])`,
      [codes],
    );
    // Chunks end all the time, while clicks come in.
    let answered = 0;
    let unknown = 0;
    for (let kill = 1; kill <= kills; kill += 1) {
      const was = await dropped();
      const running = await start(NONE_STAY);
      const load = startLoad(running.port, codes, 8, 1);
      await eventually(
        async () => {
          await endNewestChunk(database);
          return (await dropped()) > was;
        },
        60_000,
        'a chunk to be emptied',
      );
      await sleep(random.between(0, 1000));
      await running.kill();
      await load.stop();
      answered += load.total();
      unknown += 8;
      expect(await wrongCounters(database), `after kill ${kill}`).toEqual([]);
    }
    const last = await start(NONE_STAY);
    await eventually(
      async () => {
        await endNewestChunk(database);
        const [row] = await database.query<{ n: number }>(
          'SELECT sum(click_count)::integer AS n FROM short_urls',
        );
        return (await dropped()) >= answered && (await dropped()) === row?.n;
      },
      60_000,
      `${answered} clicks to be counted, and their events to be gone`,
    );
    const clicks = await dropped();
    expect(clicks).toBeLessThanOrEqual(answered + unknown);
    expect(await wrongCounters(database)).toEqual([]);
    await settled(database);
    expect(await statisticsOf(last, '/stats')).toMatchObject({ clicks, previews: 0 });
    const made = await statisticsOf(last, '/urls/1/stats', { by: 'device' });
    const [row] = await database.query<{ n: number }>(
      'SELECT click_count::integer AS n FROM short_urls WHERE id = 1',
    );
    expect(made).toMatchObject({ clicks: row?.n, by: { device: [{ clicks: row?.n }] } });
  });
});
