import { spawnSync } from 'node:child_process';
import path from 'node:path';
import type { ServerHandle } from '../arms/process.js';
import { psql } from '../arms/psql.js';
import { startSwitchyard } from '../arms/switchyard.js';
import type { Database } from '../data/database.js';
import { writeDistinctPaths } from '../data/links.js';
import { writeUsersCsv } from '../data/users.js';
import { pace } from '../load/load.js';
import { upload } from '../load/upload.js';
import { growthDuring } from '../measure/peak-sampler.js';
import { readUsage, spentBetween } from '../measure/process-usage.js';
import { median } from '../measure/statistics.js';
import { latencyAt, type Measure } from '../report/results.js';
import { type Arm, compareArms, runRounds, stepsOf } from '../rounds.js';
import type { Bench, Scenario, Subject } from '../scenario.js';
import { ratioTarget } from './targets.js';

const LINKS = 1000;
const USERS = 1_000_000;
const QUICK_USERS = 100_000;
const WARM_UP_USERS = 20_000;
const VISITORS = { connections: 8, rate: 1000 } as const;
const IDLE_SECONDS = 5;
const MEBIBYTE = 2 ** 20;

interface Seen {
  readonly growth: number[];
  readonly idleP99: number[];
  readonly busyP99: number[];
}

interface Files {
  readonly users: string;
  readonly warmUp: string;
  readonly paths: string;
  readonly count: number;
}

/** An import's work for the database: staging, then the upsert. */
const upsertSql = `
  INSERT INTO users (username, email, created_at)
  SELECT DISTINCT ON (username COLLATE "C") username, email, coalesce(created_at, now() AT TIME ZONE 'utc')
  FROM staged_users ORDER BY username COLLATE "C", position DESC
  ON CONFLICT (username) DO UPDATE SET email = excluded.email
  WHERE users.email IS DISTINCT FROM excluded.email;`;

export const importUsers: Scenario = {
  name: 'import',
  title: 'Users by CSV',
  isComparable: true,
  run: async (bench) => {
    const { subjects, progress, rounds } = bench;
    const hasBaseline = subjects.length === 1 && spawnSync('psql', ['--version']).status === 0;
    progress.begin(importUsers.name, stepsOf(subjects.length + (hasBaseline ? 1 : 0), rounds) + 1);
    progress.step('writing the CSV');
    const count = bench.isQuick ? QUICK_USERS : USERS;
    const files: Files = {
      users: path.join(bench.folder, 'users.csv'),
      warmUp: path.join(bench.folder, 'few-users.csv'),
      paths: path.join(bench.folder, 'import-paths.txt'),
      count,
    };
    writeUsersCsv(files.users, count);
    writeUsersCsv(files.warmUp, WARM_UP_USERS);
    writeDistinctPaths(files.paths, 1, LINKS);
    const seen: Seen = { growth: [], idleP99: [], busyP99: [] };
    const arms = [
      ...(hasBaseline ? [psqlArm(bench, files)] : []),
      ...subjects.map((subject, order) =>
        switchyardArm(bench, subject, files, order === 0 ? seen : { growth: [], idleP99: [], busyP99: [] }),
      ),
    ];
    const results = await runRounds(arms, { rounds, onStep: (what) => progress.step(what) });
    return {
      name: importUsers.name,
      title: importUsers.title,
      unit: 'rows',
      parameters: { users: count },
      arms: results,
      comparisons: compareArms(results, ['perSecond', 'cpuMicros']),
      targets: [
        ...ratioTarget(results, 'rate of psql', 'perSecond', 'psql', subjects[0]?.name ?? '', 0.8),
        {
          text: 'peak RSS growth',
          value: median(seen.growth) / MEBIBYTE,
          limit: 48,
          kind: 'at most',
          unit: 'MiB',
        },
        {
          text: 'redirect p99 during an import, of that before it',
          value: median(seen.busyP99) / median(seen.idleP99),
          limit: 2,
          kind: 'at most',
          unit: '×',
        },
      ],
      facts: [
        { label: 'redirect p99 before', value: median(seen.idleP99), unit: 'ms' },
        { label: 'redirect p99 during', value: median(seen.busyP99), unit: 'ms' },
      ],
      timelines: [],
      notes: [
        ...(hasBaseline || subjects.length > 1 ? [] : ['psql is not installed here: not compared']),
        `growth is that of a server which has imported ${WARM_UP_USERS} users before`,
        `redirects come at ${VISITORS.rate}/s on ${VISITORS.connections} connections, in an import of its own`,
        'nothing is pinned: server, PostgreSQL and client share the cores',
      ],
      unitCosts: {},
    };
  },
};

