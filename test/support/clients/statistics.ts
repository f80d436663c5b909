import type { TestDatabase } from '../database/database.js';
import { eventually } from '../machine/wait.js';
import type { Statistics } from './answers.js';
import type { ApiClient } from './api-client.js';

type Counts = Pick<Statistics, 'clicks' | 'previews'>;

/** When every difference that was committed before has been added to the sums. */
export async function settled(database: TestDatabase): Promise<void> {
  await eventually(
    async () => {
      const [row] = await database.query<{ done: boolean }>(
        `SELECT (SELECT is_whole FROM stats_state) AND NOT EXISTS (SELECT FROM stats_queue)
           AND NOT EXISTS (SELECT FROM stats_batches) AS done`,
      );
      return row?.done;
    },
    30_000,
    'an empty queue of the statistics',
  );
}

export async function statisticsOf(
  server: ApiClient,
  path: '/stats' | `/urls/${string}/stats`,
  parameters: Readonly<Record<string, string>> = {},
): Promise<Statistics> {
  return server.get(`${path}?${`${new URLSearchParams(parameters)}`}`);
}

const ALL_FIELDS = ['country', 'referrer', 'browser', 'os', 'device'];

/** Which events are counted: SQL over `events AS e`. */
export const counted = {
  all: 'TRUE',
  link: (id: number) => `e.url_id = ${id}`,
  owner: (id: number) => `e.url_id IN (SELECT id FROM short_urls WHERE user_id = ${id})`,
};

/** What an interval of the answer and an event of it have in common. */
function keyOf(interval: string, zone: string, time: string): string {
  const local = `(${time} AT TIME ZONE 'UTC' AT TIME ZONE '${zone}')`;
  const offset = interval === 'hour' ? `(${local} - ${time})::text` : `''`;
  return `date_trunc('${interval}', ${local})::text || ' ' || ${offset}`;
}

const CLICKS = `count(*) FILTER (WHERE event_type = 'click')::integer AS clicks,
                count(*) FILTER (WHERE event_type = 'preview')::integer AS previews`;

/**
 * What an answer should be by a count over the events, or another source of them, in the form of `given`, which is the answer: its series
 * where there are clicks or previews, and its values.
 */
export async function countBySql(
  database: TestDatabase,
  { from, to, interval, timezone, series, by }: Statistics,
  condition: string,
  source = 'events',
): Promise<{ readonly expected: unknown; readonly given: unknown }> {
  const where = `e.url_id IS NOT NULL AND event_type IN ('click', 'preview')
    AND "timestamp" >= '${from}' AND "timestamp" < '${to}' AND ${condition}`;
  const keys = await database.query<{ key: string }>(
    `SELECT ${keyOf(interval, timezone, 'start')} AS key
     FROM unnest($1::timestamp[]) WITH ORDINALITY AS starts (start, place) ORDER BY place`,
    [series.map(({ start }) => start)],
  );
  const expectedSeries = await database.query<Counts & { key: string }>(
    `SELECT ${keyOf(interval, timezone, '"timestamp"')} AS key, ${CLICKS} FROM ${source} AS e WHERE ${where} GROUP BY 1 ORDER BY 1`,
  );
  const givenSeries = series
    .map(({ clicks, previews }, index) => ({ key: keys[index]?.key ?? '', clicks, previews }))
    .filter(({ clicks, previews }) => clicks > 0 || previews > 0)
    .sort((one, other) => (one.key < other.key ? -1 : 1));
  const expectedValues: Record<string, unknown> = {};
  for (const field of Object.keys(by ?? {})) {
    const value = ALL_FIELDS.includes(field)
      ? `details ->> '${field}'`
      : '(SELECT short_code FROM short_urls WHERE id = e.url_id)';
    expectedValues[field] = await database.query(
      `SELECT ${value} AS value, ${CLICKS} FROM ${source} AS e WHERE ${where} GROUP BY 1
       ORDER BY clicks DESC, (${value}) COLLATE "C" NULLS LAST LIMIT 100`,
    );
  }
  return {
    expected: { distinct: series.length, series: expectedSeries, by: expectedValues },
    given: { distinct: new Set(keys.map(({ key }) => key)).size, series: givenSeries, by: by ?? {} },
  };
}
