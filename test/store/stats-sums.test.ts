import pg from 'pg';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { clientOptions } from '../../src/postgres/pool.js';
import { addDifferences, mergeLinkSums, sumBusyLinks, tidySums } from '../../src/store/stats-sums.js';
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
    'TRUNCATE users, short_urls, events, stats_queue, stats_batches, stats_sums, stats_links',
  );
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

/** Sums of days, all that are not zero, and what a count over the events makes of them. */
async function expectEqual(owner: string, condition: string): Promise<void> {
  const sums = await database.query(
    `SELECT field, slot::text AS day, value, sum(clicks)::integer AS clicks, sum(previews)::integer AS previews
     FROM (SELECT * FROM stats_sums WHERE field <> 'n'
           UNION ALL
           SELECT owner, letter, step, slot, value, clicks, previews
           FROM stats_sums, unnest('{c,b}'::"char"[]) AS letter WHERE field = 'n') AS all_fields
     WHERE owner = $1 AND step = 'd' AND field IN ('t', 'c', 'b')
     GROUP BY 1, 2, 3 HAVING sum(clicks) <> 0 OR sum(previews) <> 0 ORDER BY 1, 2, 3`,
    [owner],
  );
  const counted = await database.query(
    `SELECT field::"char" AS field, date_trunc('day', "timestamp")::text AS day, value,
            count(*) FILTER (WHERE event_type = 'click')::integer AS clicks,
            count(*) FILTER (WHERE event_type = 'preview')::integer AS previews
     FROM events CROSS JOIN LATERAL
       (VALUES ('t', NULL), ('c', details ->> 'country'), ('b', details ->> 'browser')) AS facts (field, value)
     WHERE ${condition} GROUP BY 1, 2, 3 ORDER BY 1, 2, 3`,
  );
  expect(sums).toEqual(counted);
}

/** Links by what their rows say, and by their events. */
async function expectLinksEqual(): Promise<void> {
  const sums = await database.query(
    `SELECT changed.url_id, sum(changed.clicks)::integer AS clicks, coalesce(sum(changed.previews), 0)::integer AS previews
     FROM stats_links, unnest(url_ids, stats_links.clicks, stats_links.previews) AS changed (url_id, clicks, previews)
     GROUP BY 1 HAVING sum(changed.clicks) <> 0 OR sum(changed.previews) <> 0 ORDER BY 1`,
  );
  const counted = await database.query(
    `SELECT url_id, count(*) FILTER (WHERE event_type = 'click')::integer AS clicks,
            count(*) FILTER (WHERE event_type = 'preview')::integer AS previews
     FROM events GROUP BY 1 ORDER BY 1`,
  );
  expect(sums).toEqual(counted);
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
  expect(await database.query('SELECT FROM stats_sums WHERE owner = -1')).toEqual([]);
});

it('what is added to a slot one after another is one row after a while', async () => {
  for (let n = 0; n < 4; n += 1) {
    await happen('ARRAY[1, 2, 3, 4, 5, 6]::bigint[]', 20 + n);
    await addDifferences(client);
  }
  // Of what is over nothing more is to be expected.
  await mergeLinkSums(client);
  const rows = await database.query(
    `SELECT FROM stats_links WHERE slot < now() AT TIME ZONE 'utc' - interval '3 minutes' GROUP BY step, slot HAVING count(*) > 1`,
  );
  expect(rows).toEqual([]);
  await expectLinksEqual();
});

it('minutes become quarters when nobody may ask for them any more, those of the previous release too', async () => {
  await happen('ARRAY[1, 2]::bigint[]');
  await addDifferences(client);
  await database.query(
    `INSERT INTO stats_sums (owner, field, step, slot, value, clicks, previews)
     SELECT owner, 'l', 'm', now() AT TIME ZONE 'utc' - interval '26 hours', '3', 2, 1 FROM unnest('{0,1}'::bigint[]) AS owner`,
  );
  await database.query(`UPDATE stats_links SET slot = slot - interval '2 days' WHERE step = 'm'`);
  await tidySums(client);
  await mergeLinkSums(client);
  expect(
    await database.query(
      `SELECT count(*) FILTER (WHERE step = 'm')::integer AS minutes,
              count(*) FILTER (WHERE slot <> date_bin('15 minutes', slot, timestamp '2000-01-01'))::integer AS odd,
              (SELECT count(*)::integer FROM stats_sums WHERE field = 'l') AS old
       FROM stats_links`,
    ),
  ).toEqual([{ minutes: 0, odd: 0, old: 0 }]);
  await database.query(
    `INSERT INTO events (url_id, event_type) VALUES (3, 'click'), (3, 'click'), (3, 'preview')`,
  );
  await expectLinksEqual();
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
  await expectEqual(
    '2',
    'id IN (SELECT max(id) FROM events) OR id IN (SELECT id FROM events ORDER BY id DESC LIMIT 3)',
  );
  await expectEqual('0', 'true');
});
