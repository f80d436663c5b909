import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { VisitKind } from '../../src/journal/format.js';
import type { JournalledClick } from '../../src/journal/known.js';
import { copyInto } from '../../src/postgres/copy.js';
import { differenceRows } from '../../src/workers/ingest/click-differences.js';
import { copyRows } from '../../src/workers/ingest/click-events.js';
import { createDatabase, type TestDatabase } from '../support/database/database.js';

let database: TestDatabase;

beforeAll(async () => {
  database = await createDatabase();
});

afterAll(async () => {
  await database?.drop();
});

const CHROME =
  'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Safari/537.36';

/** What JSON escapes, what PostgreSQL's text can't hold, what is cut within a pair of surrogates. */
const text = fc.oneof(
  fc.constantFrom(
    '',
    'DE',
    '\0',
    '\ud800',
    '\udfff\ud800',
    '\\u0000',
    '\\\0',
    '\\ud800',
    '\u001f',
    '"\\',
    '\\\\u0000',
  ),
  fc.constantFrom('😀'.repeat(300), `${'x'.repeat(254)}😀é`),
  fc.string({ unit: 'binary', maxLength: 8 }),
);
const visit = fc.record({
  referrer: text,
  userAgent: fc.constantFrom('', CHROME, '\0'),
  country: text,
  address: fc.constantFrom('', '10.0.0.1'),
  kind: fc.constantFrom(VisitKind.CLICK, VisitKind.PREVIEW, VisitKind.HEAD),
});
const NOW = Date.UTC(2026, 5, 1, 12);
const owners = ['7', null, '9007199254740993', '-1'];
const links = owners.map((userId, index) => ({
  urlId: ['1', '4294967296', '9223372036854775807', '-5'][index] as string,
  userId,
  shortCode: `c${index}`,
  target: 'https://example.com/',
  createdMs: NOW,
}));
const click: fc.Arbitrary<JournalledClick> = fc.record({
  link: fc.constantFrom(...links),
  visit: fc.option(visit, { nil: undefined }),
  timeMs: fc.oneof(
    fc.integer({ min: NOW, max: NOW + 150_000 }),
    fc.constantFrom(NOW + 59_999.9, -0.5, -60_001, Date.UTC(1999, 11, 31, 23, 59, 59), NOW * 2),
  ),
});

it('are what a count over the events gives, whatever the facts', async () => {
  const latestMs = NOW + 120_000;
  const few = fc.array(click, { minLength: 1, maxLength: 40 });
  await fc.assert(
    fc.asyncProperty(few, async (some) => {
      // Visits alike are one object, or several.
      const clicks = [...some, ...some.slice(0, 5), ...structuredClone(some.slice(0, 5))];
      await database.query('BEGIN');
      await database.query(`SET LOCAL switchyard.differences = 'none'`);
      await copyInto(
        database.client,
        'events (url_id, user_id, event_type, "timestamp", details)',
        copyRows(clicks, latestMs),
        'binary',
      );
      await copyInto(
        database.client,
        `stats_batches (amount, minute, url_ids, owners, facts, clicks, previews,
                        countries, referrers, browsers, systems, devices)`,
        differenceRows(clicks, ({ userId }) => userId, latestMs),
        'binary',
      );
      const order = 'ORDER BY url_id, minute, country, referrer, browser, os, device';
      const expected = await database.query(
        `SELECT url_id, user_id AS owner, date_trunc('minute', "timestamp")::text AS minute,
                country, referrer, browser, os, device,
                count(*) FILTER (WHERE event_type = 'click') AS clicks,
                count(*) FILTER (WHERE event_type = 'preview') AS previews
         FROM events LEFT JOIN LATERAL stats_facts(details::text) ON true
         GROUP BY 1, 2, 3, 4, 5, 6, 7, 8 ${order}`,
      );
      const noted = await database.query(
        `SELECT url_id, owner, minute::text, countries[fact] AS country, referrers[fact] AS referrer,
                browsers[fact] AS browser, systems[fact] AS os, devices[fact] AS device,
                sum(changed.clicks) AS clicks, sum(changed.previews) AS previews
         FROM stats_batches, unnest(url_ids, owners, facts, clicks, previews)
           AS changed (url_id, owner, fact, clicks, previews)
         GROUP BY 1, 2, 3, 4, 5, 6, 7, 8 ${order}`,
      );
      const [row] = await database.query(
        `SELECT sum(amount)::integer AS amount, (SELECT count(*)::integer FROM stats_queue) AS by_triggers
         FROM stats_batches`,
      );
      await database.query('ROLLBACK');
      expect(noted).toEqual(expected);
      expect(row).toEqual({ amount: clicks.length, by_triggers: 0 });
    }),
    { numRuns: 40 },
  );
});
