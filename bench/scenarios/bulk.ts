import pg from 'pg';
import { makeShortCode } from '../../src/store/short-codes.js';
import { startSwitchyard } from '../arms/switchyard.js';
import { ask } from '../load/ask.js';
import { requestText } from '../load/connection.js';
import { peakBytes, readUsage, resetPeak, spentBetween } from '../measure/process-usage.js';
import type { Measure } from '../report/results.js';
import { type Arm, compareArms, runRounds, stepsOf } from '../rounds.js';
import type { Bench, Scenario, Subject } from '../scenario.js';
import { ratioTarget } from './targets.js';

const LINKS = 100_000;
const AT_ONCE = 1000;
const targets = Array.from(
  { length: AT_ONCE },
  (_, n) => `https://www.example.com/articles/${n}?utm_source=newsletter&utm_medium=email`,
);
const BODY = JSON.stringify({ urls: targets.map((original_url) => ({ original_url })) });

/** One statement for all links and their `created` events, as somebody would write it by hand. */
const insertSql = `
  WITH made AS (
    INSERT INTO short_urls (original_url, short_code)
    SELECT url, code FROM unnest($1::text[], $2::text[]) AS link (url, code)
    ON CONFLICT (short_code) DO NOTHING
    RETURNING id, user_id, short_code, original_url, created_at
  )
  INSERT INTO events (url_id, user_id, event_type, "timestamp", details)
  SELECT id, user_id, 'created', created_at,
         json_build_object('short_code', short_code, 'original_url', original_url)
  FROM made`;

/** A thousand links a request, against the statement that makes them; one client, one request at a time. */
export const bulk: Scenario = {
  name: 'bulk',
  title: 'POST /urls/bulk, 1,000 links a request',
  isComparable: true,
  run: async (bench) => {
    const { subjects, progress, rounds } = bench;
    const hasBaseline = subjects.length === 1;
    progress.begin(bulk.name, stepsOf(subjects.length + (hasBaseline ? 1 : 0), rounds));
    const ends: (() => Promise<void>)[] = [];
    try {
      const arms: Arm[] = hasBaseline ? [await insertArm(bench, ends)] : [];
      for (const subject of subjects) arms.push(await switchyardArm(bench, subject, ends));
      const results = await runRounds(arms, { rounds, onStep: (what) => progress.step(what) });
      return {
        name: bulk.name,
        title: bulk.title,
        unit: 'links',
        parameters: { at_once: AT_ONCE, links_before: LINKS, seconds: bench.seconds },
        arms: results,
        comparisons: compareArms(results, ['perSecond', 'cpuMicros']),
        targets: ratioTarget(
          results,
          'rate of one multi-row INSERT',
          'perSecond',
          'multi-row insert',
          subjects[0]?.name ?? '',
          0.6,
        ),
        facts: [],
        timelines: [],
        notes: [
          'the statement takes arrays, and its client reads no row back; Switchyard answers with each link',
        ],
        unitCosts: {},
      };
    } finally {
      for (const end of ends.reverse()) await end().catch(() => undefined);
    }
  },
};

/** @param make Makes a thousand links, or one fewer for a code that is taken. @returns its costs in a turn. */
async function timed(bench: Bench, pids: () => number[], make: () => Promise<number>): Promise<Measure> {
  await bench.postgres.checkpoint();
  resetPeak(pids());
  const before = readUsage(pids());
  const databaseBefore = readUsage(bench.postgres.pids());
  const startMs = performance.now();
  let links = 0;
  let errors = 0;
  while (performance.now() - startMs < bench.seconds * 1000) {
    const made = await make();
    links += made;
    if (made === 0) errors += 1;
  }
  const seconds = (performance.now() - startMs) / 1000;
  const spent = spentBetween(before, readUsage(pids()));
  const database = spentBetween(databaseBefore, readUsage(bench.postgres.pids()));
  return {
    perSecond: links / seconds,
    cpuMicros: spent.cpuMicros / links,
    busiestMicros: spent.busiestMicros / links,
    databaseMicros: database.cpuMicros / links,
    peakBytes: peakBytes(pids()),
    errors,
    latency: [],
  };
}

async function insertArm(bench: Bench, ends: (() => Promise<void>)[]): Promise<Arm> {
  const clients = { first: await open(), twin: await open() };
  async function open(): Promise<pg.Client> {
    const database = await bench.postgres.database(LINKS);
    ends.push(() => bench.postgres.drop(database));
    const client = new pg.Client({ connectionString: database.url });
    await client.connect();
    ends.push(() => client.end());
    return client;
  }
  return {
    name: 'multi-row insert',
    about: 'one INSERT of 1,000 links with their events, prepared, a commit each',
    measure: (instance) =>
      timed(
        bench,
        () => [process.pid],
        async () => {
          const codes = targets.map(() => makeShortCode(6));
          const result = await clients[instance].query({
            name: 'links',
            text: insertSql,
            values: [targets, codes],
          });
          return result.rowCount ?? 0;
        },
      ),
  };
}

async function switchyardArm(bench: Bench, subject: Subject, ends: (() => Promise<void>)[]): Promise<Arm> {
  const servers = { first: await open(), twin: await open() };
  async function open() {
    const database = await bench.postgres.database(LINKS, [], subject.root);
    ends.push(() => bench.postgres.drop(database));
    const server = await startSwitchyard({
      root: subject.root,
      databaseUrl: database.url,
      placement: 'anywhere',
      profiles: bench.profiles,
    });
    ends.push(server.stop);
    return server;
  }
  return {
    name: subject.name,
    about: 'the real server, one client',
    measure: (instance) => {
      const server = servers[instance];
      const request = requestText({ port: server.port, method: 'POST', body: BODY }, '/urls/bulk');
      return timed(
        bench,
        () => server.pids(),
        async () => {
          const { status, body } = await ask(server.port, request);
          return status === 200 && body.startsWith(`{"created":${AT_ONCE},`) ? AT_ONCE : 0;
        },
      );
    },
  };
}
