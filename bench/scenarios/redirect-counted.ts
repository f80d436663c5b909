import { setTimeout as sleep } from 'node:timers/promises';
import type { LoadArmOptions } from '../arms/load-arm.js';
import type { ServerHandle } from '../arms/process.js';
import { saturate } from '../load/load.js';
import { peakBytes, readUsage, resetPeak, spentBetween } from '../measure/process-usage.js';
import { type Arm, compareArms, medianOf, runRounds, stepsOf } from '../rounds.js';
import type { Bench, Scenario } from '../scenario.js';
import { bareBaseline } from './redirect-hit.js';
import { CONNECTIONS, LINKS, popularPaths, withRedirectServers } from './redirect-setup.js';
import { armOf, ratioTarget } from './targets.js';

/** How long the clicks may take to arrive before we give up waiting for them. */
const ARRIVAL_MS = 120_000;
const LOOK_MS = 20;

/** The maximum CPU of a counted redirect, relative to a bare one's. */
const LIMIT = 1.9;

/** The whole cost of a redirect, server and PostgreSQL, until its click is counted in the database. */
export const redirectCounted: Scenario = {
  name: 'redirect-counted',
  title: 'Redirects that hit the cache, until their clicks are in the database',
  isComparable: true,
  run: async (bench) => {
    const armCount = bench.subjects.length === 1 ? 2 : bench.subjects.length;
    bench.progress.begin(redirectCounted.name, stepsOf(armCount, bench.rounds) + armCount);
    const load = {
      connections: CONNECTIONS,
      seconds: bench.seconds,
      paths: popularPaths(bench),
      expected: 302,
      isPinned: false,
    };
    const use = async ({ arms, notes }: { arms: readonly Arm[]; notes: readonly string[] }) => {
      const results = await runRounds(arms, {
        rounds: bench.rounds,
        onStep: (what) => bench.progress.step(what),
      });
      const own = armOf(results, bench.subjects[0]?.name ?? '');
      return {
        name: redirectCounted.name,
        title: redirectCounted.title,
        unit: 'requests',
        parameters: {
          connections: CONNECTIONS,
          links: LINKS,
          popularity: 'Zipf 1.0',
          seconds: bench.seconds,
        },
        arms: results,
        comparisons: compareArms(results, ['cpuMicros']),
        targets: ratioTarget(results, 'CPU of the bare App', 'cpuMicros', 'bare', own?.name ?? '', LIMIT),
        facts: results.map((arm) => ({
          label: `${arm.name}: PostgreSQL's part of the CPU`,
          value: medianOf(arm, ({ databaseMicros }) => databaseMicros),
          unit: 'µs a request',
        })),
        timelines: [],
        notes: [
          ...notes,
          "CPU is the server's and PostgreSQL's together, from the first request until the last click is in the database",
          'nothing is pinned: server, PostgreSQL and generator share the cores',
        ],
        unitCosts: {},
      };
    };
    return withRedirectServers(bench, [bareBaseline], load, use, {
      arm: (options) => countedArm(bench, options),
    });
  },
};

function countedArm({ postgres }: Bench, options: LoadArmOptions): Arm {
  return {
    name: options.name,
    about: options.about,
    measure: async (instance, round) => {
      const server = options[instance];
      const pids = server.pids();
      await arrived(server);
      await postgres.checkpoint();
      resetPeak(pids);
      const before = readUsage(pids);
      const databaseBefore = readUsage(postgres.pids());
      const result = await saturate(options.generator, {
        ...options.load(round),
        port: server.port,
        offset: 0,
      });
      const isInTime = await arrived(server);
      const spent = spentBetween(before, readUsage(server.pids()));
      const database = spentBetween(databaseBefore, readUsage(postgres.pids()));
      const further = (await options.check?.(server, result)) ?? 0;
      return {
        perSecond: result.requests / result.seconds,
        cpuMicros: (spent.cpuMicros + database.cpuMicros) / result.answered,
        busiestMicros: spent.busiestMicros / result.answered,
        databaseMicros: database.cpuMicros / result.answered,
        peakBytes: peakBytes(pids),
        errors: result.errors + further + (isInTime ? 0 : 1),
        latency: result.latency,
      };
    },
  };
}

/**
 * Waits until no click is under way; returns at once for servers that count none. @returns whether it
 * happened in time.
 */
async function arrived(server: ServerHandle): Promise<boolean> {
  const deadline = performance.now() + ARRIVAL_MS;
  while (performance.now() < deadline) {
    const metrics = await server.metrics?.();
    if ((metrics?.get('clicks_pending') ?? 0) === 0) return true;
    await sleep(LOOK_MS);
  }
  return false;
}
