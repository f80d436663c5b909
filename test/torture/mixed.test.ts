import { rmSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it, onTestFinished } from 'vitest';
import { startCountedLoad } from '../support/clients/keep-alive-load.js';
import { TestCluster } from '../support/database/cluster.js';
import { makeFolder } from '../support/machine/folders.js';
import { type Fault, startServer, type TestServer, WITH_FAULTS } from '../support/server/server.js';
import { createUrl } from '../support/server/suite.js';
import { Random, report, rounds, seed, settled, timeout, totalOf } from './torture.js';

const LINKS = 8;
const CONNECTIONS = 16;
const ROUNDS = rounds(3, 200);

/** Not a gateway's `exit`: within a request it ends the process, see “Out of memory” in Docs/FAILURE_MODES.md. */
const threads = [
  { thread: 'gateway', action: 'throw' },
  { thread: 'interactive', action: 'throw' },
  { thread: 'interactive', action: 'exit' },
  { thread: 'ingest', action: 'throw' },
  { thread: 'ingest', action: 'exit' },
] as const satisfies Fault[];

/** Some of these make one fault more likely to meet another. */
function settings(random: Random): Record<string, string> {
  return {
    GATEWAY_THREADS: String(random.between(1, 3)),
    CLICK_JOURNAL_SEGMENT_BYTES: String(random.pick([16_384, 65_536, 16_777_216])),
    CLICK_JOURNAL_SEGMENT_MS: String(random.pick([100, 1000, 60_000])),
    CLICK_JOURNAL_SYNC: random.pick(['1', '1000', 'never']),
    CLICK_JOURNAL_KEEP_SECONDS: String(random.pick([0, 1, 600])),
    CLICK_INGEST_LINGER_MS: String(random.pick([0, 50, 500])),
    // Smaller ones can't keep up with these clients, nor can smaller segments.
    CLICK_INGEST_BATCH: String(random.pick([2000, 20_000])),
    CLICK_DETAILS: random.pick(['off', 'basic', 'full']),
  };
}

/**
 * Clients that count their answers, a server with any settings, and one fault after the other while clicks come in:
 * link by link, answered ≤ counted ≤ answered + under way, after each.
 */
it(`${ROUNDS} faults of any kind, and any settings (seed ${seed})`, timeout(ROUNDS, 40), async () => {
  const random = new Random('mixed');
  const dataDir = makeFolder('mixed');
  onTestFinished(() => rmSync(dataDir, { recursive: true, force: true }));
  const cluster = await TestCluster.start();
  onTestFinished(() => cluster.remove());
  const begin = (): Promise<TestServer> =>
    startServer({ DATABASE_URL: cluster.url, DATA_DIR: dataDir, ...WITH_FAULTS, ...settings(random) });
  let server = await begin();
  const codes: string[] = [];
  while (codes.length < LINKS) codes.push((await createUrl(server)).short_code);
  const answered = new Map<string, number>();
  const underWay = new Map<string, number>();
  const sum = (counts: ReadonlyMap<string, number>): number =>
    [...counts.values()].reduce((all, count) => all + count, 0);
  const add = (to: Map<string, number>, counts: ReadonlyMap<string, number>): void => {
    for (const [code, count] of counts) to.set(code, (to.get(code) ?? 0) + count);
  };
  const faults: Readonly<Record<string, () => Promise<void>>> = {
    none: async () => undefined,
    'kill -9': async () => {
      await server.kill();
      server = await begin();
    },
    'a stop': async () => {
      expect(await server.stop()).toBe(0);
      server = await begin();
    },
    'a thread': async () => server.fault(random.pick<Fault>(threads)),
    'PostgreSQL stops': async () => {
      await cluster.stop(random.pick(['fast', 'immediate', 'kill']));
      await sleep(random.between(0, 500));
      await cluster.restart();
    },
    'PostgreSQL freezes': async () => {
      cluster.freeze();
      await sleep(random.between(100, 2500));
      cluster.thaw();
    },
  };
  const done: string[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    const load = startCountedLoad(server.port, codes, CONNECTIONS, random.pick([1, 3, 20]));
    await sleep(random.between(200, 2000));
    const fault = random.pick(Object.keys(faults));
    done.push(fault);
    await faults[fault]?.();
    await sleep(random.between(0, 1500));
    await load.stop();
    add(answered, load.answered);
    add(underWay, load.underWay);
    const database = await cluster.connect();
    const counted = await settled(database, sum(answered));
    await database.drop();
    for (const code of codes) {
      const { counter, events } = counted.get(code) ?? { counter: -1, events: -2 };
      const context = `${code} after ${done.slice(-3).join(', ')}`;
      expect([context, counter]).toEqual([context, events]);
      expect(events, context).toBeGreaterThanOrEqual(answered.get(code) ?? 0);
      expect(events, context).toBeLessThanOrEqual((answered.get(code) ?? 0) + (underWay.get(code) ?? 0));
    }
    if (round < ROUNDS - 1) continue;
    const clicks = totalOf(counted);
    report({
      run: 'faults of any kind, any settings',
      faults: ROUNDS,
      redirects: sum(answered),
      unknown: sum(underWay),
      clicks,
      lost: Math.max(0, sum(answered) - clicks),
      twice: Math.max(0, clicks - sum(answered) - sum(underWay)),
    });
  }
  expect(await server.stop()).toBe(0);
});
