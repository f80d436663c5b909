import pg from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { InputFor } from '../../src/api/registry.js';
import { clientOptions } from '../../src/postgres/pool.js';
import { statsOperations } from '../../src/store/stats.js';
import { buildSums } from '../../src/store/stats-build.js';
import { mergeRows } from '../../src/store/stats-merges.js';
import { addDifferences, keepSums } from '../../src/store/stats-sums.js';
import type { Statistics } from '../support/clients/answers.js';
import { countBySql, counted } from '../support/clients/statistics.js';
import { createDatabase, type TestDatabase } from '../support/database/database.js';
import { Random, seed } from '../torture/torture.js';

const LINKS = 3000;
const DAY_MS = 86_400_000;

let database: TestDatabase;
let client: pg.Client;
/** What the server's connection was asked, the last one last. */
let asked: { readonly name?: string; readonly text: string; readonly values?: unknown[] }[] = [];

beforeAll(async () => {
  database = await createDatabase();
  client = new pg.Client(clientOptions(database.address, 'test', 20_000));
  await client.connect();
  const query = client.query.bind(client) as (...parameters: unknown[]) => unknown;
  client.query = ((...parameters: unknown[]) => {
    if (typeof parameters[0] === 'object') asked.push(parameters[0] as (typeof asked)[0]);
    return query(...parameters);
  }) as typeof client.query;
  await database.query(`INSERT INTO users (id, username, email) VALUES (1, 'u', 'u@x.example')`);
  await database.query(
    `INSERT INTO short_urls (id, user_id, original_url, short_code)
     SELECT n, CASE WHEN n % 50 = 0 THEN 1 END, 'https://example.com/', 'c' || n FROM generate_series(1, ${LINKS}) AS n`,
  );
});

afterAll(async () => {
  await client?.end();
  await database?.drop();
});

/**
 * Clicks and previews from `from` on, over so many hours. Popular links have most (Zipf), or all have alike where
 * `isEven`. The links are those from the first on, in an order that has nothing to do with their ids.
 */
async function happen(from: string, hours: number, clicks: number, isEven = false): Promise<void> {
  const rank = isEven ? `floor(random() * ${LINKS})` : `floor(exp(random() * ln(${LINKS})) - 1)`;
  await database.query(
    `INSERT INTO events (url_id, event_type, "timestamp", details)
     SELECT rank * 1999 % ${LINKS} + 1, CASE WHEN n % 10 = 0 THEN 'preview' ELSE 'click' END,
            ${from} + random() * interval '1 hour' * $1, '{}'
     FROM (SELECT n, ${rank}::bigint AS rank FROM generate_series(1, $2::integer) AS n OFFSET 0) AS drawn`,
    [hours, clicks],
  );
}

async function statistics(
  input: Partial<InputFor<'getStats'>>,
  owner?: string,
): Promise<{ readonly answer: Statistics; readonly statements: readonly string[] }> {
  asked = [];
  const found = await statsOperations.getStats.run(
    client,
    { timezone: 'UTC', by: ['code'], limit: 10, ...input } as InputFor<'getStats'>,
    { owner } as never,
  );
  if (!found.ok) throw new Error(JSON.stringify(found));
  const statements = asked.flatMap(({ name }) => (name?.includes('codes') ? [name] : []));
  return { answer: JSON.parse(String(found.body)) as Statistics, statements };
}

async function addAll(): Promise<void> {
  while ((await addDifferences(client)).hasMore);
}

const RECENTLY = `now() AT TIME ZONE 'utc' - interval '30 hours'`;

const ranges: readonly Partial<InputFor<'getStats'>>[] = [
  {},
  { from: Date.now() - 20 * 3_600_000, interval: 'minute', limit: 100 },
  { from: Date.now() - 3 * DAY_MS, interval: 'day', timezone: 'Asia/Kathmandu', limit: 3 },
  {
    from: Date.parse('2025-03-01'),
    to: Date.parse('2025-03-29'),
    timezone: 'America/St_Johns',
    interval: 'day',
  },
  { from: Date.parse('2024-01-01'), interval: 'month', limit: 100 },
];

/** As `countBySql`, with no more values than were asked for. */
async function expectEqual(): Promise<void> {
  for (const range of ranges) {
    for (const owner of range.limit === 100 ? [undefined, '1'] : [undefined]) {
      const { answer } = await statistics(range, owner);
      const { expected, given } = await countBySql(
        database,
        answer,
        owner === undefined ? counted.all : counted.owner(1),
      );
      const { by, ...rest } = expected as { by: { code: unknown[] } };
      expect(given, JSON.stringify(range)).toEqual({
        ...rest,
        by: { code: by.code.slice(0, range.limit ?? 10) },
      });
    }
  }
}

