import { holdIngest } from '../arms/ingest-hold.js';
import type { ServerHandle } from '../arms/process.js';
import { startSwitchyard } from '../arms/switchyard.js';
import { openListeners } from '../load/listeners.js';
import { compareArms, runRounds, stepsOf } from '../rounds.js';
import type { Bench, Scenario } from '../scenario.js';
import {
  type Baseline,
  CONNECTIONS,
  fillCache,
  LINKS,
  popularPaths,
  withRedirectServers,
} from './redirect-setup.js';
import { armOf, ratioTarget } from './targets.js';

/** As many as `LIVE_LISTENERS` admits by default. */
const LISTENERS = 100;
const LIMIT = 1.02;

/** What people who watch cost the redirects: the same server with listeners on the live figures, and without. */
export const redirectLive: Scenario = {
  name: 'redirect-live',
  title: 'Redirects that hit the cache, while people watch the live figures',
  isComparable: false,
  isOnRequest: true,
  run: async (bench) => {
    bench.progress.begin(redirectLive.name, stepsOf(2, bench.rounds) + 2);
    const load = {
      connections: CONNECTIONS,
      seconds: bench.seconds,
      paths: popularPaths(bench),
      expected: 302,
      isPinned: true,
    };
    return withRedirectServers(bench, [watchedServer(bench)], load, async ({ arms, notes }) => {
      const results = await runRounds(arms, {
        rounds: bench.rounds,
        onStep: (what) => bench.progress.step(what),
      });
      const own = armOf(results, bench.subjects[0]?.name ?? '');
      const text = 'CPU per request of the server that nobody watches';
      return {
        name: redirectLive.name,
        title: redirectLive.title,
        unit: 'requests',
        parameters: {
          ...{ connections: CONNECTIONS, links: LINKS, popularity: 'Zipf 1.0' },
          ...{ listeners: LISTENERS, seconds: bench.seconds },
        },
        arms: results,
        comparisons: compareArms(results, ['cpuMicros']),
        targets: ratioTarget(results, text, 'cpuMicros', own?.name ?? '', 'watched', LIMIT),
        facts: [],
        timelines: [],
        notes: [...notes, 'each listener has loaded the console, and gets one message a second'],
        unitCosts: {},
      };
    });
  },
};

function watchedServer(bench: Bench): Baseline {
  const start = async (): Promise<ServerHandle> => {
    const [subject] = bench.subjects;
    if (subject === undefined) throw new Error('there is nothing to measure');
    const database = await bench.postgres.database(LINKS, [], subject.root);
    const server = await startSwitchyard({
      root: subject.root,
      databaseUrl: database.url,
      placement: 'server core',
      profiles: bench.profiles,
      ...(subject.settings === undefined ? {} : { settings: subject.settings }),
    });
    await fillCache(server);
    const release = await holdIngest(database);
    const close = await openListeners(server.port, LISTENERS);
    const stop = async (): Promise<void> => {
      close();
      await server.stop();
      await release();
      await bench.postgres.drop(database);
    };
    return { ...server, stop };
  };
  const about = `the real server, with ${LISTENERS} listeners on GET /stats/live`;
  return { name: 'watched', about, start };
}
