import path from 'node:path';
import pg from 'pg';
import { VisitKind } from '../../src/journal/format.js';
import type { JournalledClick } from '../../src/journal/known.js';
import { copyInto } from '../../src/postgres/copy.js';
import { clientOptions } from '../../src/postgres/pool.js';
import { buildSums } from '../../src/store/stats-build.js';
import { addDifferences, keepSums, sumBusyLinks } from '../../src/store/stats-sums.js';
import { differenceRows } from '../../src/workers/ingest/click-differences.js';
import { startSwitchyard } from '../arms/switchyard.js';
import { clickedLinks } from '../data/clicks.js';
import type { Database } from '../data/database.js';
import { fillEvents } from '../data/events.js';
import { codeOf, createdMsOf, scatter, targetOf, userOf, writePopularPaths } from '../data/links.js';
import { pace } from '../load/load.js';
import { readUsage, spentBetween } from '../measure/process-usage.js';
import { percentile } from '../measure/statistics.js';
import type { Fact } from '../report/results.js';
import type { Bench, Scenario } from '../scenario.js';

const CLICKS = 100_000_000;
const QUICK_CLICKS = 200_000;
const CLICKS_A_LINK = 100;
const REDIRECTS_A_SECOND = 1000;
const MIN_SECONDS = 15;
const BATCH = 20_000;
const BATCHES = 15;
const BATCHES_A_STEP = 5;
/** The interval between batches, as on a busy server. */
const BATCH_MS = 1000;

/** Statistics of many clicks while redirects run, and the cost of their sums. */
export const stats: Scenario = {
  name: 'stats',
  title: 'GET /stats and /urls/<id>/stats, and the sums behind them',
  isComparable: false,
  isOnRequest: true,
  run: async (bench) => {
    const clicks = bench.clicks ?? (bench.isQuick ? QUICK_CLICKS : CLICKS);
    const links = Math.max(1000, Math.floor(clicks / CLICKS_A_LINK));
    bench.progress.begin(stats.name, 5);
    const costs = await costsOfSums(bench, links);
    bench.progress.step(`making ${clicks} events on ${links} links`);
    const database = await bench.postgres.database(links);
    try {
      await fillEvents(database, clicks, links);
      bench.progress.step('making the sums');
      const build = await makeSums(database);
      const sizes = await sizesOf(database, clicks);
      bench.progress.step('asking while redirects run');
      const times = await askWhileRedirecting(bench, database, links);
      const slowest = (route: string): number =>
        percentile(
          [...times].filter(([name]) => name.startsWith(route)).flatMap(([, one]) => one),
          0.95,
        );
      return {
        name: stats.name,
        title: stats.title,
        unit: 'requests',
        parameters: { clicks, links, popularity: 'Zipf 1.0', redirects: REDIRECTS_A_SECOND },
        arms: [],
        comparisons: [],
        targets: [
          { text: 'p95 of /stats', value: slowest('/stats'), limit: 50, kind: 'at most', unit: 'ms' },
          {
            text: 'p95 of /urls/<id>/stats',
            value: slowest('/urls'),
            limit: 50,
            kind: 'at most',
            unit: 'ms',
          },
          {
            text: 'CPU of the sums a click, plain',
            value: costs.plain.queueMicros + costs.plain.jobMicros,
            limit: 1.5,
            kind: 'at most',
            unit: 'µs',
          },
          { text: 'size of the sums a click', value: sizes.bytes, limit: 30, kind: 'at most', unit: 'bytes' },
        ],
        facts: [
          ...[...times].flatMap(([name, one]): Fact[] => [
            { label: `${name}: p50`, value: percentile(one, 0.5), unit: 'ms' },
            { label: `${name}: p95`, value: percentile(one, 0.95), unit: 'ms' },
          ]),
          ...Object.entries(costs).flatMap(([name, { queueMicros, jobMicros }]): Fact[] => [
            { label: `${name} clicks: the ingest's row`, value: queueMicros, unit: 'µs a click' },
            { label: `${name} clicks: adding it`, value: jobMicros, unit: 'µs a click' },
          ]),
          { label: 'links with sums of their own', value: build.busyLinks, unit: 'links' },
          { label: 'making all sums anew', value: build.seconds, unit: 's' },
        ],
        timelines: [],
        notes: [
          `costs are CPU of PostgreSQL's backends: ${BATCH} clicks a batch over all links, ${BATCHES_A_STEP} batches a step`,
          'sums were made from events at once; what is added as it comes is in smaller arrays until they are merged',
        ],
        unitCosts: {},
      };
    } finally {
      await bench.postgres.drop(database);
    }
  },
};

