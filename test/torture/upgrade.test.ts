import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it, onTestFinished } from 'vitest';
import { checkOut } from '../../bench/checkout.js';
import { startLoad } from '../support/clients/load.js';
import { createEmptyDatabase } from '../support/database/database.js';
import { makeFolder } from '../support/machine/folders.js';
import { locate } from '../support/machine/tools.js';
import { eventually } from '../support/machine/wait.js';
import { startServer, type TestServer } from '../support/server/server.js';
import { click, createUrl } from '../support/server/suite.js';
import { untilEnd } from '../support/server/until-end.js';
import { environmentOf, root } from '../support/stack/compose.js';
import { Nginx } from '../support/stack/nginx.js';
import { Random, report, rounds, Seen, seed, settled, totalOf } from './torture.js';

const SERVERS = 3;
/** Within which a server knows of a change made by another. */
const COHERENCE_MS = 1000;

/** The release before, which is compiled for this: a revision of git. */
const from = process.env.UPGRADE_FROM ?? 'HEAD~1';

/** Compiling takes a minute: only in the long form. */
function whyNot(): string | undefined {
  if (rounds(0, 1) === 0) return 'only npm run torture compiles the release before';
  if (locate('nginx') === undefined) return 'nginx not found: apt-get install nginx-light';
  const { status } = spawnSync('git', ['cat-file', '-e', `${from}^{commit}`], { cwd: root });
  return status === 0 ? undefined : `git has no ${from}: set UPGRADE_FROM`;
}

const reason = whyNot();
if (reason !== undefined) console.warn(`skipped, ${reason}`);

describe.skipIf(reason !== undefined)(`an upgrade from ${from} under load (seed ${seed})`, () => {
  it('server by server, back and forth again: no redirect fails, no click is lost, no target is stale', {
    timeout: 900_000,
  }, async () => {
    const random = new Random('upgrade');
    const release = checkOut(from);
    onTestFinished(() => release.remove());
    const database = await createEmptyDatabase();
    onTestFinished(() => database.drop());
    const folders = Array.from({ length: SERVERS }, () => makeFolder('upgrade'));
    const { DRAIN_LINGER_MS } = environmentOf('app');
    const start = async (number: number, version: 'old' | 'new', port = 0): Promise<TestServer> =>
      untilEnd(
        await startServer({
          DATABASE_URL: database.url,
          DATA_DIR: folders[number],
          PORT: String(port),
          DRAIN_LINGER_MS,
          ...(version === 'old' ? { TEST_RELEASE: release.subject.root } : {}),
        }),
      );
    const servers = [await start(0, 'old'), await start(1, 'old'), await start(2, 'old')];
    const urls = await Promise.all(Array.from({ length: 20 }, () => createUrl(servers[0] as TestServer)));
    const codes = urls.map((url) => url.short_code);
    const direct = new Map<string, number>();
    const nginx = untilEnd(await Nginx.start(servers.map(({ port }) => port)));
    const load = untilEnd(startLoad(nginx.port, codes, 6, 2));
    const more = async (count: number): Promise<void> => {
      const before = load.total();
      await eventually(() => load.total() >= before + count, 60_000);
    };

    let version = 0;
    /** Whoever changes a target, all send visitors to the new one. */
    const change = async (): Promise<void> => {
      version += 1;
      const target = `https://example.com/changed/${version}`;
      const url = random.pick(urls);
      const visit = async (server: TestServer): Promise<string> => {
        direct.set(url.short_code, (direct.get(url.short_code) ?? 0) + 1);
        return click(server, url.short_code);
      };
      for (const server of servers) await visit(server);
      const writer = random.pick(servers);
      const { status } = await writer.send('PUT', `/urls/${url.id}`, { original_url: target });
      expect(status).toBe(200);
      expect(await visit(writer)).toBe(target);
      await sleep(COHERENCE_MS);
      for (const server of servers) expect(await visit(server)).toBe(target);
    };
    const replace = async (number: number, by: 'old' | 'new'): Promise<void> => {
      const { port } = servers[number] as TestServer;
      expect(await servers[number]?.stop()).toBe(0);
      await more(50);
      servers[number] = await start(number, by, port);
      // Nginx leaves a server that refused alone for a second.
      await sleep(1100);
      await more(100);
      await change();
    };

    await more(200);
    await change();
    const steps: readonly (readonly [number, 'old' | 'new'])[] = [
      [0, 'new'],
      [1, 'new'],
      [2, 'new'],
      // The way back, and the upgrade again.
      [1, 'old'],
      [1, 'new'],
    ];
    for (const [number, by] of steps) await replace(number, by);
    await load.stop();
    const seen = new Seen();
    seen.add(load);
    const total = seen.total + [...direct.values()].reduce((sum, count) => sum + count, 0);
    await settled(database, total);
    for (const server of servers) expect(await server.stop()).toBe(0);
    const counted = await settled(database, total);
    report({
      run: `three servers upgraded from ${path.basename(from)}, back and forth, under load`,
      faults: steps.length,
      redirects: total,
      unknown: seen.broken,
      clicks: totalOf(counted),
      lost: Math.max(0, total - totalOf(counted)),
      twice: Math.max(0, totalOf(counted) - total),
    });
    expect([...seen.statuses]).toEqual([302]);
    for (const code of codes) {
      const wanted = seen.of(code) + (direct.get(code) ?? 0);
      expect([code, counted.get(code)]).toEqual([code, { counter: wanted, events: wanted }]);
    }
  });
});
