import pg from 'pg';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { clientOptions } from '../../src/postgres/pool.js';
import { buildSums } from '../../src/store/stats-build.js';
import { foldNext } from '../../src/store/stats-folds.js';
import { mergeRows } from '../../src/store/stats-merges.js';
import { addDifferences, keepSums, sumBusyLinks, tidySums } from '../../src/store/stats-sums.js';
import { createDatabase, type TestDatabase } from '../support/database/database.js';

let database: TestDatabase;
/** A connection as the server has them. */
let client: pg.Client;

beforeAll(async () => {
  database = await createDatabase();
  client = new pg.Client(clientOptions(database.address, 'test', 20_000));
  await client.connect();
});

afterAll(async () => {
  await client?.end();
  await database?.drop();
});

beforeEach(async () => {
  await database.query(
    'TRUNCATE users, short_urls, events, dropped_events, stats_queue, stats_batches, stats_slots, stats_tops, stats_gone_links, stats_day_facts',
  );
  await database.query('UPDATE stats_state SET is_whole = true, next_url = NULL');
  await database.query('SELECT stats_begin_folds()');
  await database.query('TRUNCATE stats_summed_links, link_clicks');
  await database.query(
    `INSERT INTO users (id, username, email) SELECT n, 'u' || n, n || '@x.example' FROM generate_series(1, 2) AS n`,
  );
  await database.query(
    `INSERT INTO short_urls (id, user_id, original_url, short_code)
     SELECT n, nullif(n % 3, 0), 'https://example.com/', 'c' || n FROM generate_series(1, 6) AS n`,
  );
});

/** Clicks and previews with and without facts, of the last minutes and of another year. */
async function happen(links: string, count = 60): Promise<void> {
  await database.query(
    `INSERT INTO events (url_id, event_type, "timestamp", details)
     SELECT (${links})[1 + n % cardinality(${links})], CASE WHEN n % 4 = 0 THEN 'preview' ELSE 'click' END,
            CASE WHEN n % 5 = 0 THEN timestamp '2024-02-29 23:50' ELSE date_trunc('minute', now() AT TIME ZONE 'utc') - interval '10 minutes' END
              + n * interval '7 seconds',
            CASE WHEN n % 3 = 0 THEN '{}' ELSE json_build_object('country', n % 4, 'browser', nullif(n % 2, 0)) END
     FROM generate_series(1, ${count}) AS n`,
  );
}

/** A batch of an ingest: three clicks of now on the link, one with a fact. */
async function ingest(link: number, amount = 3): Promise<void> {
  await database.query('BEGIN');
  await database.query(`SET LOCAL switchyard.differences = 'none'`);
  await database.query(
    `INSERT INTO events (url_id, event_type, "timestamp", details)
     SELECT $1, 'click', date_trunc('minute', now() AT TIME ZONE 'utc'), details::json
     FROM (VALUES ('{}'), ('{}'), ('{"country":"DE"}')) AS rows (details)`,
    [link],
  );
  await database.query(
    `INSERT INTO stats_batches
       (amount, minute, url_ids, owners, facts, clicks, previews, countries, referrers, browsers, systems, devices)
     SELECT $2, date_trunc('minute', now() AT TIME ZONE 'utc'), ARRAY[id, id], ARRAY[user_id, user_id], '{0,1}', '{2,1}',
            '{0,0}', '{DE}', '{NULL}', '{NULL}', '{NULL}', '{NULL}'
     FROM short_urls WHERE id = $1`,
    [link, amount],
  );
  await database.query('COMMIT');
}

const ENTRIES = `(
  SELECT kind, step, slot + coalesce(place, 0) * CASE step WHEN 'h' THEN interval '1 minute' ELSE interval '15 minutes' END
           AS at, key, fact, clicks, coalesce(previews, 0) AS previews
  FROM (SELECT kind, step, slot, unnest(keys) AS key, unnest(offsets) AS place, unnest(facts) AS fact,
               unnest(clicks) AS clicks, unnest(previews) AS previews FROM stats_slots) AS rows) AS entries`;

/** Where each click is once. */
const ONCE = `(step IN ('m', 'h', 'q') OR step = 'Q' AND at < (SELECT min(quarters_to) FROM stats_folds WHERE kind = 'l'))`;

