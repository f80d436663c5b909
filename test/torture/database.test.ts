import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startLoad } from '../support/clients/load.js';
import { TestCluster } from '../support/database/cluster.js';
import { createDatabase, type TestDatabase } from '../support/database/database.js';
import { FaultProxy } from '../support/database/proxy.js';
import { eventually } from '../support/machine/wait.js';
import { startServer, type TestServer } from '../support/server/server.js';
import { click, createUrl } from '../support/server/suite.js';
import { Random, report, rounds, Seen, seed, settled, timeout, totalOf } from './torture.js';

const LINKS = 20;
const CONNECTIONS = 8;

async function makeCodes(server: TestServer): Promise<string[]> {
  const urls = await Promise.all(Array.from({ length: LINKS }, () => createUrl(server)));
  const codes = urls.map((url) => url.short_code);
  for (const code of codes) await click(server, code);
  return codes;
}

/** One click a link was made before the load. */
async function account(
  run: string,
  faults: number,
  database: TestDatabase,
  codes: string[],
  seen: Seen,
): Promise<void> {
  const counted = await settled(database, seen.total + codes.length);
  const clicks = totalOf(counted);
  const expected = seen.total + codes.length;
  report({
    run,
    faults,
    redirects: expected,
    unknown: seen.broken,
    clicks,
    lost: Math.max(0, expected - clicks),
    twice: Math.max(0, clicks - expected),
  });
  expect([...seen.statuses]).toEqual([302]);
  for (const code of codes) {
    const wanted = seen.of(code) + 1;
    expect([code, counted.get(code)]).toEqual([code, { counter: wanted, events: wanted }]);
  }
}

describe(`PostgreSQL away during ingest (seed ${seed})`, () => {
  const outages = rounds(2, 20);

  it(`stopped or killed ${outages} times: nothing lost, nothing twice`, timeout(outages, 20), async () => {
    const random = new Random('outage');
    const cluster = await TestCluster.start();
    const server = await startServer({ DATABASE_URL: cluster.url });
    const codes = await makeCodes(server);
    const load = startLoad(server.port, codes, CONNECTIONS);
    for (let outage = 0; outage < outages; outage += 1) {
      await sleep(random.between(100, 500));
      await cluster.stop(random.pick(['immediate', 'kill'] as const));
      await sleep(random.between(50, 500));
      await cluster.restart();
      await eventually(async () => (await server.fetch('/users')).status === 200);
    }
    await load.stop();
    const seen = new Seen();
    seen.add(load);
    const database = await cluster.connect();
    await account('PostgreSQL stopped (immediate) or killed -9', outages, database, codes, seen);
    await database.drop();
    await server.stop();
    await cluster.remove();
  });
});

describe(`a network that misbehaves (seed ${seed})`, () => {
  let database: TestDatabase;
  let proxy: FaultProxy;
  let server: TestServer;

  beforeEach(async () => {
    database = await createDatabase();
    proxy = await FaultProxy.start(database.address.port);
    server = await startServer({ DATABASE_URL: database.url.replace(/:\d+\//, `:${proxy.port}/`) });
  });

  afterEach(async () => {
    await server.stop();
    await proxy.stop();
    await database.drop();
  });

  const freezes = rounds(2, 15);

  it(
    `half-open connections, ${freezes} times: noticed, nothing lost, nothing twice`,
    timeout(freezes, 20),
    async () => {
      const random = new Random('frozen');
      const codes = await makeCodes(server);
      const load = startLoad(server.port, codes, CONNECTIONS);
      for (let freeze = 0; freeze < freezes; freeze += 1) {
        await sleep(random.between(100, 500));
        proxy.freeze();
        await sleep(random.between(300, 2500));
        if (random.next() < 0.5) proxy.cutAll();
        proxy.thaw();
        await eventually(async () => (await server.fetch('/users')).status === 200);
      }
      await load.stop();
      const seen = new Seen();
      seen.add(load);
      await account('half-open connections', freezes, database, codes, seen);
    },
  );

  async function takenIn(): Promise<number> {
    const [row] = await database.query<{ n: string }>('SELECT sum(clicks) AS n FROM journal_checkpoints');
    return Number(row?.n ?? 0);
  }

  const cuts = rounds(20, 400);

  it(`${cuts} commits without an answer: nothing twice, nothing lost`, timeout(cuts, 6), async () => {
    const random = new Random('commits');
    const codes = await makeCodes(server);
    // Enough that every transaction has clicks; more would only be counting.
    const load = startLoad(server.port, codes, CONNECTIONS, 10);
    while (proxy.cuts < cuts) {
      proxy.cutCommits(random.between(1, 3), random.next() < 0.3);
      await eventually(() => proxy.pendingCuts === 0, 30_000, 'a commit to cut');
      // Some succeed in between: else the pauses between the attempts would only get longer.
      const before = await takenIn();
      await eventually(async () => (await takenIn()) > before);
    }
    await load.stop();
    const seen = new Seen();
    seen.add(load);
    await account('COMMIT sent, its answer cut off', proxy.cuts, database, codes, seen);
  });
});
