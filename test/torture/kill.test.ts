import { rmSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startLoad } from '../support/clients/load.js';
import { createDatabase, type TestDatabase } from '../support/database/database.js';
import { makeFolder } from '../support/machine/folders.js';
import { eventually } from '../support/machine/wait.js';
import { startServer, WITH_FAULTS } from '../support/server/server.js';
import { createUrl } from '../support/server/suite.js';
import { Random, report, rounds, Seen, seed, settled, timeout, totalOf, turnsAreOver } from './torture.js';

const CONNECTIONS = 16;
const LINKS = 25;

let database: TestDatabase;
let dataDir: string;

beforeEach(async () => {
  database = await createDatabase();
  dataDir = makeFolder('kill');
});

afterEach(async () => {
  await database.drop();
  rmSync(dataDir, { recursive: true, force: true });
});

async function makeCodes(environment: Record<string, string>): Promise<string[]> {
  const server = await startServer(environment);
  const urls = await Promise.all(Array.from({ length: LINKS }, () => createUrl(server)));
  await server.stop();
  return urls.map((url) => url.short_code);
}

describe(`the server killed with -9 (seed ${seed})`, () => {
  const kills = rounds(3, 50);

  it(
    `${kills} times under load: clicks are between the bounds, link by link, and counters agree`,
    timeout(kills, 10),
    async () => {
      const random = new Random('kill');
      const environment = { DATABASE_URL: database.url, DATA_DIR: dataDir, GATEWAY_THREADS: '2' };
      const codes = await makeCodes(environment);
      const seen = new Seen();
      for (let kill = 0; kill < kills; kill += 1) {
        const server = await startServer({
          ...environment,
          CLICK_JOURNAL_SEGMENT_BYTES: String(random.pick([4096, 65_536, 16_777_216])),
        });
        const load = startLoad(server.port, codes, CONNECTIONS);
        await eventually(() => load.total() > 100);
        await sleep(random.between(0, 500));
        await server.kill();
        await load.stop();
        seen.add(load);
      }
      const last = await startServer(environment);
      const slack = kills * CONNECTIONS;
      const counted = await settled(database, seen.total - slack);
      expect(await last.stop()).toBe(0);
      const clicks = totalOf(counted);
      report({
        run: `kill -9 under load, C=${CONNECTIONS}`,
        faults: kills,
        redirects: seen.total,
        unknown: seen.broken,
        clicks,
        lost: Math.max(0, seen.total - clicks),
        twice: Math.max(0, clicks - seen.total - slack),
      });
      expect(clicks).toBeGreaterThanOrEqual(seen.total - slack);
      expect(clicks).toBeLessThanOrEqual(seen.total + slack);
      for (const code of codes) {
        const { counter, events } = counted.get(code) ?? { counter: -1, events: -2 };
        expect(counter).toBe(events);
        expect(events).toBeGreaterThanOrEqual(seen.of(code) - slack);
        expect(events).toBeLessThanOrEqual(seen.of(code) + slack);
      }
    },
  );

  it(
    `${kills} times, a turn after the last answer: every click is there once`,
    timeout(kills, 10),
    async () => {
      const random = new Random('paused');
      const environment = { DATABASE_URL: database.url, DATA_DIR: dataDir, GATEWAY_THREADS: '2' };
      const codes = await makeCodes(environment);
      const seen = new Seen();
      for (let kill = 0; kill < kills; kill += 1) {
        const server = await startServer({
          ...environment,
          CLICK_INGEST_LINGER_MS: String(random.pick([0, 50, 1000])),
          CLICK_INGEST_BATCH: String(random.pick([7, 500, 20_000])),
        });
        const load = startLoad(server.port, codes, CONNECTIONS);
        await sleep(random.between(50, 400));
        await load.stop();
        seen.add(load);
        // Answered, and the turn that answered is over; whether the ingest has run is left to chance.
        await turnsAreOver(server, load.total());
        await sleep(random.between(0, 50));
        await server.kill();
      }
      const last = await startServer(environment);
      const counted = await settled(database, seen.total);
      expect(await last.stop()).toBe(0);
      report({
        run: 'kill -9 a turn after the last answer',
        faults: kills,
        redirects: seen.total,
        unknown: seen.broken,
        clicks: totalOf(counted),
        lost: seen.total - totalOf(counted),
        twice: Math.max(0, totalOf(counted) - seen.total),
      });
      for (const code of codes) {
        expect([code, counted.get(code)]).toEqual([code, { counter: seen.of(code), events: seen.of(code) }]);
      }
      expect([...seen.statuses]).toEqual([302]);
    },
  );
});

describe(`threads that end at random (seed ${seed})`, () => {
  const faults = rounds(6, 100);

  it(`${faults} times: nothing is lost, nothing counted twice`, timeout(faults, 5), async () => {
    const random = new Random('threads');
    const environment = { DATABASE_URL: database.url, DATA_DIR: dataDir, GATEWAY_THREADS: '2' };
    const codes = await makeCodes(environment);
    const server = await startServer({ ...environment, ...WITH_FAULTS });
    const load = startLoad(server.port, codes, CONNECTIONS);
    for (let fault = 0; fault < faults; fault += 1) {
      await sleep(random.between(20, 300));
      const thread = random.pick(['ingest', 'ingest', 'interactive', 'gateway'] as const);
      server.fault({
        thread,
        action: thread === 'gateway' ? 'throw' : random.pick(['throw', 'exit'] as const),
      });
    }
    const before = load.total();
    await eventually(() => load.total() > before + 500);
    await load.stop();
    const seen = new Seen();
    seen.add(load);
    const counted = await settled(database, seen.total);
    const metrics = await (await server.fetch('/metrics')).text();
    expect(metrics).toMatch(/^switchyard_clicks_lost_total 0$/m);
    expect(await server.stop()).toBe(0);
    const clicks = totalOf(counted);
    report({
      run: 'gateway and worker threads ended',
      faults,
      redirects: seen.total,
      unknown: seen.broken,
      clicks,
      lost: Math.max(0, seen.total - clicks),
      twice: Math.max(0, clicks - seen.total - seen.broken),
    });
    expect(clicks).toBeLessThanOrEqual(seen.total + seen.broken);
    for (const code of codes) {
      const { counter, events } = counted.get(code) ?? { counter: -1, events: -2 };
      expect(counter).toBe(events);
      expect(events).toBeGreaterThanOrEqual(seen.of(code));
    }
  });
});
