import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { holdIngest } from './arms/ingest-hold.js';
import { readMetrics } from './arms/switchyard.js';
import { CountedServer } from './counted-server.js';
import { BenchPostgres } from './data/database.js';
import { codeOf } from './data/links.js';
import { COUNTRY_HEADER, visitorHeaders } from './data/visitors.js';
import { Bursts } from './load/bursts.js';
import { requestText } from './load/connection.js';
import { readUsage } from './measure/process-usage.js';
import { median } from './measure/statistics.js';
import { table } from './report/text.js';
import { root } from './root.js';
import { countSystemCalls, whyNotTraced } from './system-calls.js';

/**
 * Costs that are counted, not timed: the same on a fast machine and a slow one, busy or not. A change
 * that makes the redirect allocate, call the system or send messages more than it did fails here.
 *
 *     node dist/bench/counted.js            prints what was counted
 *     node dist/bench/counted.js --check    and fails when a limit is exceeded
 *     node dist/bench/counted.js --update   and writes the limits anew
 */
const limitsFile = path.join(root, 'bench/counted-limits.json');

const LINKS = 1000;
/** Redirects that arrive together and are answered in one turn. */
const BURST = 16;
const WARM_UP_BURSTS = 8000;
const COUNTED_BURSTS = 2500;
const TRACED_BURSTS = 250;
const REPEATS = 5;
/** The second kind of hits runs the same code for the most part: less of it will do. */
const DETAILED_SHARE = 0.4;
/** Requests that find the gateway busy and are then read in one turn. */
const TOGETHER = 32;
const BLOCK_MS = 150;
/** What counts by size, not by number, may vary by so much. */
const TOLERANCE = 1.1;

/** What a thread waits with: how often it wakes is the timers' and the machine's doing. */
const ofWaiting = new Set(['epoll_pwait', 'epoll_wait', 'epoll_ctl', 'futex']);

/** What an event loop with sockets calls. */
const ofSockets = new Set([...ofWaiting, 'recvfrom', 'sendto', 'sendmsg']);

type Counts = Record<string, number>;

async function countAll(): Promise<Counts> {
  const postgres = await BenchPostgres.start();
  const detailed = { CLICK_DETAILS: 'basic', CLICK_COUNTRY_HEADER: COUNTRY_HEADER };
  try {
    return {
      ...(await withServer(postgres, {}, async (server) => ({
        ...(await countHits(server, 'redirect')),
        ...(await countTogether(server)),
      }))),
      ...(await withServer(postgres, detailed, (server) => countHits(server, 'detailed redirect'))),
    };
  } finally {
    await postgres.stop();
  }
}

async function withServer(
  postgres: BenchPostgres,
  settings: Readonly<Record<string, string>>,
  count: (server: CountedServer) => Promise<Counts>,
): Promise<Counts> {
  const database = await postgres.database(LINKS);
  const server = await CountedServer.start(database.url, root, settings);
  const release = await holdIngest(database);
  try {
    return await count(server);
  } finally {
    await release();
    await server.stop();
    await postgres.drop(database);
  }
}

/** @param kind What a hit is called; a detailed one comes with a visitor's headers. */
async function countHits(server: CountedServer, kind: 'redirect' | 'detailed redirect'): Promise<Counts> {
  const bursts = await Bursts.open(server.port, 1);
  const requests = Array.from({ length: LINKS - TOGETHER * REPEATS }, (_, index) =>
    requestText(server, `/${codeOf(index + 1)}${kind === 'redirect' ? '' : visitorHeaders(index)}`),
  );
  // Misses must not be pipelined: the first time, each link is asked for alone.
  for (const request of requests) await bursts.send([request], 302);
  let next = 0;
  const burst = (): Promise<void> => {
    const together = Array.from(
      { length: BURST },
      (_, index) => requests[(next + index) % requests.length] ?? '',
    );
    next += BURST;
    return bursts.send(together, 302);
  };
  const before = readUsage([server.pid]);
  const share = kind === 'redirect' ? 1 : DETAILED_SHARE;
  for (let count = 0; count < WARM_UP_BURSTS * share; count += 1) await burst();
  const gateway = busiest(before, readUsage([server.pid]));
  const allocated: number[] = [];
  const messages: number[] = [];
  const writes: number[] = [];
  const redirects = COUNTED_BURSTS * BURST;
  for (let repeat = 0; repeat < REPEATS * share; repeat += 1) {
    const writtenBefore = (await readMetrics(server.port)).get('switchyard_journal_writes_total') ?? 0;
    const begun = await server.probe({ ask: 'begin' });
    for (let count = 0; count < COUNTED_BURSTS; count += 1) await burst();
    const ended = await server.probe({ ask: 'end' });
    const written = (await readMetrics(server.port)).get('switchyard_journal_writes_total') ?? 0;
    if (ended.collections === 0) allocated.push((ended.heapBytes - begun.heapBytes) / redirects);
    messages.push(((ended.sent + ended.received) * 1000) / redirects);
    writes.push(((written - writtenBefore) * 1000) / redirects);
  }
  const whyNot = whyNotTraced();
  const calls: Counts = {};
  if (whyNot === undefined) {
    const counts = await countSystemCalls(gateway, async () => {
      for (let count = 0; count < TRACED_BURSTS; count += 1) await burst();
    });
    const sumWithout = (left: ReadonlySet<string>): number =>
      [...counts].reduce((total, [name, count]) => total + (left.has(name) ? 0 : count), 0);
    // A click is stored, not written: a redirect's way leads to no file.
    calls[`system calls besides sockets per 1,000 ${kind}s`] =
      (sumWithout(ofSockets) * 1000) / (TRACED_BURSTS * BURST);
    calls[`system calls but for waits per 1,000 ${kind}s`] =
      (sumWithout(ofWaiting) * 1000) / (TRACED_BURSTS * BURST);
    const rows = [...counts]
      .sort(([, one], [, other]) => other - one)
      .map(([name, count]) => [name, String(count)]);
    console.log(`${table([['system call', `of ${TRACED_BURSTS * BURST} ${kind}s`], ...rows])}\n`);
  } else {
    console.log(`system calls are not counted: ${whyNot}\n`);
  }
  bursts.close();
  if (allocated.length === 0) throw new Error('garbage was collected in every repeat');
  return {
    [`heap bytes allocated a ${kind}`]: median(allocated),
    [`journal writes per 1,000 ${kind}s`]: median(writes),
    [`messages per 1,000 ${kind}s`]: median(messages),
    ...calls,
  };
}

