import { rmSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startLoad } from '../support/clients/load.js';
import { PatroniCluster, type PatroniNode } from '../support/database/patroni.js';
import { makeFolder } from '../support/machine/folders.js';
import { describeWith } from '../support/machine/tools.js';
import { eventually } from '../support/machine/wait.js';
import { startServer, type TestServer } from '../support/server/server.js';
import { Random, report, rounds, seed, timeout } from './torture.js';

const LINKS = 10;
const kinds = ['killed', 'paused', 'cut off'] as const;

let cluster: PatroniCluster;
let server: TestServer;
let dataDir: string;
/** Redirects by the target that they led to. */
const redirects = new Map<string, number>();
let made = 0;
let unknown = 0;
/** From the moment in which a standby was the primary to the first link that was made, in ms. */
let slowestMs = 0;

beforeAll(async () => {
  dataDir = makeFolder('patroni-server');
  cluster = await PatroniCluster.start();
  server = await startServer({
    DATABASE_URL: cluster.url,
    // Whichever of them are standbys.
    DATABASE_READ_URL: cluster.url,
    DATA_DIR: dataDir,
    PORT: '0',
    CLICK_JOURNAL_SEGMENT_MS: '200',
    CLICK_INGEST_LINGER_MS: '100',
  });
}, 300_000);

afterAll(async () => {
  await server?.stop();
  await cluster?.stop();
  rmSync(dataDir, { recursive: true, force: true });
});

async function create(): Promise<{ status: number; code: string }> {
  made += 1;
  const code = `made${made}`;
  const { status } = await server.post('/urls', {
    original_url: `https://example.com/${code}`,
    short_code: code,
  });
  return { status, code };
}

/** A link that is in no cache leads to the target that it was changed to just before. */
async function follow(code: string): Promise<void> {
  const { body } = await server.json(`/urls?short_code=${code}`);
  const [link] = body as { id: number }[];
  const target = `https://example.com/${code}/changed`;
  expect((await server.send('PUT', `/urls/${link?.id}`, { original_url: target })).status).toBe(200);
  const response = await server.fetch(`/${code}`);
  await response.arrayBuffer();
  expect(response.headers.get('location')).toBe(target);
  redirects.set(target, 1);
}

const fail: Readonly<Record<(typeof kinds)[number], (node: PatroniNode) => Promise<void> | void>> = {
  killed: (node) => node.kill(),
  paused: (node) => node.pause(),
  'cut off': (node) => node.cutOff(),
};
const mend: Readonly<Record<(typeof kinds)[number], (node: PatroniNode) => void>> = {
  killed: (node) => node.start(),
  paused: (node) => node.resume(),
  'cut off': (node) => node.reconnect(),
};

/** Each link that is there has as many clicks as redirects. */
async function account(leader: PatroniNode): Promise<void> {
  const database = await leader.connect();
  const read = (): Promise<{ target: string; counter: string; events: string }[]> =>
    database.query(
      `SELECT original_url AS target, click_count AS counter,
              (SELECT count(*) FROM events WHERE url_id = u.id AND event_type = 'click'
                 AND details->>'original_url' = u.original_url) AS events FROM short_urls AS u`,
    );
  let rows = await read();
  await eventually(
    async () => {
      rows = await read();
      return rows.every(({ target, counter }) => Number(counter) >= (redirects.get(target) ?? 0));
    },
    60_000,
    () =>
      JSON.stringify(rows.filter(({ target, counter }) => Number(counter) !== (redirects.get(target) ?? 0))),
  );
  const text = async (): Promise<string> => (await server.fetch('/metrics')).text();
  await eventually(
    async () => /^switchyard_clicks_pending 0$/m.test(await text()),
    30_000,
    'no pending click',
  );
  rows = await read();
  await database.drop();
  for (const { target, counter, events } of rows) {
    const wanted = redirects.get(target) ?? 0;
    expect([target, Number(counter), Number(events)]).toEqual([target, wanted, wanted]);
  }
}

describeWith(
  'postgres',
  'patroni',
  'etcd',
)(`PostgreSQL managed by Patroni (seed ${seed})`, () => {
  const failovers = rounds(3, 30);

  it(`fails over ${failovers} times: redirects throughout, R = D`, timeout(failovers, 60), async () => {
    const random = new Random('patroni');
    const codes: string[] = [];
    while (codes.length < LINKS) codes.push((await create()).code);
    for (let round = 0; round < failovers; round += 1) {
      const kind = kinds[round % kinds.length] as (typeof kinds)[number];
      const old = await cluster.whole();
      const load = startLoad(server.port, codes, 4, 4);
      await eventually(() => load.total() > random.between(50, 200));
      await fail[kind](old);
      const next = await cluster.leader(old);
      const promotedMs = performance.now();
      await eventually(async () => (await create()).status === 201, 30_000, 'a link that is made');
      const backMs = performance.now() - promotedMs;
      slowestMs = Math.max(slowestMs, backMs);
      console.info(`${kind}: writes were back ${Math.round(backMs)} ms after the promotion`);
      await sleep(random.between(100, 1000));
      mend[kind](old);
      // Whatever the old one may be for a moment, it is not written to.
      for (let count = 0; count < 5; count += 1) {
        const { status, code } = await create();
        expect(status).toBe(201);
        const database = await next.connect();
        expect(await database.query('SELECT FROM short_urls WHERE short_code = $1', [code])).toHaveLength(1);
        await database.drop();
        await follow(code);
      }
      await cluster.whole();
      await load.stop();
      for (const [target, count] of load.targets) redirects.set(target, (redirects.get(target) ?? 0) + count);
      for (const [status, count] of load.statuses) if (status !== 302) unknown += count;
      expect(unknown).toBe(0);
      await account(next);
    }
    // Beyond Patroni's own time. The short form runs on machines that are busy with other tests.
    expect(slowestMs).toBeLessThan(rounds(30_000, 2000));
    const clicks = [...redirects.values()].reduce((sum, count) => sum + count, 0);
    report({
      run: 'failovers by Patroni',
      faults: failovers,
      redirects: clicks,
      unknown,
      clicks,
      lost: 0,
      twice: 0,
    });
    console.info(
      `failovers by Patroni: ${failovers} faults, ${clicks} redirects, writes back ${Math.round(slowestMs)} ms after the promotion at the latest, seed ${seed}`,
    );
  });
});
