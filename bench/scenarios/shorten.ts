import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { loadArm } from '../arms/load-arm.js';
import { startNodeServer } from '../arms/node-server.js';
import type { ServerHandle } from '../arms/process.js';
import { startSwitchyard } from '../arms/switchyard.js';
import { ask } from '../load/ask.js';
import { requestText } from '../load/connection.js';
import { saturate } from '../load/load.js';
import { type Arm, compareArms, medianOf, runRounds, stepsOf } from '../rounds.js';
import type { Scenario } from '../scenario.js';
import { batchFact } from './batch-facts.js';
import { callConnections } from './call-connections.js';
import { armOf, ratioTarget } from './targets.js';

const CONNECTIONS = 64;
const LINKS = 100_000;
const BODY = JSON.stringify({
  url: 'https://www.example.com/articles/a-page?utm_source=newsletter&utm_medium=email',
});

export const shorten: Scenario = {
  name: 'shorten',
  title: 'POST /shorten',
  isComparable: true,
  run: async (bench) => {
    const { subjects, postgres, progress, rounds } = bench;
    for (const setting of ['synchronous_commit', 'fsync']) {
      if ((await postgres.setting(setting)) !== 'on') throw new Error(`${setting} is not on`);
    }
    const hasBaseline = subjects.length === 1;
    const armCount = subjects.length + (hasBaseline ? 1 : 0);
    progress.begin(shorten.name, stepsOf(armCount, rounds) + armCount);
    const paths = path.join(bench.folder, 'shorten.txt');
    writeFileSync(paths, '/shorten\n');
    const load = {
      connections: CONNECTIONS,
      seconds: bench.seconds,
      paths,
      method: 'POST' as const,
      body: BODY,
      expected: 201,
      isPinned: false,
    };
    const ends: (() => Promise<void>)[] = [];
    const arms: Arm[] = [];
    let last: ServerHandle | undefined;
    const databasePids = (): number[] => postgres.pids();
    const add = async (
      name: string,
      about: string,
      start: (databaseUrl: string) => Promise<ServerHandle>,
    ): Promise<void> => {
      progress.step(`starting ${name}`);
      const servers: ServerHandle[] = [];
      for (let instance = 0; instance < 2; instance += 1) {
        const database = await postgres.database(LINKS);
        ends.push(() => postgres.drop(database));
        const server = await start(database.url);
        ends.push(server.stop);
        await requireCreated(name, server);
        await saturate(bench.generator, { ...load, port: server.port, seconds: 1 });
        servers.push(server);
        last = server;
      }
      const [first, twin] = servers as [ServerHandle, ServerHandle];
      arms.push(
        loadArm({ name, about, first, twin, generator: bench.generator, databasePids, load: () => load }),
      );
    };
    try {
      const connections = callConnections();
      if (hasBaseline) {
        await add(
          'single insert',
          `one INSERT and commit a request, ${connections} connections`,
          (databaseUrl) =>
            startNodeServer('single-insert', 'anywhere', {
              DATABASE_URL: databaseUrl,
              CONNECTIONS: String(connections),
            }),
        );
      }
      for (const { name, root } of subjects) {
        await add(name, `the real server, ${connections} connections for calls`, (databaseUrl) =>
          startSwitchyard({ root, databaseUrl, placement: 'anywhere', profiles: bench.profiles }),
        );
      }
      const results = await runRounds(arms, { rounds, onStep: (what) => progress.step(what) });
      const own = armOf(results, subjects[0]?.name ?? '');
      const text = 'throughput of one INSERT and commit each';
      return {
        name: shorten.name,
        title: shorten.title,
        unit: 'links',
        parameters: { connections: CONNECTIONS, synchronous_commit: 'on', seconds: bench.seconds },
        arms: results,
        comparisons: compareArms(results),
        targets: ratioTarget(results, text, 'perSecond', 'single insert', subjects[0]?.name ?? '', 4),
        facts: await batchFact(
          last,
          'links an INSERT',
          'switchyard_created_links_total',
          'switchyard_create_batches_total',
        ),
        timelines: [],
        notes: ['answers agree in status and members; codes are random and differ'],
        unitCosts:
          own === undefined
            ? {}
            : {
                createMicros: medianOf(own, ({ cpuMicros }) => cpuMicros),
                createDatabaseMicros: medianOf(own, ({ databaseMicros }) => databaseMicros),
              },
      };
    } finally {
      for (const end of ends.reverse()) await end().catch(() => undefined);
    }
  },
};

/** All arms must answer 201 with the same members. */
async function requireCreated(name: string, { port }: ServerHandle): Promise<void> {
  const answer = await ask(port, requestText({ port, method: 'POST', body: BODY }, '/shorten'));
  const members = Object.keys(JSON.parse(answer.body) as object).join();
  if (answer.status !== 201 || members !== 'short_code,short_url,original_url,id') {
    throw new Error(`${name} answers ${answer.status} with ${members}`);
  }
}
