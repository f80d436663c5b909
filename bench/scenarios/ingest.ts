import { cpSync, rmSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseConfig } from '../../src/config.js';
import { holdIngest } from '../arms/ingest-hold.js';
import { Job } from '../arms/job.js';
import { startSwitchyard } from '../arms/switchyard.js';
import { writeJournal } from '../data/clicks.js';
import { type Database, makeFolder } from '../data/database.js';
import { peakBytes, readUsage, spentBetween } from '../measure/process-usage.js';
import { median } from '../measure/statistics.js';
import type { Fact, Measure } from '../report/results.js';
import { type Arm, compareArms, medianOf, runRounds, stepsOf } from '../rounds.js';
import type { Bench, Scenario, Subject } from '../scenario.js';
import { armOf, ratioTarget } from './targets.js';

const LINKS = 100_000;
const CLICKS = 2_000_000;
const QUICK_CLICKS = 200_000;
const DEADLINE_MS = 300_000;

/** The size of a click on the disk in bytes, one figure for each turn. */
interface Sizes {
  readonly table: number[];
  readonly indexes: number[];
  readonly wal: number[];
}

function factsOf(name: string, { table, indexes, wal }: Sizes): Fact[] {
  return [
    { label: `${name}: events table`, value: median(table), unit: 'bytes a click' },
    { label: `${name}: indexes of events`, value: median(indexes), unit: 'bytes a click' },
    { label: `${name}: WAL`, value: median(wal), unit: 'bytes a click' },
  ];
}

export const ingest: Scenario = {
  name: 'ingest',
  title: 'Journalled clicks into the events table',
  isComparable: true,
  run: async (bench) => {
    const { subjects, progress, rounds, postgres } = bench;
    const clicks = bench.isQuick ? QUICK_CLICKS : CLICKS;
    const batch = parseConfig({}).CLICK_INGEST_BATCH;
    const hasBaseline = subjects.length === 1;
    progress.begin(ingest.name, stepsOf(subjects.length + (hasBaseline ? 2 : 0), rounds) + 1);
    progress.step('writing the journal');
    const journal = writeJournal(path.join(bench.folder, 'written'), clicks, LINKS);
    const measured = subjects.map((subject) => {
      const sizes: Sizes = { table: [], indexes: [], wal: [] };
      return { subject, sizes };
    });
    const baselines = [
      copyArm(bench, 'copy', `COPY and counters, ${batch} rows a transaction`, clicks, batch),
      copyArm(bench, 'copy at once', 'COPY and counters, all rows in one transaction', clicks, clicks),
    ];
    const arms = [
      ...(hasBaseline ? baselines : []),
      ...measured.map(({ subject, sizes }) => switchyardArm(bench, subject, journal.folder, clicks, sizes)),
    ];
    const results = await runRounds(arms, { rounds, onStep: (what) => progress.step(what) });
    const head = subjects[0]?.name ?? '';
    const own = armOf(results, head);
    const sample = await postgres.database(LINKS);
    const linkBytes = (await sample.number(`SELECT pg_total_relation_size('short_urls')`)) / LINKS;
    await postgres.drop(sample);
    const bytes: Fact[] = [
      { label: 'journal', value: journal.bytes / clicks, unit: 'bytes a click' },
      ...measured.flatMap(({ subject, sizes }) => factsOf(subject.name, sizes)),
      { label: 'short_urls with its indexes', value: linkBytes, unit: 'bytes a link' },
    ];
    return {
      name: ingest.name,
      title: ingest.title,
      unit: 'clicks',
      parameters: { clicks, links: LINKS, popularity: 'Zipf 1.0', batch },
      arms: results,
      comparisons: compareArms(results, ['perSecond', 'cpuMicros']),
      targets: [
        ...ratioTarget(results, 'rate of COPY in the same batches', 'perSecond', 'copy', head, 0.85),
        ...ratioTarget(results, 'rate of COPY at once', 'perSecond', 'copy at once', head, 0.85),
      ],
      facts: bytes,
      timelines: [],
      notes: [
        'one journal, so one connection ingests it, as one connection copies in the baselines',
        'CPU of the baselines is that of the process that sends rows which lie ready in memory',
      ],
      unitCosts:
        own === undefined
          ? {}
          : {
              ingestMicros: medianOf(own, ({ cpuMicros }) => cpuMicros),
              ingestDatabaseMicros: medianOf(own, ({ databaseMicros }) => databaseMicros),
              clicksIngestedPerConnection: medianOf(own, ({ perSecond }) => perSecond),
              journalBytes: journal.bytes / clicks,
              eventTableBytes: median(measured[0]?.sizes.table ?? []),
              eventIndexBytes: median(measured[0]?.sizes.indexes ?? []),
              walBytes: median(measured[0]?.sizes.wal ?? []),
              linkBytes,
            },
    };
  },
};