/** A connection like the server's. */
async function connect({ address }: Database): Promise<pg.Client> {
  const client = new pg.Client(clientOptions(address, 'bench', 20_000));
  await client.connect();
  return client;
}

async function makeSums(database: Database): Promise<{ seconds: number; busyLinks: number }> {
  const client = await connect(database);
  try {
    const startMs = performance.now();
    await buildSums(client);
    let busyLinks = 0;
    for (let more = 1; more > 0; busyLinks += more) more = await sumBusyLinks(client);
    while (await keepSums(client));
    const seconds = (performance.now() - startMs) / 1000;
    await client.query('VACUUM (ANALYZE) stats_slots, stats_day_facts');
    return { seconds, busyLinks };
  } finally {
    await client.end();
  }
}

async function sizesOf({ number }: Database, clicks: number): Promise<{ bytes: number }> {
  const bytes = await number(
    `SELECT pg_total_relation_size('stats_slots') + pg_total_relation_size('stats_day_facts')`,
  );
  return { bytes: bytes / clicks };
}

async function askWhileRedirecting(
  bench: Bench,
  database: Database,
  links: number,
): Promise<ReadonlyMap<string, number[]>> {
  const [subject] = bench.subjects;
  if (subject === undefined) throw new Error('there is nothing to measure');
  const server = await startSwitchyard({
    root: subject.root,
    databaseUrl: database.url,
    placement: 'anywhere',
    profiles: bench.profiles,
  });
  try {
    const paths = path.join(bench.folder, `popular-${links}.txt`);
    writePopularPaths(paths, links, 100_000);
    const seconds = Math.max(bench.seconds, MIN_SECONDS);
    let isOver = false;
    const redirects = pace({
      ...{ port: server.port, paths, seconds, rate: REDIRECTS_A_SECOND },
      ...{ connections: 64, expected: 302, isPinned: false },
    }).finally(() => {
      isOver = true;
    });
    const times = new Map<string, number[]>(requestsOf(links).map(([name]) => [name, []]));
    for (let round = 0; !isOver; round += 1) {
      for (const [name, request] of requestsOf(links)) {
        const startMs = performance.now();
        const response = await fetch(`http://127.0.0.1:${server.port}${request}`);
        await response.arrayBuffer();
        if (response.status !== 200) throw new Error(`${request}: ${response.status}`);
        // The first ones find nothing prepared.
        if (round > 0) times.get(name)?.push(performance.now() - startMs);
      }
    }
    const { errors } = await redirects;
    if (errors > 0) throw new Error(`${errors} redirects failed`);
    return times;
  } finally {
    await server.stop();
  }
}

const FACTS = 'by=country,referrer,browser,os,device';

function requestsOf(links: number): (readonly [name: string, request: string])[] {
  const recent = new Date(Date.now() - 3 * 3_600_000).toISOString();
  const link = (rank: number): string => `/urls/${scatter(rank, links)}/stats?${FACTS}`;
  return [
    ['/stats of 30 days', '/stats'],
    ['/stats of 30 days by facts', `/stats?${FACTS}`],
    ['/stats of 30 days by code', '/stats?by=code'],
    ['/stats of 3 hours by code', `/stats?by=code&from=${recent}`],
    ['/stats of 3 hours by facts', `/stats?${FACTS}&from=${recent}&timezone=Asia/Kathmandu`],
    ['/urls/<the first link>', link(1)],
    ['/urls/<link of rank 50>', link(50)],
    ['/urls/<a rare link>', link(links - 1)],
  ];
}

