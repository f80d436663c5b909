import { latencyAt } from '../report/results.js';
import { compareArms, runRounds, stepsOf } from '../rounds.js';
import type { Scenario, Subject } from '../scenario.js';
import { CONNECTIONS, LINKS, popularPaths, withRedirectServers } from './redirect-setup.js';
import { measureTarget } from './targets.js';

const RATE = 20_000;
const NEVER = 'never synced';
/** A second is the default; at 10 ms a sync is nearly always under way. */
const syncs = { [NEVER]: 'never', 'every second': '1000', 'every 10 ms': '10' };

/** Whether clicks that are stored wait while their journal is written to the disk. */
export const redirectSync: Scenario = {
  name: 'redirect-sync',
  title: 'Redirects at a fixed rate while the journal is synced',
  isComparable: false,
  run: async (bench) => {
    const [subject] = bench.subjects;
    if (subject === undefined) throw new Error('there is nothing to measure');
    const subjects: Subject[] = Object.entries(syncs).map(([name, every]) => ({
      ...subject,
      name,
      settings: { CLICK_JOURNAL_SYNC: every },
    }));
    bench.progress.begin(redirectSync.name, stepsOf(subjects.length, bench.rounds) + subjects.length);
    const load = {
      connections: CONNECTIONS,
      seconds: bench.seconds + 1,
      paths: popularPaths(bench),
      expected: 302,
      isPinned: true,
      rate: RATE,
    };
    return withRedirectServers({ ...bench, subjects }, [], load, async ({ arms, notes }) => {
      const results = await runRounds(arms, {
        rounds: bench.rounds,
        onStep: (what) => bench.progress.step(what),
      });
      return {
        name: redirectSync.name,
        title: redirectSync.title,
        unit: 'requests',
        parameters: { connections: CONNECTIONS, links: LINKS, rate: RATE },
        arms: results,
        comparisons: compareArms(results, ['cpuMicros', 'p99']),
        targets: Object.keys(syncs)
          .filter((name) => name !== NEVER)
          .flatMap((name) =>
            measureTarget(results, `p99 ${name}, of never`, (one) => latencyAt(one, 0.99), NEVER, name, 1.5),
          ),
        facts: [],
        timelines: [],
        notes: [...notes, 'latency counts from when a request was due (coordinated omission)'],
        unitCosts: {},
      };
    });
  },
};