function copyArm(bench: Bench, name: string, about: string, clicks: number, batch: number): Arm {
  return {
    name,
    about,
    measure: async () => {
      const database = await bench.postgres.database(LINKS);
      const job = new Job('copy-clicks', {
        DATABASE_URL: database.url,
        CLICKS: String(clicks),
        LINKS: String(LINKS),
        BATCH: String(batch),
      });
      await job.ready();
      const before = readUsage(bench.postgres.pids());
      const result = await job.run();
      const spent = spentBetween(before, readUsage(bench.postgres.pids()));
      const errors = await missingClicks(database, clicks);
      await bench.postgres.drop(database);
      return {
        perSecond: clicks / result.seconds,
        cpuMicros: result.cpuMicros / clicks,
        busiestMicros: result.cpuMicros / clicks,
        databaseMicros: spent.cpuMicros / clicks,
        peakBytes: result.peakBytes,
        errors,
        latency: [],
      };
    },
  };
}

/** A server that finds the journal of a killed one, and ingests it. */
function switchyardArm(bench: Bench, subject: Subject, journal: string, clicks: number, sizes: Sizes): Arm {
  return {
    name: subject.name,
    about: 'the real server adopting a journal',
    measure: async () => {
      const { postgres } = bench;
      const database = await postgres.database(LINKS, [], subject.root);
      const dataDir = makeFolder('data');
      cpSync(journal, path.join(dataDir, 'journal'), { recursive: true });
      const release = await holdIngest(database);
      const server = await startSwitchyard({
        root: subject.root,
        databaseUrl: database.url,
        placement: 'anywhere',
        dataDir,
        profiles: bench.profiles,
      });
      try {
        // The server has started and its first transaction waits for our lock.
        await sleep(1000);
        await postgres.checkpoint();
        const walBefore = await walPosition(database);
        const before = readUsage(server.pids());
        const databaseBefore = readUsage(postgres.pids());
        const startMs = performance.now();
        await release();
        await takenIn(database, clicks);
        const seconds = (performance.now() - startMs) / 1000;
        // Postponed work is part of the cost.
        await allSealed(database);
        const spent = spentBetween(before, readUsage(server.pids()));
        const databaseSpent = spentBetween(databaseBefore, readUsage(postgres.pids()));
        sizes.wal.push(((await walPosition(database)) - walBefore) / clicks);
        sizes.table.push((await partitionBytes(database, 'pg_table_size')) / clicks);
        sizes.indexes.push((await partitionBytes(database, 'pg_indexes_size')) / clicks);
        const measure: Measure = {
          perSecond: clicks / seconds,
          cpuMicros: spent.cpuMicros / clicks,
          busiestMicros: spent.busiestMicros / clicks,
          databaseMicros: databaseSpent.cpuMicros / clicks,
          peakBytes: peakBytes(server.pids()),
          errors: await missingClicks(database, clicks),
          latency: [],
        };
        return measure;
      } finally {
        await server.stop();
        await postgres.drop(database);
        rmSync(dataDir, { recursive: true, force: true });
      }
    },
  };
}

/** A journal's checkpoint counts its clicks, and is removed when the journal is gone. */
async function takenIn(database: Database, clicks: number): Promise<void> {
  const deadline = performance.now() + DEADLINE_MS;
  let hasBegun = false;
  for (;;) {
    const done = await database.number('SELECT coalesce(sum(clicks + dropped), -1) FROM journal_checkpoints');
    if (done >= clicks || (hasBegun && done === -1)) return;
    hasBegun ||= done > 0;
    if (performance.now() > deadline) throw new Error(`${done} of ${clicks} clicks after ${DEADLINE_MS} ms`);
    await sleep(10);
  }
}

async function missingClicks(database: Database, clicks: number): Promise<number> {
  const events = await database.number('SELECT count(*) FROM events');
  const counted = await database.number('SELECT sum(click_count) FROM short_urls');
  return Math.abs(clicks - events) + Math.abs(clicks - counted);
}

function walPosition(database: Database): Promise<number> {
  return database.number(`SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn`);
}

/** Settles when each chunk of events whose ids are used has its indexes; at once without chunks. */
async function allSealed(database: Database): Promise<void> {
  if ((await database.number(`SELECT count(to_regproc('event_chunks'))`)) === 0) return;
  const deadline = Date.now() + DEADLINE_MS;
  const full =
    'SELECT count(*) FROM event_chunks(), events_id_seq WHERE NOT is_sealed AND end_id <= last_value';
  while ((await database.number(full)) > 0) {
    if (Date.now() > deadline) throw new Error('full chunks of events were not sealed');
    await sleep(50);
  }
}

function partitionBytes(database: Database, size: 'pg_table_size' | 'pg_indexes_size'): Promise<number> {
  return database.number(`SELECT sum(${size}(relid)) FROM pg_partition_tree('events') WHERE isleaf`);
}