function psqlArm(bench: Bench, { users, count }: Files): Arm {
  return {
    name: 'psql',
    about: '\\copy to a staging table, then the same upsert, in one transaction',
    measure: async () => {
      const { postgres } = bench;
      const database = await postgres.database(LINKS);
      const script = `
        BEGIN;
        CREATE TEMPORARY TABLE staged_users (position bigint, username text, email text, created_at timestamp(3)) ON COMMIT DROP;
        \\copy staged_users FROM '${users}' WITH (FORMAT csv, HEADER)
        ${upsertSql}
        COMMIT;`;
      const before = readUsage(postgres.pids());
      const startMs = performance.now();
      await psql(database, script);
      const seconds = (performance.now() - startMs) / 1000;
      const spent = spentBetween(before, readUsage(postgres.pids()));
      const errors = await missingUsers(database, count);
      await postgres.drop(database);
      return measureOf(
        count,
        seconds,
        { cpuMicros: Number.NaN, busiestMicros: Number.NaN },
        spent.cpuMicros,
        errors,
      );
    },
  };
}

function switchyardArm(bench: Bench, subject: Subject, files: Files, seen: Seen): Arm {
  return {
    name: subject.name,
    about: 'POST /users/bulk of the real server',
    measure: async () => {
      const { postgres } = bench;
      const database = await postgres.database(LINKS);
      const server = await startSwitchyard({
        root: subject.root,
        databaseUrl: database.url,
        placement: 'anywhere',
        profiles: bench.profiles,
      });
      try {
        await upload(server.port, '/users/bulk', files.warmUp);
        await database.client.query(`DELETE FROM users WHERE username LIKE 'imported%'`);
        await postgres.checkpoint();
        const before = readUsage(server.pids());
        const databaseBefore = readUsage(postgres.pids());
        const startMs = performance.now();
        const { growthBytes, peak } = await growthDuring(server.pids(), () =>
          upload(server.port, '/users/bulk', files.users),
        );
        const seconds = (performance.now() - startMs) / 1000;
        const spent = spentBetween(before, readUsage(server.pids()));
        const databaseSpent = spentBetween(databaseBefore, readUsage(postgres.pids()));
        const errors = await missingUsers(database, files.count);
        seen.growth.push(growthBytes);
        const visitorErrors = await redirectsMeanwhile(server, files, seconds, seen);
        return {
          ...measureOf(files.count, seconds, spent, databaseSpent.cpuMicros, errors + visitorErrors),
          peakBytes: peak,
        };
      } finally {
        await server.stop();
        await postgres.drop(database);
      }
    },
  };
}

/** Redirects at a low, steady rate: for themselves, and then while the same file is imported again. */
async function redirectsMeanwhile(
  server: ServerHandle,
  files: Files,
  seconds: number,
  seen: Seen,
): Promise<number> {
  const load = { port: server.port, paths: files.paths, expected: 302, isPinned: false, ...VISITORS };
  await pace({ ...load, seconds: 2 });
  const idle = await pace({ ...load, seconds: IDLE_SECONDS });
  const uploading = upload(server.port, '/users/bulk', files.users);
  // An import of known users takes about as long; visitors should be there for most of it.
  const busy = await pace({ ...load, seconds: Math.max(2, Math.floor(seconds * 0.8)) });
  await uploading;
  seen.idleP99.push(latencyAt({ latency: idle.latency } as Measure, 0.99));
  seen.busyP99.push(latencyAt({ latency: busy.latency } as Measure, 0.99));
  return idle.errors + busy.errors;
}

function measureOf(
  count: number,
  seconds: number,
  spent: { readonly cpuMicros: number; readonly busiestMicros: number },
  databaseMicros: number,
  errors: number,
): Measure {
  return {
    perSecond: count / seconds,
    cpuMicros: spent.cpuMicros / count,
    busiestMicros: spent.busiestMicros / count,
    databaseMicros: databaseMicros / count,
    peakBytes: 0,
    errors,
    latency: [],
  };
}

async function missingUsers(database: Database, count: number): Promise<number> {
  return Math.abs(
    count - (await database.number(`SELECT count(*) FROM users WHERE username LIKE 'imported%'`)),
  );
}
