import { rmSync } from 'node:fs';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { parseConfig } from '../../src/config.js';
import { VisitKind } from '../../src/journal/format.js';
import { Counters } from '../../src/memory/counters.js';
import { Pool } from '../../src/postgres/pool.js';
import { createLogger } from '../../src/runtime/logger.js';
import { ClickTallies } from '../../src/store/click-counts.js';
import { type IngestContext, takeInJournal } from '../../src/workers/ingest/ingest.js';
import { createDatabase, type TestDatabase } from '../support/database/database.js';
import { CREATED_MS, makeLink, openJournal, type TestJournal } from '../support/journal/journals.js';
import { makeFolder } from '../support/machine/folders.js';
import { eventually } from '../support/machine/wait.js';

const LINKS = 300;
const CONNECTIONS = 6;
let database: TestDatabase;
let other: pg.Client;
let folder: string;
let context: IngestContext;

beforeAll(async () => {
  database = await createDatabase();
  other = new pg.Client(database.address);
  await other.connect();
  const { counters } = new Counters(1).claim('ingest');
  context = {
    config: parseConfig({}),
    counters,
    log: createLogger('test', 'silent', () => undefined),
    pool: new Pool({
      address: database.address,
      max: CONNECTIONS,
      name: 'switchyard test',
      connectMs: 20_000,
      statementMs: 20_000,
      idleInTransactionMs: 20_000,
      counters,
      onConnectionError: () => undefined,
    }),
  };
});

afterAll(async () => {
  await other?.end();
  await context?.pool.end();
  await database?.drop();
});

beforeEach(async () => {
  folder = makeFolder('counts');
  await database.query('TRUNCATE users, short_urls, events, journal_checkpoints');
  await database.query('TRUNCATE stats_queue, stats_batches');
  // They lie in the table in another order than that of their ids.
  await database.query(
    `INSERT INTO short_urls (id, original_url, short_code, created_at)
     SELECT n, 'https://example.com/' || n, 'c' || n, '2026-01-01' FROM generate_series(1, ${LINKS}) AS n
     ORDER BY n * 7 % 307`,
  );
});

afterEach(async () => {
  await database.query('ALTER TABLE events DROP CONSTRAINT IF EXISTS picky');
  rmSync(folder, { recursive: true, force: true });
});

function step({ journalId }: TestJournal): ReturnType<typeof takeInJournal> {
  return takeInJournal(context, { folder, journalId, written: undefined });
}

/** Counters, events and what the statistics are to add, by link: they have to agree. */
async function counts(): Promise<Record<string, number>> {
  const rows = await database.query<{ id: string; click_count: string; events: string }>(
    `SELECT coalesce(id, url_id) AS id, coalesce(click_count, 0) AS click_count, coalesce(n, 0) AS events
     FROM (SELECT * FROM short_urls WHERE click_count > 0) AS links
       FULL JOIN (SELECT url_id, count(*) AS n FROM events WHERE event_type = 'click' GROUP BY url_id) AS clicks
         ON id = url_id`,
  );
  for (const row of rows) expect(row.click_count).toBe(row.events);
  const [differences] = await database.query(
    `SELECT (SELECT coalesce(json_agg(n ORDER BY n::text), '[]') FROM (
               SELECT url_id, link.user_id AS owner, count(*) FILTER (WHERE event_type = 'click') AS clicks,
                      count(*) FILTER (WHERE event_type = 'preview') AS previews
               FROM events JOIN (SELECT id, user_id FROM short_urls) AS link ON link.id = url_id GROUP BY 1, 2) AS n)::text AS events,
            (SELECT coalesce(json_agg(n ORDER BY n::text), '[]') FROM (
               SELECT url_id, owner, sum(c) AS clicks, sum(p) AS previews
               FROM stats_batches, unnest(url_ids, owners, clicks, previews) AS noted (url_id, owner, c, p)
               GROUP BY 1, 2) AS n)::text AS noted,
            (SELECT count(*)::integer FROM stats_queue WHERE kind = 'events' AND NOT is_less) AS by_triggers`,
  );
  expect(differences).toMatchObject({ noted: differences?.events, by_triggers: 0 });
  return Object.fromEntries(rows.map((row) => [row.id, Number(row.events)]));
}

