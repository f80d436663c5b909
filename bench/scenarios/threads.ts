import { availableParallelism } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { measureLoad } from '../arms/load-arm.js';
import type { ServerHandle } from '../arms/process.js';
import { startSwitchyard } from '../arms/switchyard.js';
import type { Database } from '../data/database.js';
import { codeOf } from '../data/links.js';
import { ask } from '../load/ask.js';
import { requestText } from '../load/connection.js';
import { saturate } from '../load/load.js';
import type { ArmResult, Fact } from '../report/results.js';
import type { Bench, Scenario } from '../scenario.js';
import { CONNECTIONS, fillCache, LINKS, popularPaths } from './redirect-setup.js';

const THREADS = [1, 2, 4];
/** Connections that request a changed link: with this many, every gateway thread has some. */
const OBSERVERS = 64;
const CHANGES = 20;

export const threads: Scenario = {
  name: 'threads',
  title: 'One, two and four gateway threads',
  isComparable: false,
  run: async (bench) => {
    bench.progress.begin(threads.name, THREADS.length);
    const paths = popularPaths(bench);
    const arms: ArmResult[] = [];
    const facts: Fact[] = [{ label: 'cores', value: availableParallelism(), unit: '' }];
    let uncounted = 0;
    let stale = 0;
    for (const count of THREADS) {
      bench.progress.step(`${count} threads`);
      const seen = await measureThreads(bench, count, paths);
      arms.push(seen.arm);
      uncounted += seen.uncounted;
      stale += seen.stale;
    }
    const single = arms[0]?.first[0]?.perSecond ?? Number.NaN;
    for (const arm of arms.slice(1)) {
      const value = (arm.first[0]?.perSecond ?? Number.NaN) / single;
      facts.push({ label: `throughput of ${arm.name}, of that of one`, value, unit: '×' });
    }
    return {
      name: threads.name,
      title: threads.title,
      unit: 'requests',
      parameters: { connections: CONNECTIONS, links: LINKS, seconds: bench.seconds },
      arms,
      comparisons: [],
      targets: [
        {
          text: 'clicks answered and not counted',
          value: uncounted,
          limit: 0,
          kind: 'at most',
          unit: 'clicks',
        },
        {
          text: 'old targets after a change was answered',
          value: stale,
          limit: 0,
          kind: 'at most',
          unit: 'answers',
        },
      ],
      facts,
      timelines: [],
      notes: ['the generator takes one core, so more gateway threads than cores less one gain nothing here'],
      unitCosts: {},
    };
  },
};

async function measureThreads(
  bench: Bench,
  count: number,
  paths: string,
): Promise<{ arm: ArmResult; uncounted: number; stale: number }> {
  const [subject] = bench.subjects;
  if (subject === undefined) throw new Error('there is nothing to measure');
  const database = await bench.postgres.database(LINKS);
  const server = await startSwitchyard({
    root: subject.root,
    databaseUrl: database.url,
    placement: 'anywhere',
    settings: { GATEWAY_THREADS: String(count) },
  });
  try {
    await fillCache(server);
    const load = {
      port: server.port,
      connections: CONNECTIONS,
      seconds: bench.seconds,
      paths,
      expected: 302,
      isPinned: false,
    };
    await saturate(bench.generator, { ...load, seconds: 2 });
    const { measure } = await measureLoad(server, load, bench.generator);
    const uncounted = await uncountedClicks(server, database);
    const stale = await staleAnswers(server);
    const arm = {
      name: `${count} threads`,
      about: 'the real server, ingest running',
      first: [measure],
      twin: [],
    };
    return { arm, uncounted, stale };
  } finally {
    await server.stop();
    await bench.postgres.drop(database);
  }
}

/** Redirects answered by any thread, less clicks in the database when all have arrived. */
async function uncountedClicks(server: ServerHandle, database: Database): Promise<number> {
  for (;;) {
    const metrics = (await server.metrics?.()) ?? new Map<string, number>();
    if ((metrics.get('clicks_pending') ?? 0) > 0) {
      await sleep(200);
      continue;
    }
    const answered = metrics.get('http_requests_total{method="GET",route="/:short_code",status="302"}') ?? 0;
    const events = await database.number('SELECT count(*) FROM events');
    const counted = await database.number('SELECT sum(click_count) FROM short_urls');
    return Math.abs(answered - events) + Math.abs(answered - counted);
  }
}

/** Changes a link repeatedly, and requests it on many connections as soon as the change is answered. */
async function staleAnswers({ port }: ServerHandle): Promise<number> {
  let stale = 0;
  for (let change = 1; change <= CHANGES; change += 1) {
    const target = `https://www.example.com/changed/${change}`;
    const response = await fetch(`http://127.0.0.1:${port}/urls/1`, {
      method: 'PUT',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ original_url: target }),
    });
    if (response.status !== 200) throw new Error(`PUT /urls/1: ${response.status}`);
    const answers = await Promise.all(
      Array.from({ length: OBSERVERS }, () => ask(port, requestText({ port }, `/${codeOf(1)}`))),
    );
    stale += answers.filter(({ headers }) => headers.get('location') !== target).length;
  }
  return stale;
}
