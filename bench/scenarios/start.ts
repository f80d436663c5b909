import { spawn } from 'node:child_process';
import { rmSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { mainOf } from '../checkout.js';
import { makeFolder } from '../data/database.js';
import { codeOf } from '../data/links.js';
import { ask } from '../load/ask.js';
import { requestText } from '../load/connection.js';
import { freePort } from '../load/port.js';
import { median } from '../measure/statistics.js';
import type { Scenario, Subject } from '../scenario.js';

const LINKS = 1_000_000;
const QUICK_LINKS = 100_000;
const POLL_MS = 2;
const DEADLINE_MS = 60_000;

export const start: Scenario = {
  name: 'start',
  title: 'From exec to the first redirect',
  isComparable: true,
  run: async (bench) => {
    const { subjects, postgres, progress, rounds } = bench;
    const links = bench.isQuick ? QUICK_LINKS : LINKS;
    progress.begin(start.name, rounds * subjects.length + 1);
    progress.step(`making ${links} links`);
    const database = await postgres.database(links);
    const times = new Map<string, number[]>(subjects.map(({ name }) => [name, []]));
    try {
      for (let round = 0; round < rounds; round += 1) {
        for (const subject of subjects) {
          progress.step(`start ${round + 1} of ${subject.name}`);
          times.get(subject.name)?.push(await timeStart(subject, database.url, codeOf(round + 1)));
        }
      }
    } finally {
      await postgres.drop(database);
    }
    const own = times.get(subjects[0]?.name ?? '') ?? [];
    return {
      name: start.name,
      title: start.title,
      unit: 'starts',
      parameters: { links, rounds },
      arms: [],
      comparisons: [],
      targets: [
        {
          text: 'exec to first redirect, median',
          value: median(own),
          limit: 1.5,
          kind: 'at most',
          unit: 's',
        },
      ],
      facts: [...times].flatMap(([name, seconds]) => [
        { label: `${name}: fastest`, value: Math.min(...seconds), unit: 's' },
        { label: `${name}: median`, value: median(seconds), unit: 's' },
        { label: `${name}: slowest`, value: Math.max(...seconds), unit: 's' },
      ]),
      timelines: [],
      notes: ['PostgreSQL runs, the schema is there; the first redirect is a miss'],
      unitCosts: {},
    };
  },
};

/** Seconds from exec until a redirect has been answered. */
async function timeStart({ root }: Subject, databaseUrl: string, code: string): Promise<number> {
  const port = await freePort();
  const dataDir = makeFolder('data');
  const { PATH, HOME } = process.env;
  const startMs = performance.now();
  const child = spawn(process.execPath, ['--enable-source-maps', mainOf(root)], {
    cwd: dataDir,
    env: {
      PATH,
      HOME,
      NODE_ENV: 'production',
      HOST: '127.0.0.1',
      PORT: String(port),
      DATA_DIR: dataDir,
      DATABASE_URL: databaseUrl,
      SEED_ON_BOOT: 'false',
      GATEWAY_THREADS: '1',
    },
    stdio: 'ignore',
  });
  const exit = new Promise((resolve) => child.once('exit', resolve));
  try {
    for (;;) {
      const answer = await ask(port, requestText({ port }, `/${code}`)).catch(() => undefined);
      if (answer?.status === 302) return (performance.now() - startMs) / 1000;
      if (performance.now() - startMs > DEADLINE_MS) throw new Error('the server did not start');
      await sleep(POLL_MS);
    }
  } finally {
    child.kill('SIGTERM');
    await exit;
    rmSync(dataDir, { recursive: true, force: true });
  }
}