interface Costs {
  readonly queueMicros: number;
  readonly jobMicros: number;
}

/** PostgreSQL's CPU for the statistics of batches of clicks. */
async function costsOfSums(
  bench: Bench,
  links: number,
): Promise<Readonly<Record<'plain' | 'detailed', Costs>>> {
  const measure = async (name: string, isDetailed: boolean): Promise<Costs> => {
    bench.progress.step(`the cost of ${name} clicks`);
    const database = await bench.postgres.database(links);
    try {
      return await costOf(database, batchesOf(links, isDetailed));
    } finally {
      await bench.postgres.drop(database);
    }
  };
  return { plain: await measure('plain', false), detailed: await measure('detailed', true) };
}

async function costOf(database: Database, batches: readonly JournalledClick[][]): Promise<Costs> {
  const client = await connect(database);
  try {
    const pid = Number((await client.query<{ pid: string }>('SELECT pg_backend_pid() AS pid')).rows[0]?.pid);
    let queueMicros = 0;
    let jobMicros = 0;
    let counted = 0;
    for (const [index, clicks] of batches.entries()) {
      const before = readUsage([pid]);
      const columns =
        'amount, minute, url_ids, owners, facts, clicks, previews, countries, referrers, browsers, systems, devices';
      await copyInto(
        client,
        `stats_batches (${columns})`,
        differenceRows(clicks, ({ userId }) => userId),
        'binary',
      );
      const between = readUsage([pid]);
      if ((index + 1) % BATCHES_A_STEP === 0) await addDifferences(client);
      // The first step finds nothing planned.
      if (index < BATCHES_A_STEP) continue;
      counted += clicks.length;
      queueMicros += spentBetween(before, between).cpuMicros;
      jobMicros += spentBetween(between, readUsage([pid])).cpuMicros;
    }
    return { queueMicros: queueMicros / counted, jobMicros: jobMicros / counted };
  } finally {
    await client.end();
  }
}

/** Batches of clicks; detailed ones have some thousand different visits. */
function batchesOf(links: number, isDetailed: boolean): JournalledClick[][] {
  const startMs = Date.now() - BATCHES * BATCH_MS;
  const visits = Array.from({ length: isDetailed ? 3000 : 0 }, (_, n) => ({
    referrer: n % 3 === 0 ? '' : `https://site${n % 200}.example/`,
    userAgent: `Mozilla/5.0 (X11; Linux x86_64; rv:${100 + (n % 30)}.0) Gecko/20100101 Firefox/${100 + (n % 30)}.0`,
    country: String.fromCharCode(65 + (n % 10), 65 + (n % 7)),
    address: '',
    kind: n % 10 === 0 ? VisitKind.PREVIEW : VisitKind.CLICK,
  }));
  const known = new Map<number, JournalledClick['link']>();
  const batches: JournalledClick[][] = Array.from({ length: BATCHES }, () => []);
  let index = 0;
  for (const n of clickedLinks(BATCHES * BATCH, links)) {
    let link = known.get(n);
    if (link === undefined) {
      link = {
        ...{ urlId: String(n), userId: String(userOf(n)), shortCode: codeOf(n) },
        ...{ target: targetOf(n), createdMs: createdMsOf(n) },
      };
      known.set(n, link);
    }
    const timeMs = startMs + (index * BATCH_MS) / BATCH;
    const visit = isDetailed ? visits[index % visits.length] : undefined;
    batches[Math.floor(index / BATCH)]?.push({ link, timeMs, visit });
    index += 1;
  }
  return batches;
}
