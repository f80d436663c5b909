import { setTimeout as sleep } from 'node:timers/promises';
import { holdIngest } from '../arms/ingest-hold.js';
import { measureLoad } from '../arms/load-arm.js';
import type { ServerHandle } from '../arms/process.js';
import { startSwitchyard } from '../arms/switchyard.js';
import { saturate } from '../load/load.js';
import type { Scenario } from '../scenario.js';
import { CONNECTIONS, fillCache, LINKS, popularPaths } from './redirect-setup.js';

const SECONDS = 60;
const QUICK_SECONDS = 10;
const HELD_SECONDS = 10;
const SAMPLE_MS = 500;
/** How long the clicks may take to arrive before we give up waiting for them. */
const ARRIVAL_MS = 600_000;

interface Sample {
  readonly second: number;
  readonly answered: number;
  readonly pending: number;
  readonly behind: number;
}

export const redirectSustained: Scenario = {
  name: 'redirect-sustained',
  title: 'Full load with the ingest running',
  isComparable: false,
  run: async (bench) => {
    const { postgres, progress } = bench;
    const seconds = bench.isQuick ? QUICK_SECONDS : SECONDS;
    progress.begin(redirectSustained.name, 4);
    const database = await postgres.database(LINKS);
    const [subject] = bench.subjects;
    if (subject === undefined) throw new Error('there is nothing to measure');
    progress.step('starting');
    const server = await startSwitchyard({
      root: subject.root,
      databaseUrl: database.url,
      placement: 'anywhere',
      profiles: bench.profiles,
    });
    try {
      await fillCache(server);
      const load = {
        port: server.port,
        connections: CONNECTIONS,
        seconds: HELD_SECONDS,
        paths: popularPaths(bench),
        expected: 302,
        isPinned: false,
      };
      const databasePids = (): number[] => postgres.pids();
      progress.step('the same load with the ingest held, to compare with');
      const release = await holdIngest(database);
      await saturate(bench.generator, { ...load, seconds: 2 });
      const held = await measureLoad(server, load, bench.generator, databasePids);
      await release();
      await arrived(server);
      progress.step(`full load for ${seconds} s`);
      const sampler = sample(server);
      const full = await measureLoad(server, { ...load, seconds }, bench.generator, databasePids);
      const endMs = performance.now();
      progress.step('waiting for the last click');
      const inTime = await arrived(server);
      const arrivalSeconds = (performance.now() - endMs) / 1000;
      const samples = await sampler.stop();
      const counters = await numbers(server);
      const counted = await database.number('SELECT sum(click_count) FROM short_urls');
      const lost = Math.abs(counters.answered - counted);
      return {
        name: redirectSustained.name,
        title: redirectSustained.title,
        unit: 'requests',
        parameters: { connections: CONNECTIONS, links: LINKS, seconds },
        arms: [
          { name: 'ingest held', about: 'as redirect-hit, nothing pinned', first: [held.measure], twin: [] },
          {
            name: 'ingest running',
            about: 'the same server, all of it at work',
            first: [{ ...full.measure, errors: full.measure.errors + (inTime ? lost : 1) }],
            twin: [],
          },
        ],
        comparisons: [],
        targets: [
          {
            text: 'last click in the database after the end',
            value: arrivalSeconds,
            limit: 30,
            kind: 'at most',
            unit: 's',
          },
        ],
        facts: [
          {
            label: 'clicks a second ingested while under load',
            value: ingestRate(samples, seconds),
            unit: '/s',
          },
          { label: 'clicks that waited at the end', value: pendingAt(samples, seconds), unit: '' },
          {
            label: 'throughput with the ingest running, of that with it held',
            value: full.measure.perSecond / held.measure.perSecond,
            unit: '×',
          },
          { label: 'answered and not counted in the database', value: lost, unit: 'clicks' },
        ],
        timelines: [
          {
            title: 'Ingest lag: age of the oldest click not in the database',
            unit: 's',
            series: [{ name: 'behind', points: samples.map(({ second, behind }) => [second, behind]) }],
          },
          {
            title: 'Clicks',
            unit: '',
            series: [
              { name: 'answered', points: samples.map(({ second, answered }) => [second, answered]) },
              { name: 'waiting', points: samples.map(({ second, pending }) => [second, pending]) },
            ],
          },
        ],
        notes: ['nothing is pinned: gateway, ingest, PostgreSQL and generator share the cores'],
        unitCosts: {},
      };
    } finally {
      await server.stop();
      await postgres.drop(database);
    }
  },
};

async function numbers(server: ServerHandle): Promise<Omit<Sample, 'second'>> {
  const metrics = (await server.metrics?.()) ?? new Map<string, number>();
  return {
    answered: metrics.get('http_requests_total{method="GET",route="/:short_code",status="302"}') ?? 0,
    pending: metrics.get('clicks_pending') ?? 0,
    behind: metrics.get('switchyard_ingest_behind_seconds') ?? 0,
  };
}

/** Waits until no click is under way. @returns whether it happened in time. */
async function arrived(server: ServerHandle): Promise<boolean> {
  const deadline = performance.now() + ARRIVAL_MS;
  while (performance.now() < deadline) {
    if ((await numbers(server)).pending === 0) return true;
    await sleep(50);
  }
  return false;
}

function sample(server: ServerHandle): { stop(): Promise<Sample[]> } {
  const samples: Sample[] = [];
  const startMs = performance.now();
  let isOver = false;
  const loop = async (): Promise<void> => {
    let first: number | undefined;
    while (!isOver) {
      const now = await numbers(server);
      first ??= now.answered;
      samples.push({ ...now, answered: now.answered - first, second: (performance.now() - startMs) / 1000 });
      await sleep(SAMPLE_MS);
    }
  };
  const done = loop();
  return {
    stop: async () => {
      isOver = true;
      await done;
      return samples;
    },
  };
}

function at(samples: readonly Sample[], second: number): Sample | undefined {
  return samples.filter((one) => one.second <= second).at(-1);
}

function pendingAt(samples: readonly Sample[], second: number): number {
  return at(samples, second)?.pending ?? Number.NaN;
}

function ingestRate(samples: readonly Sample[], seconds: number): number {
  const end = at(samples, seconds);
  return end === undefined ? Number.NaN : (end.answered - end.pending) / end.second;
}
