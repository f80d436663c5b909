import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startLoad } from '../support/clients/load.js';
import { createDatabase, type TestDatabase } from '../support/database/database.js';
import { makeFolder } from '../support/machine/folders.js';
import { eventually } from '../support/machine/wait.js';
import { startServer, type TestServer } from '../support/server/server.js';
import { click, createUrl } from '../support/server/suite.js';
import { Random, report, rounds, Seen, seed, settled, timeout, totalOf, turnsAreOver } from './torture.js';

const cli = path.resolve(import.meta.dirname, '../../dist/server/cli.js');
let database: TestDatabase;
let folders: string[];

beforeEach(async () => {
  database = await createDatabase();
  folders = [makeFolder('servers'), makeFolder('servers')];
});

afterEach(async () => {
  await database.drop();
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

async function makeCodes(server: TestServer): Promise<string[]> {
  const urls = await Promise.all(Array.from({ length: 10 }, () => createUrl(server)));
  return urls.map((url) => url.short_code);
}

function expectExact(
  counted: Awaited<ReturnType<typeof settled>>,
  codes: readonly string[],
  seen: Seen,
): void {
  for (const code of codes) {
    expect([code, counted.get(code)]).toEqual([code, { counter: seen.of(code), events: seen.of(code) }]);
  }
}

describe(`several servers on one database (seed ${seed})`, () => {
  const kills = rounds(3, 40);

  it.each([
    ['one data folder', 0],
    ['a folder each', 1],
  ] as const)('%s: each click once, whichever is killed', timeout(kills, 20), async (name, second) => {
    const random = new Random(name);
    const start = (index: number): Promise<TestServer> =>
      startServer({
        DATABASE_URL: database.url,
        DATA_DIR: folders[index === 0 ? 0 : second] as string,
        CLICK_JOURNAL_KEEP_SECONDS: '0',
      });
    const servers = [await start(0), await start(1)];
    const codes = await makeCodes(servers[0] as TestServer);
    const seen = new Seen();
    const answered = [0, 0];
    for (let kill = 0; kill < kills; kill += 1) {
      const loads = servers.map((server) => startLoad(server.port, codes, 6));
      await eventually(() => loads.every((load) => load.total() > 80));
      await sleep(random.between(0, 200));
      for (const load of loads) await load.stop();
      for (const load of loads) seen.add(load);
      const victim = random.between(0, 1);
      for (const [index, load] of loads.entries()) answered[index] = (answered[index] ?? 0) + load.total();
      await turnsAreOver(servers[victim] as TestServer, answered[victim] ?? 0);
      await sleep(random.between(0, 50));
      await (servers[victim] as TestServer).kill();
      servers[victim] = await start(victim);
      answered[victim] = 0;
    }
    const counted = await settled(database, seen.total);
    // The folders of the dead are removed by the living.
    const journalFolders = (): string[] =>
      folders.slice(0, second + 1).flatMap((folder) => readdirSync(path.join(folder, 'journal')));
    await eventually(() => journalFolders().length === servers.length);
    for (const server of servers) expect(await server.stop()).toBe(0);
    report({
      run: `two servers, ${name}, killed in turn`,
      faults: kills,
      redirects: seen.total,
      unknown: seen.broken,
      clicks: totalOf(counted),
      lost: seen.total - totalOf(counted),
      twice: Math.max(0, totalOf(counted) - seen.total),
    });
    expectExact(counted, codes, seen);
    expect(journalFolders()).toEqual([]);
  });

  it('a server that never comes back: another one on its folder takes over while it runs', {
    timeout: 120_000,
  }, async () => {
    const [folder = ''] = folders;
    const environment = { DATABASE_URL: database.url, DATA_DIR: folder };
    const doomed = await startServer({ ...environment, CLICK_INGEST_LINGER_MS: '1000' });
    const survivor = await startServer(environment);
    const codes = await makeCodes(doomed);
    const load = startLoad(doomed.port, codes, 8);
    await eventually(() => load.total() > 500);
    await load.stop();
    await turnsAreOver(doomed, load.total());
    await doomed.kill();
    const seen = new Seen();
    seen.add(load);
    const counted = await settled(database, seen.total);
    report({
      run: 'a server that never comes back, its folder adopted',
      faults: 1,
      redirects: seen.total,
      unknown: seen.broken,
      clicks: totalOf(counted),
      lost: 0,
      twice: Math.max(0, totalOf(counted) - seen.total),
    });
    expectExact(counted, codes, seen);
    // A reader of events on the survivor is not held up by the dead.
    expect((await survivor.fetch('/events?page=1&per_page=1')).headers.get('x-clicks-pending')).toBeNull();
    expect(await survivor.stop()).toBe(0);
  });

  it('a server that never comes back, with nobody else on its folder: the tool takes its journals in', {
    timeout: 120_000,
  }, async () => {
    const [folder = '', other = ''] = folders;
    const doomed = await startServer({
      DATABASE_URL: database.url,
      DATA_DIR: folder,
      CLICK_INGEST_LINGER_MS: '1000',
    });
    const survivor = await startServer({ DATABASE_URL: database.url, DATA_DIR: other });
    const codes = await makeCodes(doomed);
    for (const code of codes) await click(doomed, code);
    const load = startLoad(doomed.port, codes, 8);
    await eventually(() => load.total() > 500);
    await load.stop();
    await turnsAreOver(doomed, load.total() + codes.length);
    const run = (...args: string[]): string =>
      execFileSync(process.execPath, [cli, ...args], {
        encoding: 'utf8',
        env: { PATH: process.env.PATH, DATABASE_URL: database.url, DATA_DIR: folder },
      });
    expect(run('journal', 'stats', folder)).toContain('its server is alive');
    await doomed.kill();
    expect(run('journal', 'stats', folder)).toContain('its server is gone');
    expect(run('journal', 'verify', folder)).toMatch(/\d+ whole clicks, 0 damaged places/);
    expect(run('journal', 'drain', folder)).toMatch(/\d+ clicks ingested from \d journals/);
    const seen = new Seen();
    seen.add(load);
    const counted = await settled(database, seen.total + codes.length);
    for (const code of codes) {
      expect(counted.get(code)).toEqual({ counter: seen.of(code) + 1, events: seen.of(code) + 1 });
    }
    expect(readdirSync(path.join(folder, 'journal'))).toEqual([]);
    expect(run('reconcile')).toContain('10 links compared, 0 counters wrong');
    expect(await survivor.stop()).toBe(0);
    expect(existsSync(folder)).toBe(true);
  });
});
