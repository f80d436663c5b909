import { rmSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { bodyOf } from '../support/clients/api-client.js';
import { type Load, startLoad } from '../support/clients/load.js';
import type { TestDatabase } from '../support/database/database.js';
import { FaultProxy } from '../support/database/proxy.js';
import { PostgresNode } from '../support/database/replicated-postgres.js';
import { makeFolder } from '../support/machine/folders.js';
import { describeWith } from '../support/machine/tools.js';
import { eventually } from '../support/machine/wait.js';
import { run } from '../support/server/program.js';
import { type ServerEnvironment, startServer, type TestServer } from '../support/server/server.js';
import { Random, report, rounds, seed, timeout } from './torture.js';

const LINKS = 10;
const LOST_LINKS = 12;
const cli = path.resolve(import.meta.dirname, '../../dist/server/cli.js');

interface MadeLink {
  readonly id: string;
  readonly code: string;
  readonly target: string;
}

/** Redirects by the target that they led to: a code may be made again, a target is of one link for ever. */
const redirects = new Map<string, number>();
const lostTargets = new Set<string>();
/** Broken connections, and answers that are neither a redirect nor expected. */
let unknown = 0;
let sameIds = 0;
let slowestMs = 0;

let node: PostgresNode;
let proxy: FaultProxy;
let server: TestServer;
let dataDir: string;
let environment: ServerEnvironment;

beforeEach(async () => {
  redirects.clear();
  lostTargets.clear();
  [unknown, sameIds, slowestMs] = [0, 0, 0];
  dataDir = makeFolder('failover');
  node = await PostgresNode.create();
  proxy = await FaultProxy.start(node.port);
  environment = {
    DATABASE_URL: node.url.replace(`:${node.port}/`, `:${proxy.port}/`),
    DATA_DIR: dataDir,
    PORT: '0',
    // Many are ingested and complete in the stretch that is lost.
    CLICK_JOURNAL_SEGMENT_MS: '200',
    CLICK_INGEST_LINGER_MS: '100',
    CALL_DEADLINE_MS: '20000',
  };
  server = await startServer(environment);
});

afterEach(async () => {
  await server.stop();
  await proxy.stop();
  await node.remove();
  rmSync(dataDir, { recursive: true, force: true });
});

/** One after the other: their ids are in the order of the links. */
async function makeLinks(name: string, count: number, codes?: readonly string[]): Promise<MadeLink[]> {
  const made: MadeLink[] = [];
  for (let index = 0; index < count; index += 1) {
    const code = codes?.[index] ?? `${name}x${index}`;
    const target = `https://example.com/${name}/${index}`;
    const body = bodyOf(await server.post('/urls', { original_url: target, short_code: code }), 201);
    made.push({ id: String(body.id), code, target });
  }
  return made;
}

const codesOf = (links: readonly MadeLink[]): string[] => links.map(({ code }) => code);

/** @param mayBeGone Whether links of it may be gone meanwhile. */
async function end(load: Load, mayBeGone = false): Promise<void> {
  await load.stop();
  for (const [target, count] of load.targets) redirects.set(target, (redirects.get(target) ?? 0) + count);
  for (const [status, count] of load.statuses)
    if (status !== 302 && !(mayBeGone && (status === 404 || status === 503))) unknown += count;
}

async function metric(name: string): Promise<number> {
  const text = await (await server.fetch('/metrics')).text();
  return Number(new RegExp(`^${name} (\\d+)`, 'm').exec(text)?.[1] ?? Number.NaN);
}

/** Waits until the server can write. */
async function writable(): Promise<void> {
  await eventually(
    async () =>
      (await server.post('/users', { username: `u${Math.random()}`, email: `${Math.random()}@example.com` }))
        .status === 201,
    60_000,
    'a write',
  );
}

interface Counted {
  readonly counter: number;
  readonly events: number;
}

async function count(database: TestDatabase): Promise<Map<string, Counted>> {
  const rows = await database.query<{ target: string; counter: string; events: string }>(
    `SELECT original_url AS target, click_count AS counter,
            (SELECT count(*) FROM events WHERE url_id = u.id AND event_type = 'click'
               AND details->>'original_url' = u.original_url) AS events
     FROM short_urls AS u`,
  );
  return new Map(
    rows.map((row) => [row.target, { counter: Number(row.counter), events: Number(row.events) }]),
  );
}

/** Each link has as many clicks as redirects, and what led to a link that is gone was dropped. */
async function account(): Promise<void> {
  const database = await node.connect();
  const startMs = performance.now();
  let counted = await count(database);
  const wanted = new Map([...redirects].filter(([target]) => !lostTargets.has(target)));
  const isThere = (): boolean =>
    [...wanted].every(([target, clicks]) => (counted.get(target)?.counter ?? 0) >= clicks);
  await eventually(
    async () => {
      counted = await count(database);
      return isThere();
    },
    60_000,
    () =>
      JSON.stringify(
        [...wanted].filter(([target, clicks]) => counted.get(target)?.counter !== clicks).slice(0, 5),
      ),
  );
  slowestMs = Math.max(slowestMs, performance.now() - startMs);
  await eventually(async () => (await metric('switchyard_clicks_pending')) === 0, 30_000, 'no pending click');
  counted = await count(database);
  await database.drop();
  for (const [target, clicks] of wanted)
    expect([target, counted.get(target)]).toEqual([target, { counter: clicks, events: clicks }]);
  for (const target of lostTargets) expect(counted.has(target)).toBe(false);
  expect(await metric('switchyard_clicks_lost_total')).toBe(0);
}

/** Clicks on links that are gone. */
function lostRedirects(): number {
  return [...lostTargets].reduce((sum, target) => sum + (redirects.get(target) ?? 0), 0);
}

/** Every other lost code is made again; the rest of the ids goes to other codes. */
async function makeAgain(round: number, lost: readonly MadeLink[]): Promise<MadeLink[]> {
  const codes = lost.map(({ code }, index) => (index % 2 === 0 ? code : `other${round}x${index}`));
  const again = await makeLinks(`again${round}`, lost.length, codes);
  sameIds += again.filter(
    ({ id, code }, index) => lost[index]?.id === id && lost[index]?.code === code,
  ).length;
  return again;
}

function table(name: string, faults: number, dropped: number): void {
  const answered = [...redirects.values()].reduce((sum, clicks) => sum + clicks, 0);
  report({
    run: name,
    faults,
    redirects: answered,
    unknown,
    clicks: answered - lostRedirects(),
    lost: dropped,
    twice: 0,
  });
  console.info(
    `${name}: ${faults} faults, ${answered} redirects, ${dropped} dropped on lost links, ${sameIds} codes made again with the same id, exact ${Math.round(slowestMs)} ms after the load at the latest, seed ${seed}`,
  );
}

describeWith('postgres')(`a database that falls back in time (seed ${seed})`, () => {
  const promotions = rounds(2, 200);

  it(`promoted ${promotions} times from a standby that lagged: R = D`, timeout(promotions, 30), async () => {
    const random = new Random('promotion');
    const links = await makeLinks('kept', LINKS);
    for (let round = 0; round < promotions; round += 1) {
      const line = await FaultProxy.start(node.port);
      const standby = await node.standby(line.port);
      const load = startLoad(server.port, codesOf(links), 6, 2);
      await eventually(() => load.total() > random.between(50, 300));
      line.freeze();
      const lost = await makeLinks(`lost${round}`, LOST_LINKS);
      const lostLoad = startLoad(server.port, codesOf(lost), 4, 2);
      await sleep(random.between(100, 1500));
      for (const { target } of lost) lostTargets.add(target);
      await node.kill();
      await line.stop();
      await standby.promote();
      const old = node;
      node = standby;
      proxy.leadTo(node.port);
      await writable();
      await end(lostLoad, true);
      const again = await makeAgain(round, lost);
      const newLoad = startLoad(server.port, codesOf(again), 4, 2);
      await eventually(() => newLoad.total() > 3 * LOST_LINKS);
      await end(newLoad);
      await end(load);
      await account();
      await old.remove();
    }
    expect(await metric('switchyard_clicks_dropped_total')).toBe(lostRedirects());
    expect(await metric('switchyard_journal_rewinds_total')).toBeGreaterThanOrEqual(promotions);
    expect(unknown).toBe(0);
    expect(sameIds).toBeGreaterThan(0);
    expect(
      server.logs.filter(({ message }) => message.includes('PostgreSQL went from timeline')),
    ).toHaveLength(promotions);
    table('promotions of a standby that lagged', promotions, lostRedirects());
  });

  const restores = rounds(3, 20);

  it(`restored ${restores} times from a backup taken under load: R = D`, timeout(restores, 40), async () => {
    const random = new Random('restore');
    const links = await makeLinks('kept', LINKS);
    let dropped = 0;
    for (let round = 0; round < restores; round += 1) {
      const kind = (['server runs', 'server is killed', 'tool'] as const)[round % 3];
      const file = path.join(dataDir, `${round}.backup`);
      const load = startLoad(server.port, codesOf(links), 6, 2);
      await eventually(() => load.total() > random.between(50, 300));
      const copy = kind === 'tool' ? undefined : await node.baseBackup();
      if (kind === 'tool')
        expect(await run(process.execPath, [cli, 'backup', file], { env: toolEnvironment() })).toMatchObject({
          code: 0,
        });
      const lost = await makeLinks(`lost${round}`, LOST_LINKS);
      const lostLoad = startLoad(server.port, codesOf(lost), 4, 2);
      await sleep(random.between(100, 1500));
      for (const { target } of lost) lostTargets.add(target);
      if (kind !== 'server runs') {
        await end(lostLoad);
        await end(load);
        dropped += await metric('switchyard_clicks_dropped_total');
        // Its journals, those that are kept among them, are for the next server.
        if (kind === 'tool') await server.stop();
        else await server.kill();
      }
      if (copy !== undefined) {
        const old = node;
        await old.remove();
        node = copy;
        await node.start();
        proxy.leadTo(node.port);
      } else {
        const restored = await run(process.execPath, [cli, 'restore', '--replace', file], {
          env: toolEnvironment(),
        });
        expect(restored).toMatchObject({ code: 0 });
      }
      if (kind !== 'server runs') server = await startServer(environment);
      await writable();
      if (kind === 'server runs') {
        await end(lostLoad, true);
        await end(load);
      }
      const again = await makeAgain(round, lost);
      const newLoad = startLoad(server.port, codesOf(again), 4, 2);
      await eventually(() => newLoad.total() > 3 * LOST_LINKS);
      await end(newLoad);
      await account();
    }
    dropped += await metric('switchyard_clicks_dropped_total');
    expect(dropped).toBe(lostRedirects());
    expect(unknown).toBe(0);
    expect(sameIds).toBeGreaterThan(0);
    table('restores of a backup taken under load', restores, dropped);
  });
});

function toolEnvironment(): NodeJS.ProcessEnv {
  return { PATH: process.env.PATH, DATABASE_URL: node.url };
}
