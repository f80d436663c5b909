import { rmSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { TestDatabase } from '../support/database/database.js';
import { PostgresNode } from '../support/database/replicated-postgres.js';
import { makeFolder } from '../support/machine/folders.js';
import { describeWith } from '../support/machine/tools.js';
import { eventually } from '../support/machine/wait.js';
import { startServer, type TestServer } from '../support/server/server.js';
import { Random, report, rounds, seed, settled, timeout, totalOf, turnsAreOver } from './torture.js';

/** No short form: the bounds are of time, which a busy machine does not keep. TORTURE_STANDBY_SECONDS sets another length. */
const seconds = rounds(0, Number(process.env.TORTURE_STANDBY_SECONDS ?? 3600));
const LINKS = 64;
const VISITORS = 4;
const MOST_LAG_MS = 5000;
/** After which another server's change must be seen. */
const OTHERS_MS = 1000;
/** A state that was replaced so long ago can't be an answer any more: it is forgotten. */
const FORGOTTEN_MS = 120_000;
const GONE = '404';

/** A state of a link, made by one of the servers; `answeredMs` is infinite until it has answered. */
interface State {
  readonly shown: string;
  readonly madeBy: number;
  answeredMs: number;
}

interface Link {
  readonly id: number;
  readonly code: string;
  states: State[];
}

describeWith('postgres')(`a standby that lags up to 5 s (seed ${seed})`, () => {
  let node: PostgresNode;
  let standby: PostgresNode;
  let onStandby: TestDatabase;
  let servers: TestServer[];
  let folders: string[];
  const links: Link[] = [];
  const random = new Random('standbys');
  const redirects = [0, 0];
  const stale: string[] = [];
  let otherStatuses = 0;
  let changes = 0;
  let faults = 0;
  let made = 0;

  beforeAll(async () => {
    if (seconds === 0) return;
    node = await PostgresNode.create();
    await (await startServer({ DATABASE_URL: node.url })).stop();
    standby = await node.standby(node.port);
    onStandby = await standby.connect();
    folders = [makeFolder('standbys'), makeFolder('standbys')];
    servers = await Promise.all(
      folders.map((folder) =>
        startServer({
          DATABASE_URL: node.url,
          DATABASE_READ_URL: standby.url,
          DATA_DIR: folder,
          GATEWAY_THREADS: '1',
          CACHE_MAX_LINKS: '16',
          CLICK_JOURNAL_KEEP_SECONDS: '0',
        }),
      ),
    );
  }, 120_000);

  afterAll(async () => {
    for (const server of servers ?? []) await server.stop();
    await onStandby?.drop();
    for (const one of [standby, node]) await one?.remove();
    for (const folder of folders ?? []) rmSync(folder, { recursive: true, force: true });
  });

  const serverAt = (index: number): TestServer => servers[index] as TestServer;

  async function create(): Promise<void> {
    made += 1;
    const target = `https://example.com/${made}`;
    const { body } = await serverAt(0).post('/urls', { original_url: target });
    const { id, short_code: code } = body as { id: number; short_code: string };
    links.push({ id, code, states: [{ shown: target, madeBy: 0, answeredMs: performance.now() }] });
  }

  /** One after the other: a link's states are in the order of their commits. */
  async function changeOne(): Promise<void> {
    const link = random.pick(links);
    const madeBy = random.between(0, 1);
    made += 1;
    const isGone = link.states.at(-1)?.shown !== GONE && random.next() < 0.2;
    const target = `https://example.com/${made}`;
    const state: State = { shown: isGone ? GONE : target, madeBy, answeredMs: Number.POSITIVE_INFINITY };
    link.states.push(state);
    const change = isGone ? { is_active: false } : { is_active: true, original_url: target };
    const { status } = await serverAt(madeBy).send('PUT', `/urls/${link.id}`, change);
    expect(status).toBe(200);
    state.answeredMs = performance.now();
    changes += 1;
    while ((link.states[1]?.answeredMs ?? Number.POSITIVE_INFINITY) < state.answeredMs - FORGOTTEN_MS)
      link.states.shift();
  }

  /** The oldest state that a server may show: none was answered after it in time. */
  function oldestShown(link: Link, server: number, askedMs: number): number {
    return link.states.findLastIndex(
      ({ madeBy, answeredMs }) => answeredMs < askedMs - (madeBy === server ? 0 : OTHERS_MS),
    );
  }

  async function visit(server: number): Promise<void> {
    const link = random.pick(links);
    const askedMs = performance.now();
    const floor = link.states[Math.max(0, oldestShown(link, server, askedMs))];
    const response = await serverAt(server).fetch(`/${link.code}`);
    await response.arrayBuffer();
    if (response.status === 302) redirects[server] = (redirects[server] ?? 0) + 1;
    else if (response.status !== 404) otherStatuses += 1;
    const shown = response.headers.get('location') ?? String(response.status);
    const allowed = link.states.slice(link.states.indexOf(floor as State));
    if (!allowed.some((state) => state.shown === shown))
      stale.push(`server ${server} showed ${shown} of ${JSON.stringify(link)} at ${askedMs}`);
  }

  /** What it replays may be in the way of the test's own statements too. */
  const order = (text: string): Promise<true> =>
    eventually(() =>
      onStandby.query(text).then(
        () => true as const,
        (error: { code?: string }) => {
          if (error.code !== '40001') throw error;
          return undefined;
        },
      ),
    );

  async function disturb(): Promise<void> {
    const kind = random.next();
    faults += 1;
    if (kind < 0.6) {
      await order(`ALTER SYSTEM SET recovery_min_apply_delay = '${random.between(0, MOST_LAG_MS)}ms'`);
      await order('SELECT pg_reload_conf()');
    } else if (kind < 0.85) {
      await order('SELECT pg_wal_replay_pause()');
      await sleep(random.between(0, MOST_LAG_MS));
      await order('SELECT pg_wal_replay_resume()');
    } else {
      // It comes back with less than it had shown, perhaps.
      await onStandby.drop();
      await standby.kill();
      await sleep(random.between(0, 1000));
      await standby.start();
      onStandby = await standby.connect();
    }
    await sleep(random.between(0, 3000));
  }

  async function counted(server: TestServer): Promise<[codes: number, left: number]> {
    const text = await (await server.fetch('/metrics')).text();
    const of = (name: string): number =>
      Number(new RegExp(`^switchyard_standby_${name}_total (\\d+)`, 'm').exec(text)?.[1]);
    return [of('codes'), of('codes_left')];
  }

  it.skipIf(seconds === 0)(`for ${seconds} s: no stale target`, timeout(seconds, 1.5), async () => {
    while (links.length < LINKS) await create();
    const untilMs = performance.now() + seconds * 1000;
    const repeat = async (work: () => Promise<void>, pauseMs: number): Promise<void> => {
      while (performance.now() < untilMs) {
        await work();
        await sleep(random.next() * pauseMs);
      }
    };
    await Promise.all([
      repeat(disturb, 1000),
      repeat(changeOne, 100),
      ...Array.from({ length: 2 * VISITORS }, (_, visitor) => repeat(() => visit(visitor % 2), 4)),
    ]);
    const total = redirects.reduce((sum, count) => sum + count, 0);
    for (const [index, server] of servers.entries()) await turnsAreOver(server, redirects[index] ?? 0);
    const database = await node.connect();
    const clicks = totalOf(await settled(database, total));
    await database.drop();
    const codes = [await counted(serverAt(0)), await counted(serverAt(1))];
    report({
      run: `standby that lags up to 5 s, ${seconds} s`,
      faults,
      redirects: total,
      unknown: otherStatuses,
      clicks,
      lost: Math.max(0, total - clicks),
      twice: Math.max(0, clicks - total),
    });
    console.info(
      `${seconds} s, ${faults} faults, ${changes} changes, ${total} redirects, ${stale.length} stale; codes of the standby and the primary: ${codes.join('; ')}; seed ${seed}`,
    );
    expect(stale.slice(0, 3)).toEqual([]);
    expect(otherStatuses).toBe(0);
    expect(clicks).toBe(total);
    for (const [fromStandby] of codes) expect(fromStandby).toBeGreaterThan(0);
  });
});