/** Sums of quarters of an hour, all that are not zero, and what a count over the events makes of them. */
async function expectEqual(key: string, condition: string): Promise<void> {
  const quarter = (time: string): string => `date_bin('15 minutes', ${time}, timestamp '2000-01-01')::text`;
  const sums = await database.query(
    `SELECT fact, ${quarter('at')} AS at, sum(clicks)::integer AS clicks, sum(previews)::integer AS previews
     FROM ${ENTRIES} WHERE key = $1 AND kind <> 'l' AND ${ONCE}
     GROUP BY 1, 2 HAVING sum(clicks) <> 0 OR sum(previews) <> 0 ORDER BY 1, 2`,
    [key],
  );
  const counted = await database.query(
    `SELECT fact, ${quarter('"timestamp"')} AS at,
            count(*) FILTER (WHERE event_type = 'click')::integer AS clicks,
            count(*) FILTER (WHERE event_type = 'preview')::integer AS previews
     FROM events CROSS JOIN LATERAL
       (SELECT NULL AS fact UNION ALL SELECT 'c' || (details ->> 'country') WHERE details ->> 'country' IS NOT NULL
        UNION ALL SELECT 'b' || (details ->> 'browser') WHERE details ->> 'browser' IS NOT NULL) AS facts
     WHERE ${condition} GROUP BY 1, 2 ORDER BY 1, 2`,
  );
  expect(sums).toEqual(counted);
  // Whole hours and days say the same as their parts.
  const wholes = await database.query(
    `SELECT kind, key, fact, sum(clicks) FILTER (WHERE step = 'D' AND at < days_to) AS days,
            sum(clicks) FILTER (WHERE ${ONCE} AND at < days_to) AS in_days,
            sum(clicks) FILTER (WHERE step = 'H' AND at >= quarters_to) AS hours,
            sum(clicks) FILTER (WHERE step = 'm' AND at < hours_to) AS in_hours,
            sum(clicks) FILTER (WHERE step = 'Q' AND at >= quarters_to) AS parts,
            sum(clicks) FILTER (WHERE step = 'm' AND at < parts_to AND kind = 'l') AS in_parts,
            ${[1, 2, 3, 4]
              .map(
                (
                  span,
                ) => `sum(clicks) FILTER (WHERE step = '${span}' AND at < spans_to[${span}]) AS span_${span},
                           sum(clicks) FILTER (WHERE ${ONCE} AND at < spans_to[${span}]) AS in_span_${span}`,
              )
              .join(', ')}
     FROM ${ENTRIES} JOIN stats_folds USING (kind) WHERE kind <> 't' GROUP BY 1, 2, 3`,
  );
  for (const row of wholes) {
    for (const name of ['days', 'hours', 'parts', 'span_1', 'span_2', 'span_3', 'span_4'])
      expect([name, Number(row[name])]).toEqual([name, Number(row[`in_${name}`])]);
  }
}

/** Links by what their rows say, and by their events. */
async function expectLinksEqual(): Promise<void> {
  const sums = await database.query(
    `SELECT key AS url_id, sum(clicks)::integer AS clicks, sum(previews)::integer AS previews
     FROM ${ENTRIES} WHERE kind = 'l' AND ${ONCE}
     GROUP BY 1 HAVING sum(clicks) <> 0 OR sum(previews) <> 0 ORDER BY 1`,
  );
  const counted = await database.query(
    `SELECT url_id, count(*) FILTER (WHERE event_type = 'click')::integer AS clicks,
            count(*) FILTER (WHERE event_type = 'preview')::integer AS previews
     FROM events GROUP BY 1 ORDER BY 1`,
  );
  expect(sums).toEqual(counted);
}

async function expectAllEqual(): Promise<void> {
  await expectEqual('0', 'true');
  for (const owner of [1, 2])
    await expectEqual(String(owner), `url_id IN (SELECT id FROM short_urls WHERE user_id = ${owner})`);
  await expectLinksEqual();
}

it('a link with many clicks gets sums of its own, of its events without what still waits', async () => {
  await happen('ARRAY[1, 2, 4]::bigint[]');
  await addDifferences(client);
  await happen('ARRAY[1, 5]::bigint[]');
  await ingest(1);
  await database.query('UPDATE link_clicks SET clicks = 10001 WHERE link_id IN (1, 2)');
  expect(await sumBusyLinks(client)).toBe(2);
  expect(await sumBusyLinks(client)).toBe(0);
  await ingest(1);
  await database.query('DELETE FROM events WHERE url_id = 2 AND id % 2 = 0');
  expect((await addDifferences(client)).hasMore).toBe(false);
  await expectEqual('-1', 'url_id = 1');
  await expectEqual('-2', 'url_id = 2');
  await expectEqual('0', 'true');
  await expectEqual('1', 'url_id IN (SELECT id FROM short_urls WHERE user_id = 1)');
  await expectLinksEqual();
  // A link that is gone leaves no sums, and is forgotten with them.
  await database.query('DELETE FROM events WHERE url_id = 1');
  await database.query('DELETE FROM short_urls WHERE id = 1');
  await addDifferences(client);
  await tidySums(client);
  expect(await database.query('SELECT url_id FROM stats_summed_links')).toEqual([{ url_id: '2' }]);
  expect(
    await database.query(
      `SELECT FROM ${ENTRIES} WHERE key = -1 GROUP BY kind, step, at, fact HAVING sum(clicks) <> 0 OR sum(previews) <> 0`,
    ),
  ).toEqual([]);
});

it('what is added to a slot one after another is merged after a while', async () => {
  for (let n = 0; n < 8; n += 1) {
    await happen('ARRAY[1, 2, 3, 4, 5, 6]::bigint[]', 20 + n);
    await addDifferences(client);
  }
  while (!(await mergeRows(client)));
  const rows = await database.query(
    `SELECT FROM stats_slots WHERE NOT is_folded AND (step <> 'm' OR slot < now() AT TIME ZONE 'utc' - interval '3 minutes')
     GROUP BY kind, step, slot HAVING count(*) >= 8`,
  );
  expect(rows).toEqual([]);
  await expectAllEqual();
});

