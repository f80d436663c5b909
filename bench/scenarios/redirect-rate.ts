import type { ServerHandle } from '../arms/process.js';
import { type PacedLoad, pace, saturate } from '../load/load.js';
import { latencyAt } from '../report/results.js';
import { compareArms, runRounds, stepsOf } from '../rounds.js';
import type { Scenario } from '../scenario.js';
import { bareBaseline } from './redirect-hit.js';
import { CONNECTIONS, LINKS, popularPaths, withRedirectServers } from './redirect-setup.js';
import { measureTarget, ratioTarget } from './targets.js';

const SHARE = 0.5;
const FIND_SECONDS = 3;
const HOLD_STEP = 0.85;

export const redirectRate: Scenario = {
  name: 'redirect-rate',
  title: 'Redirects at a fixed rate, half of the found maximum',
  isComparable: true,
  run: async (bench) => {
    const armCount = bench.subjects.length === 1 ? 2 : bench.subjects.length;
    bench.progress.begin(redirectRate.name, stepsOf(armCount, bench.rounds) + armCount + 1);
    const load: Omit<PacedLoad, 'port' | 'offset'> = {
      connections: CONNECTIONS,
      seconds: bench.seconds + 1,
      paths: popularPaths(bench),
      expected: 302,
      isPinned: true,
      rate: 0,
    };
    return withRedirectServers(bench, [bareBaseline], load, async ({ arms, servers, notes, setRate }) => {
      bench.progress.step('finding the maximum');
      const pairs = [...servers.values()];
      const subject = pairs.at(-1)?.[0];
      const baseline = pairs[0]?.[0];
      if (subject === undefined || baseline === undefined) throw new Error('there is nothing to measure');
      const found = await saturate(bench.generator, { ...load, port: subject.port, seconds: FIND_SECONDS });
      const maximum = found.requests / found.seconds;
      const rate = await holdable(baseline, load, maximum * SHARE);
      setRate(rate);
      const results = await runRounds(arms, {
        rounds: bench.rounds,
        onStep: (what) => bench.progress.step(what),
      });
      const name = bench.subjects[0]?.name ?? '';
      const limited =
        rate < maximum * SHARE * 0.99
          ? [`the generator holds ${Math.round(rate)}/s at most from its core, less than half of the maximum`]
          : [];
      return {
        name: redirectRate.name,
        title: redirectRate.title,
        unit: 'requests',
        parameters: { connections: CONNECTIONS, links: LINKS, rate, found_maximum: Math.round(maximum) },
        arms: results,
        comparisons: compareArms(results, ['cpuMicros', 'p99']),
        targets: [
          ...ratioTarget(results, 'CPU per request of the bare App', 'cpuMicros', 'bare', name, 1.15),
          ...measureTarget(results, 'p99 of the bare App', (one) => latencyAt(one, 0.99), 'bare', name, 1.5),
          ...measureTarget(results, 'p99.9 of the bare App', (one) => latencyAt(one, 0.999), 'bare', name, 2),
        ],
        facts: [],
        timelines: [],
        notes: [
          ...notes,
          ...limited,
          'latency counts from when a request was due, not from when it could be sent (coordinated omission)',
        ],
        unitCosts: {},
      };
    });
  },
};

/**
 * The highest rate, up to the requested one, that the generator itself can keep, measured on the fastest
 * server.
 */
async function holdable(
  server: ServerHandle,
  load: Omit<PacedLoad, 'port' | 'rate'>,
  wanted: number,
): Promise<number> {
  for (let rate = Math.round(wanted); ; rate = Math.round(rate * HOLD_STEP)) {
    const result = await pace({ ...load, port: server.port, rate, seconds: FIND_SECONDS });
    // A generator that can't keep up sends later and later, and needs longer for the same requests.
    if (result.requests / result.seconds > rate * 0.97) return rate;
    if (rate < 1000) throw new Error('the load generator holds no rate at all');
  }
}
