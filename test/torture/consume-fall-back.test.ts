import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bodyOf } from '../support/clients/api-client.js';
import { type Load, startLoad } from '../support/clients/load.js';
import type { TestDatabase } from '../support/database/database.js';
import { FaultProxy } from '../support/database/proxy.js';
import { PostgresNode } from '../support/database/replicated-postgres.js';
import { KafkaBroker } from '../support/kafka/broker.js';
import { describeWithKafka } from '../support/kafka/jars.js';
import { describeWith } from '../support/machine/tools.js';
import { eventually } from '../support/machine/wait.js';
import { TestConsumer } from '../support/server/consumer.js';
import { freePort } from '../support/server/program.js';
import { startServer, type TestServer } from '../support/server/server.js';
import { Random, report, rounds, seed, timeout } from './torture.js';

const ROUNDS = rounds(1, 20);
const LINKS = 5;
const LOST_LINKS = 6;
const SETTLE_MS = 90_000;
/** What goes on while the standby is promoted, round by round. */
const kinds = ['nothing', 'load', 'no consumer', 'a backup', 'the old primary'] as const;

interface MadeLink {
  readonly id: string;
  readonly code: string;
  readonly target: string;
}

/** Redirects by target: a code may be made again, a target is of one link for ever. */
const redirects = new Map<string, number>();
const lostTargets = new Set<string>();
let unknown = 0;

let broker: KafkaBroker;
let node: PostgresNode;
/** The hosts of DATABASE_URL: the primary is behind the first, then behind the other, and so on. */
let hosts: readonly [FaultProxy, FaultProxy];
let server: TestServer;
let consumer: TestConsumer;
let settings: Record<string, string>;

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

const loadOn = (links: readonly MadeLink[], connections: number): Load =>
  startLoad(
    server.port,
    links.map(({ code }) => code),
    connections,
    2,
  );