it('what is over is folded, what comes late or goes is where its time is by now, and the whole is equal', async () => {
  const happened = (hours: number, count: number): Promise<unknown> =>
    database.query(
      `INSERT INTO events (url_id, event_type, "timestamp", details)
       SELECT 1 + n % 6, CASE WHEN n % 4 = 0 THEN 'preview' ELSE 'click' END,
              date_trunc('minute', now() AT TIME ZONE 'utc') - n * interval '1 hour' * $1 / $2,
              CASE WHEN n % 3 = 0 THEN '{}' ELSE json_build_object('country', n % 4, 'browser', nullif(n % 2, 0)) END
       FROM generate_series(1, $2::integer) AS n`,
      [hours, count],
    );
  // As if the server had stood still for two days.
  await database.query(
    `SELECT stats_begin_folds(date_trunc('day', now() AT TIME ZONE 'utc') - interval '2 days')`,
  );
  await happened(80, 400);
  await addDifferences(client);
  await expectAllEqual();
  while (await keepSums(client));
  await expectAllEqual();
  const misplaced = await database.query(
    `SELECT kind, step, slot FROM stats_slots JOIN stats_folds USING (kind)
     WHERE NOT CASE step WHEN 'm' THEN slot >= CASE kind WHEN 't' THEN hours_to ELSE quarters_to END WHEN 'q' THEN slot < quarters_to WHEN 'D' THEN slot < days_to
                         WHEN 'Q' THEN slot < parts_to WHEN '1' THEN slot < spans_to[1] WHEN '2' THEN slot < spans_to[2]
                         WHEN '3' THEN slot < spans_to[3] WHEN '4' THEN slot < spans_to[4]
                         ELSE slot >= quarters_to AND slot < hours_to END`,
  );
  expect(misplaced).toEqual([]);
  const [folds] = await database.query(
    `SELECT count(*)::integer AS n FROM stats_folds, (SELECT now() AT TIME ZONE 'utc' AS utc) AS clock
     WHERE hours_to >= date_trunc('hour', utc - interval '2 minutes') AND days_to >= date_trunc('day', utc - interval '2 minutes')
       AND quarters_to >= date_trunc('hour', utc - interval '25 hours')`,
  );
  expect(folds).toEqual({ n: 3 });
  await happened(80, 200);
  await database.query('DELETE FROM events WHERE id % 7 = 0');
  await addDifferences(client);
  await expectAllEqual();
  await tidySums(client);
  await expectAllEqual();
  expect(await foldNext(client)).toBe(false);
  // Nothing is left of what was taken off.
  await database.query('DELETE FROM events');
  await addDifferences(client);
  while (!(await mergeRows(client, 1)));
  expect(await database.query(`SELECT step FROM stats_slots WHERE step NOT IN ('m', 'q')`)).toEqual([]);
});

it('sums are made anew in pieces while events come and go', async () => {
  await happen('ARRAY[1, 2, 3, 4, 5, 6]::bigint[]', 300);
  await addDifferences(client);
  await happen('ARRAY[2, 6]::bigint[]', 50);
  await ingest(3);
  await database.query('UPDATE stats_state SET is_whole = false');
  const other = new pg.Client(clientOptions(database.address, 'test', 20_000));
  await other.connect();
  let isBuilt = false;
  const building = buildSums(other, 20).then((whether) => {
    isBuilt = true;
    return whether;
  });
  try {
    for (let n = 1; !isBuilt; n += 1) {
      await ingest(1 + (n % 6));
      await happen(`ARRAY[${1 + (n % 5)}, 6]::bigint[]`, 5);
      await database.query('DELETE FROM events WHERE id % 31 = 0');
      await database.query('UPDATE short_urls SET user_id = 1 + id % 2 WHERE id = $1', [1 + (n % 6)]);
    }
    expect(await building).toBe(true);
  } finally {
    await other.end();
  }
  while ((await addDifferences(client)).hasMore);
  await expectAllEqual();
});

it('a step is bounded by what waits, and a TRUNCATE voids only what was before it', async () => {
  await ingest(1, 400_000);
  await ingest(2, 400_000);
  await ingest(3, 400_000);
  expect(await addDifferences(client)).toMatchObject({ hasMore: true, queued: 1 });
  expect(await addDifferences(client)).toMatchObject({ hasMore: false, queued: 0 });
  await expectLinksEqual();
  await ingest(4);
  await database.query('TRUNCATE events');
  await ingest(5);
  await addDifferences(client);
  await expectEqual('0', 'true');
  await expectLinksEqual();
  await database.query('INSERT INTO stats_queue (kind) VALUES ($1)', ['no_owners']);
  await ingest(5);
  await addDifferences(client);
  await expectEqual('2', 'id IN (SELECT id FROM events ORDER BY id DESC LIMIT 3)');
  await expectEqual('0', 'true');
});
