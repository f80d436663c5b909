import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { formatTimestamp } from '../../src/api/values.js';
import { VisitKind } from '../../src/journal/format.js';
import type { JournalledClick } from '../../src/journal/known.js';
import { copyInto } from '../../src/postgres/copy.js';
import { copyRows } from '../../src/workers/ingest/click-events.js';
import { visitFacts } from '../../src/workers/ingest/visit-details.js';
import { createDatabase, type TestDatabase } from '../support/database/database.js';

let database: TestDatabase;

beforeAll(async () => {
  database = await createDatabase();
});

afterAll(async () => {
  await database?.drop();
});

interface Stored {
  readonly url_id: string;
  readonly user_id: string | null;
  readonly event_type: string;
  readonly time: string;
  readonly details: unknown;
}

/** The events of clicks, in the order in which they were stored. */
async function store(clicks: readonly JournalledClick[]): Promise<Stored[]> {
  const columns = 'url_id, user_id, event_type, "timestamp", details';
  const rows = await copyInto(database.client, `events (${columns})`, copyRows(clicks), 'binary');
  expect(rows).toBe(clicks.length);
  return database.query<Stored & Record<string, unknown>>(
    `WITH gone AS (DELETE FROM events RETURNING *)
     SELECT url_id, user_id, event_type, to_char("timestamp", 'YYYY-MM-DD HH24:MI:SS.MS') AS time, details
     FROM gone ORDER BY id`,
  );
}

const NOW = Date.UTC(2026, 5, 1, 12, 30, 15, 250);
const LINKS = 5;
const text = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 12 }),
  fc.constantFrom('', 'DE', '"\\\t\r\n', 'Mozilla/5.0 (X11; Linux x86_64) Firefox/130.0', 'ü'.repeat(300)),
);
const id = fc.bigInt({ min: 1n, max: 2n ** 63n - 1n }).map(String);
const links = fc.uniqueArray(
  fc.record({
    urlId: id,
    userId: fc.option(id, { nil: null }),
    shortCode: text,
    target: fc.oneof(text, fc.constant('x'.repeat(8192))),
    createdMs: fc.constant(undefined),
  }),
  { minLength: LINKS, maxLength: LINKS, selector: ({ urlId }) => urlId },
);
const visit = fc.record({
  referrer: text,
  userAgent: text,
  country: text,
  address: text,
  kind: fc.constantFrom(...Object.values(VisitKind)),
});
const drawn = fc.array(
  fc.record({
    link: fc.nat({ max: LINKS - 1 }),
    timeMs: fc.oneof(fc.integer({ min: 0, max: NOW }), fc.constant(NOW)),
    visit: fc.option(visit, { nil: undefined }),
  }),
  { minLength: 1, maxLength: 60 },
);

describe('events of clicks', () => {
  it('say what was clicked: any ids, texts, times and facts', async () => {
    await fc.assert(
      fc.asyncProperty(links, drawn, async (all, clicks) => {
        const journalled = clicks.map((click) => ({ ...click, link: all[click.link] as (typeof all)[0] }));
        const expected = journalled.map(({ link, timeMs, visit }) => ({
          url_id: link.urlId,
          user_id: link.userId,
          event_type: visit === undefined || visit.kind === VisitKind.CLICK ? 'click' : 'preview',
          time: formatTimestamp(timeMs),
          details: {
            short_code: link.shortCode,
            original_url: link.target,
            ...(visit === undefined ? {} : visitFacts(visit)),
          },
        }));
        expect(await store(journalled)).toEqual(expected);
      }),
      { numRuns: 40 },
    );
  });

  it('of clicks by the thousand go out in several chunks', async () => {
    const link = (n: number) => ({
      urlId: String(n),
      userId: null,
      shortCode: `c${n}`,
      target: `https://example.com/${'a'.repeat(n % 700)}`,
      createdMs: undefined,
    });
    const all = Array.from({ length: 100 }, (_, n) => link(n + 1));
    const clicks = Array.from({ length: 5000 }, (_, n) => ({
      link: all[(n * 37) % 100] as (typeof all)[0],
      timeMs: NOW + n,
      visit: undefined,
    }));
    expect([...copyRows(clicks)].length).toBeGreaterThan(3);
    const stored = await store(clicks);
    expect(stored).toHaveLength(5000);
    expect(stored.filter(({ url_id }) => url_id === '7').map(({ details }) => details)).toEqual(
      Array(50).fill({ short_code: 'c7', original_url: 'https://example.com/aaaaaaa' }),
    );
  });

  it('are of our own time where a gateway’s clock is years ahead, and of its time where that is past', async () => {
    const link = { urlId: '1', userId: null, shortCode: 'c1', target: 'http://e.com', createdMs: undefined };
    const before = Date.now();
    const times = [Date.UTC(2019, 1, 3), before + 60_000, before + 3 * 365 * 86_400_000, 8.6e15];
    const stored = await store(times.map((timeMs) => ({ link, timeMs, visit: undefined })));
    const kept = stored.map(({ time }) => Date.parse(`${time}Z`));
    expect(kept.slice(0, 2)).toEqual(times.slice(0, 2));
    for (const time of kept.slice(2)) {
      expect(time).toBeGreaterThanOrEqual(before + 300_000);
      expect(time).toBeLessThanOrEqual(Date.now() + 300_000);
    }
  });
});
