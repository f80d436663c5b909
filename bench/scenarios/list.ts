import { startNodeServer } from '../arms/node-server.js';
import type { ServerHandle } from '../arms/process.js';
import { startSwitchyard } from '../arms/switchyard.js';
import { download } from '../load/download.js';
import { growthDuring } from '../measure/peak-sampler.js';
import { peakBytes, readUsage, spentBetween } from '../measure/process-usage.js';
import { type Arm, compareArms, medianOf, runRounds, stepsOf } from '../rounds.js';
import type { Bench, Scenario } from '../scenario.js';
import { armOf, ratioTarget } from './targets.js';

const LINKS = 100_000;
const ROWS = 1_000_000;
const QUICK_ROWS = 200_000;
const SLOW_BYTES_PER_SECOND = 1_000_000;
const SLOW_SECONDS = 20;
const MEBIBYTE = 2 ** 20;

function fillEventsSql(rows: number): string {
  return `
  INSERT INTO events (url_id, user_id, event_type, "timestamp", details)
  SELECT link.id, link.user_id, 'click', now() AT TIME ZONE 'utc' - (${rows} - n) * interval '0.1 second',
         json_build_object('short_code', link.short_code, 'original_url', link.original_url)
  FROM generate_series(1, ${rows}) AS n JOIN short_urls AS link ON link.id = n::bigint * 7919 % ${LINKS} + 1`;
}

export const list: Scenario = {
  name: 'list',
  title: 'GET /events, the whole list',
  isComparable: true,
  run: async (bench) => {
    const { subjects, postgres, progress, rounds } = bench;
    const rows = bench.isQuick ? QUICK_ROWS : ROWS;
    const hasBaseline = subjects.length === 1;
    const armCount = subjects.length + (hasBaseline ? 1 : 0);
    progress.begin(list.name, stepsOf(armCount, rounds) + 2);
    progress.step(`making ${rows} events`);
    const database = await postgres.database(LINKS, [fillEventsSql(rows)]);
    const ends: (() => Promise<void>)[] = [() => postgres.drop(database)];
    const arms: Arm[] = [];
    let subjectServer: ServerHandle | undefined;
    try {
      const add = async (
        name: string,
        about: string,
        start: () => Promise<ServerHandle>,
      ): Promise<ServerHandle> => {
        const [first, twin] = [await start(), await start()];
        ends.push(first.stop, twin.stop);
        arms.push(listArm(bench, name, about, { first, twin }, rows));
        return first;
      };
      if (hasBaseline) {
        await add('raw cursor', 'pg-cursor to the socket, as text, no work between', () =>
          startNodeServer('raw-list', 'anywhere', { DATABASE_URL: database.url }),
        );
      }
      for (const { name, root } of subjects) {
        const settings = {
          databaseUrl: database.url,
          placement: 'anywhere',
          profiles: bench.profiles,
        } as const;
        const server = await add(name, 'the real server, JSON', () => startSwitchyard({ root, ...settings }));
        subjectServer ??= server;
      }
      const results = await runRounds(arms, { rounds, onStep: (what) => progress.step(what) });
      progress.step('a slow reader');
      const growth = subjectServer === undefined ? Number.NaN : await slowReaderGrowth(subjectServer);
      const own = armOf(results, subjects[0]?.name ?? '');
      return {
        name: list.name,
        title: list.title,
        unit: 'rows',
        parameters: { rows },
        arms: results,
        comparisons: compareArms(results, ['perSecond', 'cpuMicros']),
        targets: [
          ...ratioTarget(
            results,
            'rate of the raw cursor',
            'perSecond',
            'raw cursor',
            subjects[0]?.name ?? '',
            0.6,
          ),
          {
            text: 'RSS growth with a reader of 1 MB/s',
            value: growth / MEBIBYTE,
            limit: 32,
            kind: 'at most',
            unit: 'MiB',
          },
        ],
        facts: [],
        timelines: [],
        notes: [
          'the answers hold the same rows, as JSON and as plain text: making JSON is what is measured',
          `the slow reader is one of a server that has sent the list before; it reads for ${SLOW_SECONDS} s`,
        ],
        unitCosts: own === undefined ? {} : { listRowMicros: medianOf(own, ({ cpuMicros }) => cpuMicros) },
      };
    } finally {
      for (const end of ends.reverse()) await end().catch(() => undefined);
    }
  },
};

function listArm(
  bench: Bench,
  name: string,
  about: string,
  servers: Readonly<Record<'first' | 'twin', ServerHandle>>,
  rows: number,
): Arm {
  return {
    name,
    about,
    measure: async (instance) => {
      const server = servers[instance];
      const before = readUsage(server.pids());
      const databaseBefore = readUsage(bench.postgres.pids());
      const { bytes, seconds, isComplete } = await download(`http://127.0.0.1:${server.port}/events`);
      const spent = spentBetween(before, readUsage(server.pids()));
      const database = spentBetween(databaseBefore, readUsage(bench.postgres.pids()));
      return {
        perSecond: rows / seconds,
        cpuMicros: spent.cpuMicros / rows,
        busiestMicros: spent.busiestMicros / rows,
        databaseMicros: database.cpuMicros / rows,
        peakBytes: peakBytes(server.pids()),
        errors: isComplete && bytes > rows * 100 ? 0 : 1,
        latency: [],
      };
    },
  };
}

async function slowReaderGrowth(server: ServerHandle): Promise<number> {
  const { growthBytes } = await growthDuring(server.pids(), () =>
    download(`http://127.0.0.1:${server.port}/events`, {
      bytesPerSecond: SLOW_BYTES_PER_SECOND,
      stopAfterSeconds: SLOW_SECONDS,
    }),
  );
  return growthBytes;
}
