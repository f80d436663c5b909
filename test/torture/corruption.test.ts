import { existsSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startLoad } from '../support/clients/load.js';
import { TestCluster } from '../support/database/cluster.js';
import { makeFolder } from '../support/machine/folders.js';
import { eventually } from '../support/machine/wait.js';
import { startServer } from '../support/server/server.js';
import { click, createUrl } from '../support/server/suite.js';
import { countClicks, Random, report, rounds, Seen, seed, timeout, totalOf } from './torture.js';

let cluster: TestCluster;
let dataDir: string;

beforeEach(async () => {
  cluster = await TestCluster.start();
  dataDir = makeFolder('corruption');
});

afterEach(async () => {
  await cluster.remove();
  rmSync(dataDir, { recursive: true, force: true });
});

function segments(): string[] {
  const root = path.join(dataDir, 'journal');
  return readdirSync(root).flatMap((server) =>
    readdirSync(path.join(root, server))
      .filter((name) => name.endsWith('.clicks'))
      .map((name) => path.join(root, server, name)),
  );
}

describe(`a journal that was damaged while no server ran (seed ${seed})`, () => {
  const times = rounds(2, 40);

  it(
    `${times} times: the server says what it can’t read, invents nothing, and ingests the rest`,
    timeout(times, 20),
    async () => {
      const random = new Random('corruption');
      const seen = new Seen();
      const environment = { DATABASE_URL: cluster.url, DATA_DIR: dataDir, CLICK_JOURNAL_KEEP_SECONDS: '0' };
      const first = await startServer(environment);
      const urls = await Promise.all(Array.from({ length: 10 }, () => createUrl(first)));
      const codes = urls.map((url) => url.short_code);
      for (const code of codes) await click(first, code);
      await first.stop();
      let damages = 0;
      for (let time = 0; time < times; time += 1) {
        const server = await startServer({ ...environment, CLICK_JOURNAL_SEGMENT_BYTES: '8192' });
        for (const code of codes) await server.fetch(`/${code}`, { method: 'HEAD' });
        // Without PostgreSQL, the clicks stay where they can be damaged.
        await cluster.stop('fast');
        const load = startLoad(server.port, codes, 8);
        await eventually(() => load.total() > 300);
        await load.stop();
        seen.add(load);
        await server.kill();
        for (const file of segments()) {
          if (random.next() < 0.4) continue;
          damages += 1;
          const bytes = readFileSync(file);
          if (random.next() < 0.3) {
            truncateSync(file, random.between(0, bytes.length));
          } else {
            for (let change = 0; change < 3; change += 1)
              bytes[random.between(0, bytes.length - 1)] = random.between(0, 255);
            writeFileSync(file, bytes);
          }
        }
        await cluster.restart();
        const damaged = segments();
        const next = await startServer(environment);
        // The living server has segments of its own.
        const left = (): string[] => damaged.filter((file) => existsSync(file));
        await eventually(
          () => left().length === 0,
          30_000,
          () => `the ingest of ${left().join(', ')}`,
        );
        expect(await next.stop()).toBe(0);
      }
      const database = await cluster.connect();
      const counted = await countClicks(database);
      await database.drop();
      const answered = seen.total + codes.length;
      const clicks = totalOf(counted);
      report({
        run: 'bytes flipped, files cut (segments damaged)',
        faults: damages,
        redirects: answered,
        unknown: seen.broken,
        clicks,
        lost: answered - clicks,
        twice: Math.max(0, clicks - answered),
      });
      expect(damages).toBeGreaterThan(0);
      for (const code of codes) {
        const { counter, events } = counted.get(code) ?? { counter: -1, events: -2 };
        expect(counter).toBe(events);
        // One before the damage began; never more than were answered.
        expect(events).toBeGreaterThanOrEqual(1);
        expect(events).toBeLessThanOrEqual(seen.of(code) + 1);
      }
      // What was damaged is still there to be looked at.
      const kept = readdirSync(path.join(dataDir, 'journal')).flatMap((server) =>
        readdirSync(path.join(dataDir, 'journal', server)),
      );
      expect(kept.some((name) => name.endsWith('.damaged'))).toBe(true);
    },
  );
});
