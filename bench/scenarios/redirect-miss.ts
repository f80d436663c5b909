import path from 'node:path';
import { requireIdentical } from '../arms/identical.js';
import { holdIngest } from '../arms/ingest-hold.js';
import { loadArm } from '../arms/load-arm.js';
import { startNodeServer } from '../arms/node-server.js';
import type { ServerHandle } from '../arms/process.js';
import { startSwitchyard } from '../arms/switchyard.js';
import { codeOf, writeDistinctPaths } from '../data/links.js';
import { saturate } from '../load/load.js';
import { type Arm, compareArms, medianOf, runRounds, stepsOf } from '../rounds.js';
import type { Scenario } from '../scenario.js';
import { batchFact } from './batch-facts.js';
import { callConnections } from './call-connections.js';
import { armOf, ratioTarget } from './targets.js';

const LINKS = 1_000_000;
const CONNECTIONS = 64;
/** Requested before anything is timed, and never again. */
const WARM_UP_LINKS = 20_000;

export const redirectMiss: Scenario = {
  name: 'redirect-miss',
  title: 'Redirects of links that are not in the cache',
  isComparable: true,
  run: async (bench) => {
    const { subjects, postgres, progress, rounds } = bench;
    const hasBaseline = subjects.length === 1;
    const armCount = subjects.length + (hasBaseline ? 1 : 0);
    progress.begin(redirectMiss.name, stepsOf(armCount, rounds) + armCount);
    const distinct = path.join(bench.folder, 'distinct.txt');
    const warming = path.join(bench.folder, 'warming.txt');
    writeDistinctPaths(distinct, WARM_UP_LINKS + 1, LINKS);
    writeDistinctPaths(warming, 2, WARM_UP_LINKS);
    const database = await postgres.database(LINKS);
    const ends: (() => Promise<void>)[] = [() => postgres.drop(database)];
    const load = { connections: CONNECTIONS, seconds: bench.seconds, expected: 302, isPinned: false };
    const arms: Arm[] = [];
    const named: [string, ServerHandle][] = [];
    const add = async (name: string, about: string, start: () => Promise<ServerHandle>): Promise<void> => {
      progress.step(`starting ${name}`);
      const [first, twin] = [await start(), await start()];
      ends.push(first.stop, twin.stop);
      named.push([name, first], [name, twin]);
      for (const { port } of [first, twin]) {
        await saturate(bench.generator, { ...load, port, seconds: 1, paths: warming });
      }
      const databasePids = (): number[] => postgres.pids();
      const options = {
        name,
        about,
        first,
        twin,
        generator: bench.generator,
        databasePids,
        isDistinct: true,
      };
      arms.push(loadArm({ ...options, load: () => ({ ...load, paths: distinct }) }));
    };
    try {
      const connections = callConnections();
      if (hasBaseline) {
        const about = `uWebSockets.js and one query a redirect, over ${connections} connections`;
        const environment = { DATABASE_URL: database.url, CONNECTIONS: String(connections) };
        await add('single query', about, () => startNodeServer('single-query', 'anywhere', environment));
      }
      for (const { name, root } of subjects) {
        const about = `the real server, ${connections} connections for calls, cold cache`;
        const settings = {
          databaseUrl: database.url,
          placement: 'anywhere',
          profiles: bench.profiles,
        } as const;
        await add(name, about, () => startSwitchyard({ root, ...settings }));
      }
      ends.push(await holdIngest(database));
      const notes = await requireIdentical(named, `/${codeOf(1)}`);
      const results = await runRounds(arms, { rounds, onStep: (what) => progress.step(what) });
      const own = armOf(results, subjects[0]?.name ?? '');
      const gateway = own === undefined ? Number.NaN : medianOf(own, ({ busiestMicros }) => busiestMicros);
      return {
        name: redirectMiss.name,
        title: redirectMiss.title,
        unit: 'requests',
        parameters: { connections: CONNECTIONS, links: LINKS, seconds: bench.seconds },
        arms: results,
        comparisons: compareArms(results),
        targets: ratioTarget(
          results,
          'throughput of one query a miss',
          'perSecond',
          'single query',
          subjects[0]?.name ?? '',
          3.5,
        ),
        facts: [
          { label: 'CPU of the busiest thread (the gateway) a miss', value: gateway, unit: 'µs' },
          ...(await batchFact(
            named.at(-1)?.[1],
            'codes a SELECT',
            'switchyard_resolved_codes_total',
            'switchyard_resolve_batches_total',
          )),
        ],
        timelines: [],
        notes: [
          ...notes,
          'nothing is pinned: server, PostgreSQL and generator share the cores, as on one machine',
          'Switchyard journals each click, the baseline counts nothing; the ingest is held, as in redirect-hit',
        ],
        unitCosts:
          own === undefined
            ? {}
            : {
                missMicros: medianOf(own, ({ cpuMicros }) => cpuMicros),
                missDatabaseMicros: medianOf(own, ({ databaseMicros }) => databaseMicros),
              },
      };
    } finally {
      for (const end of ends.reverse()) await end().catch(() => undefined);
    }
  },
};