async function waitUntilBlocked(): Promise<void> {
  await eventually(async () => {
    const waiting = await database.query(
      `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
    );
    return waiting.length > 0;
  });
}

describe('clicks of a batch', () => {
  it('on a link that is being deleted are dropped, and none of their events is left', async () => {
    const journal = openJournal(folder);
    for (const id of [1, 2, 3]) for (let n = 0; n < id * 10; n += 1) journal.journal.record(makeLink(id));
    journal.journal.close();
    await other.query('BEGIN');
    await other.query('DELETE FROM short_urls WHERE id = 2');
    const stepped = step(journal);
    await waitUntilBlocked();
    // Its events are there by now, and nobody sees them.
    const gone = await other.query('DELETE FROM events WHERE url_id = 2');
    expect(gone.rowCount).toBe(0);
    await other.query('COMMIT');
    expect((await stepped).after).toMatchObject({ clicks: 40, dropped: 20, rejected: 0 });
    expect(await counts()).toEqual({ 1: 10, 3: 30 });
  });

  it('on a link whose deletion is undone are counted', async () => {
    const journal = openJournal(folder);
    for (let n = 0; n < 5; n += 1) journal.journal.record(makeLink(2));
    journal.journal.close();
    await other.query('BEGIN');
    await other.query('DELETE FROM short_urls WHERE id = 2');
    const stepped = step(journal);
    await waitUntilBlocked();
    await other.query('ROLLBACK');
    expect((await stepped).after).toMatchObject({ clicks: 5, dropped: 0 });
    expect(await counts()).toEqual({ 2: 5 });
  });

  it('are one sum though the target changed between them, each with the target as served', async () => {
    const journal = openJournal(folder);
    const [first, second] = [makeLink(1, 'https://a.example'), makeLink(1, 'https://b.example')];
    for (const link of [first, second, first, second, second]) journal.journal.record(link);
    journal.journal.close();
    expect((await step(journal)).after).toMatchObject({ clicks: 5, dropped: 0 });
    expect(await counts()).toEqual({ 1: 5 });
    const targets = await database.query(
      `SELECT details->>'original_url' AS target, count(*) AS n FROM events GROUP BY 1 ORDER BY 1`,
    );
    expect(targets).toEqual([
      { target: 'https://a.example', n: '2' },
      { target: 'https://b.example', n: '3' },
    ]);
  });

  it('are noted for the owner that the link has when they are counted', async () => {
    await database.query(
      `INSERT INTO users (id, username, email) SELECT n, 'u' || n, n || '@example.com' FROM generate_series(1, 2) AS n`,
    );
    await database.query('UPDATE short_urls SET user_id = 1 WHERE id IN (1, 2)');
    const journal = openJournal(folder);
    for (const id of [1, 2, 3]) journal.journal.record(makeLink(id, undefined, '1'));
    journal.journal.close();
    await other.query('BEGIN');
    await other.query('UPDATE short_urls SET user_id = 2 WHERE id = 2');
    const stepped = step(journal);
    await waitUntilBlocked();
    await other.query('COMMIT');
    expect((await stepped).after).toMatchObject({ clicks: 3, dropped: 0 });
    expect(await counts()).toEqual({ 1: 1, 2: 1, 3: 1 });
  });

  it('that PostgreSQL rejects are counted for no link, nor are previews', async () => {
    await database.query(
      `ALTER TABLE events ADD CONSTRAINT picky CHECK (details->>'referrer' IS DISTINCT FROM 'poison')`,
    );
    const journal = openJournal(folder);
    const visit = { referrer: '', userAgent: '', country: '', address: '', kind: VisitKind.CLICK };
    const preview = { ...visit, kind: VisitKind.PREVIEW };
    for (const id of [1, 2]) {
      for (const one of [
        visit,
        preview,
        { ...visit, referrer: 'poison' },
        { ...preview, referrer: 'poison' },
      ])
        journal.journal.recordVisit(makeLink(id), one);
    }
    journal.journal.recordVisit(makeLink(999), { ...visit, referrer: 'poison' });
    journal.journal.close();
    expect((await step(journal)).after).toMatchObject({ clicks: 4, dropped: 1, rejected: 4 });
    expect(await counts()).toEqual({ 1: 1, 2: 1 });
  });

  it('go to no link that has the same id but another code or time, beside those that do', async () => {
    const journal = openJournal(folder);
    const links = [makeLink(1), makeLink(1, undefined, null, CREATED_MS + 1), makeLink(2)];
    for (const link of links) journal.journal.record(link);
    journal.journal.close();
    await database.query(`UPDATE short_urls SET short_code = 'q"\\uote' WHERE id = 2`);
    expect((await step(journal)).after).toMatchObject({ clicks: 1, dropped: 2 });
    expect(await counts()).toEqual({ 1: 1 });
  });
});

describe('counting', () => {
  const identity = (id: number, shortCode = `c${id}`, createdMs: number | undefined = CREATED_MS) => ({
    urlId: String(id),
    shortCode,
    createdMs,
    userId: null,
  });

  it('finds codes with any characters, and refuses what it could not tell apart', async () => {
    const code = '{q"\\u,NULL}';
    await database.query('UPDATE short_urls SET short_code = $1 WHERE id = 2', [code]);
    await database.query(`UPDATE short_urls SET created_at = 'infinity' WHERE id = 3`);
    await database.query(`UPDATE short_urls SET short_code = 'NULL' WHERE id = 4`);
    const tallies = new ClickTallies();
    const links = [
      identity(2, code),
      identity(3, 'c3', 0),
      identity(4, 'NULL'),
      identity(5, 'c5', Number.NaN),
    ];
    for (const link of links) tallies.add(link, true);
    await database.query('BEGIN');
    expect(await tallies.count(database.client)).toBe(false);
    await database.query('COMMIT');
    expect(links.map((link) => tallies.isMissing(link))).toEqual([false, false, false, true]);
    expect(tallies.isMissing(identity(2, code))).toBe(false);
    expect(() => tallies.add({ ...identity(2), createdMs: undefined }, true)).toThrow('with and without');
  });

  it('locks links in the order of their ids, however they lie in the table and come in the batch', async () => {
    const shuffled = (seed: number): number[] =>
      Array.from({ length: LINKS }, (_, n) => 1 + ((n * (2 * seed + 7)) % LINKS)).filter(
        (id, place, all) => all.indexOf(id) === place,
      );
    const once = (seed: number): Promise<void> =>
      context.pool.runOnce(20_000, async (connection) => {
        const tallies = new ClickTallies();
        for (const id of shuffled(seed)) tallies.add(identity(id), true);
        await connection.query('BEGIN');
        // Every second one is another kind of change, which locks as all of the store does.
        if (seed % 2 === 0) await tallies.count(connection);
        else
          await connection.query('SELECT FROM short_urls WHERE id = ANY ($1) ORDER BY id FOR UPDATE', [
            shuffled(seed),
          ]);
        await connection.query('COMMIT');
      });
    // A deadlock would be an error here; `run` alone tries again.
    await Promise.all(
      Array.from({ length: CONNECTIONS }, async (_, place) => {
        for (let round = 0; round < 10; round += 1) await once(round * CONNECTIONS + place);
      }),
    );
    const [row] = await database.query<{ most: string }>('SELECT max(click_count) AS most FROM short_urls');
    expect(Number(row?.most)).toBe(30);
  });
});