/** @param mayBeGone Whether links of it may be gone meanwhile. */
async function end(load: Load, mayBeGone = false): Promise<void> {
  await load.stop();
  for (const [target, count] of load.targets) redirects.set(target, (redirects.get(target) ?? 0) + count);
  for (const [status, count] of load.statuses)
    if (status !== 302 && !(mayBeGone && (status === 404 || status === 503))) unknown += count;
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

/** Of the PostgreSQL that the server writes to. */
async function timeline(): Promise<number> {
  const text = await (await server.fetch('/metrics')).text();
  return Number(/^switchyard_database_timeline (\d+)/m.exec(text)?.[1]);
}

/** Clicks that a read of events lacks. */
async function pending(): Promise<number> {
  const { status, headers } = await server.fetch('/events?limit=1');
  return status === 200 ? Number(headers.get('x-clicks-pending') ?? 0) : Number.NaN;
}

type Counted = readonly [target: string, counter: number, events: number];

async function count(database: TestDatabase): Promise<Map<string, Counted>> {
  const rows = await database.query<{ target: string; counter: string; events: string }>(
    `SELECT original_url AS target, click_count AS counter,
            (SELECT count(*) FROM events WHERE url_id = u.id AND event_type = 'click'
               AND details->>'original_url' = u.original_url) AS events
     FROM short_urls AS u`,
  );
  return new Map(
    rows.map(({ target, counter, events }) => [target, [target, Number(counter), Number(events)]]),
  );
}

/** What the database says of all partitions: clicks that are in it, and clicks on links that it does not have. */
async function totals(database: TestDatabase): Promise<{ clicks: number; dropped: number }> {
  const [row] = await database.query<{ clicks: string; dropped: string }>(
    'SELECT sum(clicks) AS clicks, sum(dropped) AS dropped FROM journal_checkpoints',
  );
  return { clicks: Number(row?.clicks), dropped: Number(row?.dropped) };
}

const sumOf = (isMeant: (target: string) => boolean): number =>
  [...redirects].reduce((sum, [target, clicks]) => (isMeant(target) ? sum + clicks : sum), 0);

/** R = D, link by link; clicks on links that are gone were dropped, each once. */
async function account(): Promise<void> {
  const database = await node.connect();
  try {
    const dropped = sumOf((target) => lostTargets.has(target));
    const clicks = sumOf((target) => !lostTargets.has(target));
    await eventually(
      async () => {
        const now = await totals(database);
        return now.clicks >= clicks && now.dropped >= dropped;
      },
      SETTLE_MS,
      () => `${clicks} clicks and ${dropped} dropped; the consumer said ${consumer.output.slice(-3000)}`,
    );
    await eventually(async () => (await pending()) === 0, 60_000, 'no click under way');
    expect(await totals(database)).toEqual({ clicks, dropped });
    const counted = await count(database);
    for (const [target, redirected] of redirects)
      if (!lostTargets.has(target)) expect(counted.get(target)).toEqual([target, redirected, redirected]);
    for (const target of lostTargets) expect(counted.has(target)).toBe(false);
  } finally {
    await database.drop();
  }
}

const withKafka = describeWithKafka();
const withBoth = withKafka === describe ? describeWith('postgres') : withKafka;

withBoth(`a database that falls back in time under switchyard consume (seed ${seed})`, () => {
  beforeAll(async () => {
    [broker, node] = await Promise.all([KafkaBroker.start(), PostgresNode.create()]);
    // Behind the second there is nothing yet.
    hosts = [await FaultProxy.start(node.port), await FaultProxy.start(await freePort())];
    settings = {
      DATABASE_URL: `postgresql://switchyard@${hosts.map(({ port }) => `127.0.0.1:${port}`).join(',')}/postgres`,
      CLICK_STREAM: 'kafka',
      KAFKA_BROKERS: broker.address,
      CLICK_INGEST: 'consume',
      CLICK_INGEST_LINGER_MS: '100',
      CALL_DEADLINE_MS: '20000',
    };
    server = await startServer(settings);
    consumer = TestConsumer.start(settings);
  }, 300_000);

  afterAll(async () => {
    await Promise.all([server?.stop(), consumer?.stop()]);
    await broker?.kill();
    await Promise.all((hosts ?? []).map((host) => host.stop()));
    await node?.remove();
  });

  it(`${ROUNDS} times: each click once, or dropped with its link`, timeout(ROUNDS, 240), async () => {
    const random = new Random('consume-fall-back');
    const links = await makeLinks('kept', LINKS);
    let sameIds = 0;
    for (let round = 0; round < ROUNDS; round += 1) {
      const kind = kinds[round % kinds.length];
      const [next, line] = [hosts[(round + 1) % 2] as FaultProxy, await FaultProxy.start(node.port)];
      const standby = kind === 'a backup' ? undefined : await node.standby(line.port);
      if (standby !== undefined) next.leadTo(standby.port);
      const before = await timeline();
      const load = loadOn(links, 4);
      const enough = random.between(100, 400);
      await eventually(() => load.total() > enough, 60_000);
      const copy = standby ?? (await node.baseBackup());
      line.freeze();
      const lost = await makeLinks(`lost${round}`, LOST_LINKS);
      const lostLoad = loadOn(lost, 4);
      await eventually(() => lostLoad.total() > 100, 60_000);
      const isQuiet = kind === 'nothing' || kind === 'no consumer';
      if (isQuiet) {
        await Promise.all([end(load), end(lostLoad)]);
        // All of them are in the primary, and nothing more comes.
        await account();
      } else await sleep(random.between(100, 1500));
      if (kind === 'no consumer') await consumer.kill();

      for (const { target } of lost) lostTargets.add(target);
      const old = node;
      if (kind !== 'the old primary') await old.kill();
      await line.stop();
      if (standby === undefined) await copy.start();
      else await standby.promote();
      node = copy;
      if (standby === undefined) next.leadTo(node.port);
      if (kind === 'the old primary') await eventually(async () => (await timeline()) > before, 60_000);
      await writable();
      if (kind === 'no consumer') {
        await eventually(async () => (await pending()) > 0, 60_000, 'clicks under way');
        consumer = TestConsumer.start(settings);
      }
      if (isQuiet) await account();
      const codes = lost.map(({ code }, index) => (index % 2 === 0 ? code : `other${round}x${index}`));
      if (!isQuiet) await end(lostLoad, true);
      const again = await makeLinks(`again${round}`, lost.length, codes);
      sameIds += again.filter(({ id, code }, at) => lost[at]?.id === id && lost[at]?.code === code).length;
      const newLoad = loadOn(again, 4);
      await eventually(() => newLoad.total() > 3 * LOST_LINKS, 60_000);
      await end(newLoad);
      if (!isQuiet) await end(load);
      await account();
      await old.remove();
    }
    expect(unknown).toBe(0);
    expect(sameIds).toBeGreaterThan(0);
    const redirected = sumOf(() => true);
    const lost = sumOf((target) => lostTargets.has(target));
    report({
      run: 'a database that falls back under a consumer',
      faults: ROUNDS,
      redirects: redirected,
      unknown,
      clicks: redirected - lost,
      lost,
      twice: 0,
    });
  });
});