/** Misses, and creates, that the gateway finds all at once: they are to travel together. */
async function countTogether(server: CountedServer): Promise<Counts> {
  const bursts = await Bursts.open(server.port, TOGETHER);
  const misses: number[] = [];
  const statements: number[] = [];
  const creates: number[] = [];
  const inserts: number[] = [];
  const body = JSON.stringify({ url: 'https://www.example.com/created' });
  const create = requestText({ port: server.port, method: 'POST', body }, '/shorten');
  let unseen = LINKS;
  for (let repeat = 0; repeat < REPEATS; repeat += 1) {
    const codes = Array.from({ length: TOGETHER }, () => codeOf(unseen--));
    const requests = codes.map((code) => requestText(server, `/${code}`));
    const miss = await together(server, bursts, requests, 302, 'switchyard_resolve_batches_total');
    misses.push(miss.messages);
    statements.push(miss.statements);
    const made = Array.from({ length: TOGETHER }, () => create);
    const created = await together(server, bursts, made, 201, 'switchyard_create_batches_total');
    creates.push(created.messages);
    inserts.push(created.statements);
  }
  bursts.close();
  return {
    // The least of the repeats: on a machine that is very busy, one or another takes two turns.
    [`messages for ${TOGETHER} misses of one turn`]: Math.min(...misses),
    [`SELECTs for ${TOGETHER} misses of one turn`]: Math.min(...statements),
    [`messages for ${TOGETHER} creates of one turn`]: Math.min(...creates),
    [`INSERTs for ${TOGETHER} creates of one turn`]: Math.min(...inserts),
  };
}

async function together(
  server: CountedServer,
  bursts: Bursts,
  requests: readonly string[],
  expected: number,
  metric: string,
): Promise<{ messages: number; statements: number }> {
  const statementsBefore = (await readMetrics(server.port)).get(metric) ?? 0;
  const begun = await server.probe({ ask: 'begin' });
  server.block(BLOCK_MS);
  // By then the thread is blocked, and stays so until all requests have arrived.
  await new Promise((resolve) => setTimeout(resolve, BLOCK_MS / 3));
  await bursts.send(requests, expected);
  const ended = await server.probe({ ask: 'end' });
  const statements = ((await readMetrics(server.port)).get(metric) ?? 0) - statementsBefore;
  return { messages: ended.sent + ended.received - begun.sent - begun.received, statements };
}

function busiest(before: ReturnType<typeof readUsage>, after: ReturnType<typeof readUsage>): number {
  let found = { thread: 0, spent: -1 };
  for (const [key, nanos] of after.threads) {
    const spent = nanos - (before.threads.get(key) ?? 0);
    if (spent > found.spent) found = { thread: Number(key.split('/')[1]), spent };
  }
  return found.thread;
}

function limitFor(name: string, value: number): number {
  // Numbers of things are exact; sizes, and calls that a timer makes too, are not quite.
  const isExact = / of one turn$/.test(name);
  return isExact ? value : Math.max(0.1, Math.ceil(value * TOLERANCE * 10) / 10);
}

async function main(): Promise<void> {
  const counts = await countAll();
  const limits = JSON.parse(readFileSync(limitsFile, 'utf8')) as Counts;
  const rows = Object.entries(counts).map(([name, value]) => {
    const limit = limits[name];
    const verdict = limit === undefined ? 'no limit' : value <= limit ? 'ok' : 'GREW';
    return [name, value.toFixed(1), limit === undefined ? '–' : String(limit), verdict];
  });
  console.log(table([['counted cost', 'now', 'limit', ''], ...rows]));
  if (process.argv.includes('--update')) {
    const updated = Object.entries(counts).map(([name, value]) => [name, limitFor(name, value)]);
    // What can't be counted here keeps its limit.
    const all = { ...limits, ...Object.fromEntries(updated) };
    writeFileSync(limitsFile, `${JSON.stringify(all, undefined, 2)}\n`);
  } else if (process.argv.includes('--check') && rows.some((row) => row[3] !== 'ok')) {
    console.error('counted costs grew: make them less, or, where the change is worth it, run with --update');
    process.exitCode = 1;
  }
}

await main();