it(`links with most clicks equal a count by SQL, whatever happens (seed ${seed})`, {
  timeout: 120_000,
}, async () => {
  const random = new Random('codes');
  // As if the server had stood still: the last days are folded, all else is put where its time is by now.
  await database.query(`SELECT stats_begin_folds(now() AT TIME ZONE 'utc' - interval '5 hours')`);
  await happen(RECENTLY, 28, 3000);
  await happen(`timestamp '2025-03-01'`, 24 * 9, 6000);
  await happen(`timestamp '2025-03-07'`, 1, 6000);
  await addAll();
  await expectEqual();
  while (await keepSums(client));
  while (!(await mergeRows(client, 2)));
  await expectEqual();
  const histories: readonly (() => Promise<unknown>)[] = [
    () => happen(`timestamp '2025-03-05'`, 100, 2000),
    () => happen(RECENTLY, 30, 1000, true),
    () => database.query('DELETE FROM events WHERE id % 13 = $1', [random.between(0, 12)]),
    // The most popular links go, their events do later, if ever.
    () =>
      database.query(
        `DELETE FROM short_urls WHERE id IN (${random.between(1, 5)} * 1999 % ${LINKS} + 1, 2000)`,
      ),
    () => database.query('DELETE FROM events WHERE NOT EXISTS (SELECT FROM short_urls WHERE id = url_id)'),
    () =>
      database.query(
        `INSERT INTO events (url_id, event_type) SELECT 999999, 'click' FROM generate_series(1, 200)`,
      ),
    () => database.query('UPDATE short_urls SET user_id = 1 WHERE id % 7 = $1', [random.between(0, 6)]),
    async () => {
      await database.query('UPDATE stats_state SET is_whole = false');
      await buildSums(client, 5000);
    },
    async () => {
      while (!(await mergeRows(client, 2)));
    },
  ];
  for (const [place, history] of histories.entries()) {
    await history();
    await addAll();
    if (place % 3 === 0) await expectEqual();
  }
  while (await keepSums(client));
  await expectEqual();
});

interface Plan {
  readonly 'Relation Name'?: string;
  readonly 'Actual Rows': number;
  readonly 'Actual Loops': number;
  readonly Plans?: readonly Plan[];
}

/** Rows that a plan reads of the sums. */
function rowsRead(plan: Plan): number {
  const own = plan['Relation Name']?.startsWith('stats_slots')
    ? plan['Actual Rows'] * plan['Actual Loops']
    : 0;
  return own + (plan.Plans ?? []).reduce((sum, part) => sum + rowsRead(part), 0);
}

async function rowsReadBy(name: string): Promise<number> {
  const statement = asked.find((one) => one.name === name);
  if (statement === undefined) throw new Error(`${name} was not asked`);
  const { rows } = await database.client.query<{ 'QUERY PLAN': { Plan: Plan }[] }>({
    text: `EXPLAIN (ANALYZE, FORMAT JSON, TIMING OFF) ${statement.text}`,
    ...(statement.values === undefined ? {} : { values: statement.values }),
  });
  return rowsRead(rows[0]?.['QUERY PLAN'][0]?.Plan as Plan);
}

it('the links with most clicks of a month are found without reading those of all', async () => {
  await happen(`timestamp '2025-05-01'`, 24 * 8, 12_000);
  await addAll();
  while (!(await mergeRows(client, 2)));
  const range = { from: Date.parse('2025-05-01'), to: Date.parse('2025-05-09') };
  const { statements, answer } = await statistics(range);
  expect(statements).toEqual(['stats_top_codes']);
  expect(answer.by?.code).toHaveLength(10);
  const read = await rowsReadBy('stats_top_codes');
  const [all] = await database.query<{ n: number }>(
    `SELECT count(*)::integer AS n FROM stats_slots WHERE kind = 'l' AND step = 'D' AND slot >= '2025-05-01' AND slot < '2025-05-09'`,
  );
  expect(read).toBeLessThan((all?.n ?? 0) / 4);
  // What does not decide it by lists is added up.
  await happen(`timestamp '2025-05-01'`, 24 * 8, 4000, true);
  await database.query(`DELETE FROM events WHERE url_id % 2 = 0`);
  await addAll();
  const { answer: even } = await statistics({ ...range, limit: 100 });
  const { expected, given } = await countBySql(database, even, counted.all);
  expect(given).toEqual(expected);
});
