import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { psql } from '../arms/psql.js';
import { startSwitchyard } from '../arms/switchyard.js';
import { createdMsOf, targetOf } from '../data/links.js';
import { upload } from '../load/upload.js';
import { growthDuring } from '../measure/peak-sampler.js';
import { readUsage, spentBetween } from '../measure/process-usage.js';
import { median } from '../measure/statistics.js';
import type { Measure } from '../report/results.js';
import { type Arm, compareArms, runRounds, stepsOf } from '../rounds.js';
import type { Bench, Scenario, Subject } from '../scenario.js';
import { ratioTarget } from './targets.js';

const LINKS = 1_000_000;
const QUICK_LINKS = 100_000;
const WARM_UP_LINKS = 20_000;
const MEBIBYTE = 2 ** 20;
const COLUMNS = 'short_code,original_url,title,created_at';

/** A link in the file, by a code that the database's own links don't have. */
function lineOf(n: number): string {
  const code = `imported${n.toString(36)}`;
  return `${code},${targetOf(n)},Article ${n},${new Date(createdMsOf(n)).toISOString()}\n`;
}

function writeLinksCsv(file: string, from: number, to: number): void {
  writeFileSync(file, `${COLUMNS}\n`);
  for (let n = from; n < to; n += 10_000) {
    const lines = Array.from({ length: Math.min(10_000, to - n) }, (_, index) => lineOf(n + index));
    writeFileSync(file, lines.join(''), { flag: 'a' });
  }
}

/** A file of links by the API, against psql's \copy of the same file into the same table. */
export const importLinks: Scenario = {
  name: 'import-links',
  title: 'Links by CSV',
  isComparable: true,
  run: async (bench) => {
    const { subjects, progress, rounds } = bench;
    const hasBaseline = subjects.length === 1 && spawnSync('psql', ['--version']).status === 0;
    progress.begin(importLinks.name, stepsOf(subjects.length + (hasBaseline ? 1 : 0), rounds) + 1);
    progress.step('writing the CSV');
    const count = bench.isQuick ? QUICK_LINKS : LINKS;
    const file = path.join(bench.folder, 'links.csv');
    const warmUp = path.join(bench.folder, 'few-links.csv');
    writeLinksCsv(file, 0, count);
    writeLinksCsv(warmUp, count, count + WARM_UP_LINKS);
    const growth: number[] = [];
    const arms = [
      ...(hasBaseline ? [copyArm(bench, file, count)] : []),
      ...subjects.map((subject) => switchyardArm(bench, subject, { file, warmUp, count, growth })),
    ];
    const results = await runRounds(arms, { rounds, onStep: (what) => progress.step(what) });
    const own = subjects[0]?.name ?? '';
    return {
      name: importLinks.name,
      title: importLinks.title,
      unit: 'links',
      parameters: { links: count },
      arms: results,
      comparisons: compareArms(results, ['perSecond', 'cpuMicros']),
      targets: [
        ...ratioTarget(results, 'rate of \\copy', 'perSecond', 'copy', own, 0.5),
        {
          text: 'peak RSS growth',
          value: median(growth) / MEBIBYTE,
          limit: 64,
          kind: 'at most',
          unit: 'MiB',
        },
      ],
      facts: [],
      timelines: [],
      notes: [
        ...(hasBaseline || subjects.length > 1 ? [] : ['psql is not installed here: not compared']),
        `growth is that of a server which has imported ${WARM_UP_LINKS} links before`,
        'copy writes no events and checks no target; Switchyard writes the event of each link',
      ],
      unitCosts: {},
    };
  },
};

function copyArm({ postgres }: Bench, file: string, count: number): Arm {
  return {
    name: 'copy',
    about: '\\copy into short_urls, its indexes and triggers as they are, one transaction',
    measure: async () => {
      const database = await postgres.database(1);
      const before = readUsage(postgres.pids());
      const startMs = performance.now();
      await psql(database, `\\copy short_urls (${COLUMNS}) FROM '${file}' WITH (FORMAT csv, HEADER)`);
      const seconds = (performance.now() - startMs) / 1000;
      const spent = spentBetween(before, readUsage(postgres.pids()));
      const there = await database.number('SELECT count(*) - 1 FROM short_urls');
      await postgres.drop(database);
      return measureOf(count, seconds, Number.NaN, spent.cpuMicros, Math.abs(count - there));
    },
  };
}

interface Import {
  readonly file: string;
  readonly warmUp: string;
  readonly count: number;
  readonly growth: number[];
}

function switchyardArm(bench: Bench, subject: Subject, { file, warmUp, count, growth }: Import): Arm {
  const { postgres } = bench;
  return {
    name: subject.name,
    about: 'POST /urls/import of the real server',
    measure: async () => {
      const database = await postgres.database(1, [], subject.root);
      const server = await startSwitchyard({
        root: subject.root,
        databaseUrl: database.url,
        placement: 'anywhere',
        profiles: bench.profiles,
      });
      try {
        await upload(server.port, '/urls/import', warmUp);
        await postgres.checkpoint();
        const before = readUsage(server.pids());
        const databaseBefore = readUsage(postgres.pids());
        const startMs = performance.now();
        const { growthBytes, peak } = await growthDuring(server.pids(), () =>
          upload(server.port, '/urls/import', file),
        );
        const seconds = (performance.now() - startMs) / 1000;
        const spent = spentBetween(before, readUsage(server.pids()));
        const databaseSpent = spentBetween(databaseBefore, readUsage(postgres.pids()));
        growth.push(growthBytes);
        const there = await database.number(`SELECT count(*) - ${1 + WARM_UP_LINKS} FROM short_urls`);
        const measure = measureOf(
          count,
          seconds,
          spent.cpuMicros,
          databaseSpent.cpuMicros,
          Math.abs(count - there),
        );
        return { ...measure, peakBytes: peak };
      } finally {
        await server.stop();
        await postgres.drop(database);
      }
    },
  };
}

function measureOf(
  count: number,
  seconds: number,
  cpuMicros: number,
  databaseMicros: number,
  errors: number,
): Measure {
  return {
    perSecond: count / seconds,
    cpuMicros: cpuMicros / count,
    busiestMicros: Number.NaN,
    databaseMicros: databaseMicros / count,
    peakBytes: 0,
    errors,
    latency: [],
  };
}
