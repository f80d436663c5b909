import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { parseConfig } from '../../src/config.js';
import { parseKeptFile } from '../../src/journal/kept-segments.js';
import { listSegments } from '../../src/journal/segments.js';
import { surveyFolder } from '../../src/journal/survey.js';
import { Counters, type ThreadCounters } from '../../src/memory/counters.js';
import { ServerState } from '../../src/memory/server-state.js';
import type { IngestJob, IngestOutcome } from '../../src/messages/ingest.js';
import { IngestAccount } from '../../src/ops/ingest-account.js';
import { JournalTurn } from '../../src/ops/ingest-policy.js';
import { type TrackedJournal, trackJournal } from '../../src/ops/tracked-journal.js';
import { Pool } from '../../src/postgres/pool.js';
import { createLogger } from '../../src/runtime/logger.js';
import { type IngestContext, takeInJournal } from '../../src/workers/ingest/ingest.js';
import { createDatabase, type TestDatabase } from '../support/database/database.js';
import { makeLink, openJournal, type TestJournal } from '../support/journal/journals.js';
import { makeFolder } from '../support/machine/folders.js';

const TIMING = { lingerMs: 0, settleMs: 0, backoff: { firstMs: 1, maxMs: 1 } };
const KEEP = { ms: 600_000, bytes: 2 ** 30 };

let database: TestDatabase;
let folder: string;
let context: IngestContext;
let counters: ThreadCounters;
let account: IngestAccount;
let tracked: TrackedJournal | undefined;
let logged: string[];

beforeEach(async () => {
  database = await createDatabase();
  folder = makeFolder('fall-back');
  logged = [];
  tracked = undefined;
  await database.query(
    `INSERT INTO short_urls (original_url, short_code, created_at)
     SELECT 'https://example.com/' || n, 'c' || n, '2026-01-01' FROM generate_series(1, 9) AS n`,
  );
  ({ counters } = new Counters(1).claim('ingest'));
  const log = createLogger('test', 'debug', (line) => logged.push(line));
  account = new IngestAccount(counters, log, new ServerState());
  const pool = new Pool({
    address: database.address,
    max: 1,
    name: 'switchyard test',
    connectMs: 5000,
    statementMs: 10_000,
    idleInTransactionMs: 10_000,
    counters,
    onConnectionError: () => undefined,
  });
  context = { config: parseConfig({ CLICK_INGEST_BATCH: '300' }), counters, log, pool };
});

afterEach(async () => {
  await context.pool.end();
  await database.drop();
  rmSync(folder, { recursive: true, force: true });
});

/** A journal of small segments for this database. */
async function open(): Promise<TestJournal> {
  const journal = openJournal(folder, { segmentBytes: 4096 });
  const [row] = await database.query<{ id: string }>('SELECT id FROM switchyard_database');
  journal.journal.setDatabase(row?.id ?? '');
  return journal;
}

function click(journal: TestJournal, id: number, clicks: number): void {
  const link = makeLink(id);
  for (let index = 0; index < clicks; index += 1) {
    journal.journal.record(link);
    if (index % 20 === 0) journal.journal.flush();
  }
  journal.journal.flush();
}

/** Ingests until nothing is left to do. @param where Another name of the folder is another reader, as after a restart. */
async function ingest(
  journal: TestJournal,
  job: Partial<IngestJob> = {},
  where = folder,
): Promise<IngestOutcome> {
  const { journalId, slot } = journal;
  tracked ??= trackJournal(journalId, folder, new JournalTurn(TIMING), slot);
  for (let round = 0; round < 500; round += 1) {
    const outcome = await takeInJournal(context, {
      folder: where,
      journalId,
      written: slot.written,
      keep: KEEP,
      mustAsk: round === 0,
      ...job,
    });
    expect(outcome.failure).toBeUndefined();
    account.settle(tracked, outcome);
    if (outcome.isAtEnd) return outcome;
  }
  throw new Error('the journal did not come to its end');
}

const tables = ['short_urls', 'events', 'journal_checkpoints'];

/** What a backup has of the clicks. */
async function backUp(): Promise<void> {
  await database.query(`DROP SCHEMA IF EXISTS backup CASCADE; CREATE SCHEMA backup`);
  for (const table of tables) await database.query(`CREATE TABLE backup.${table} AS TABLE ${table}`);
}

async function fallBack(): Promise<void> {
  await database.query(`TRUNCATE ${tables.join(', ')}`);
  for (const table of tables) await database.query(`INSERT INTO ${table} SELECT * FROM backup.${table}`);
}

async function countsOf(): Promise<Record<string, number>> {
  const rows = await database.query<{ id: string; clicks: string; events: string }>(
    `SELECT id, click_count AS clicks, (SELECT count(*) FROM events WHERE url_id = u.id) AS events
     FROM short_urls AS u ORDER BY id`,
  );
  for (const row of rows) expect([row.id, row.clicks]).toEqual([row.id, row.events]);
  return Object.fromEntries(
    rows.filter((row) => row.clicks !== '0').map((row) => [row.id, Number(row.clicks)]),
  );
}

function segmentsOf({ journalId }: TestJournal): number[] {
  return listSegments(folder, journalId).map(({ number }) => number);
}

describe('a database that falls back in time', () => {
  it('gets the clicks that it lost from the segments that were kept, each once, and is said to have lost them', async () => {
    const journal = await open();
    click(journal, 1, 700);
    await ingest(journal);
    await backUp();
    click(journal, 1, 900);
    click(journal, 2, 600);
    await ingest(journal);
    expect(await countsOf()).toEqual({ 1: 1600, 2: 600 });
    expect(segmentsOf(journal).length).toBeGreaterThan(4);
    await fallBack();
    expect(await countsOf()).toEqual({ 1: 700 });
    click(journal, 3, 40);
    // Nobody says that it fell back: the transaction finds out.
    await ingest(journal, { mustAsk: false });
    expect(await countsOf()).toEqual({ 1: 1600, 2: 600, 3: 40 });
    expect(counters.get('journalRewinds')).toBe(1);
    expect(counters.get('clicksRewound')).toBe(1500);
    expect(counters.get('ingestedClicks') - counters.get('clicksRewound')).toBe(2240);
    expect(logged.join('')).toContain('it lacks 1500 clicks');
    expect(journal.slot.pending).toBe(0);
    // And again, without a new click: whoever is asked to says it.
    await fallBack();
    await ingest(journal);
    expect(await countsOf()).toEqual({ 1: 1600, 2: 600, 3: 40 });
    expect(counters.get('clicksLost')).toBe(0);
    journal.journal.close();
  });

  it('counts clicks on links that are gone, or whose id another link got, as dropped, once', async () => {
    const journal = await open();
    await backUp();
    await database.query(
      `INSERT INTO short_urls (id, original_url, short_code, created_at)
       SELECT n, 'https://example.com/lost', 'c' || n, '2026-01-01' FROM generate_series(101, 103) AS n`,
    );
    click(journal, 1, 30);
    for (const id of [101, 102, 103]) click(journal, id, id);
    await ingest(journal);
    for (let round = 0; round < 2; round += 1) {
      await fallBack();
      // The same code, made again, with the same id; and another code with the same id.
      await database.query(
        `INSERT INTO short_urls (id, original_url, short_code, created_at)
         VALUES (101, 'https://example.com/again', 'c101', '2026-01-02'), (102, 'https://example.com/', 'other', '2026-01-01')`,
      );
      await ingest(journal);
      expect(await countsOf()).toEqual({ 1: 30 });
      expect(counters.get('ingestDropped')).toBe(101 + 102 + 103);
    }
    journal.journal.close();
  });

  it('is recognised by the next owner of the journal, which goes on with what was kept', async () => {
    const journal = await open();
    await backUp();
    click(journal, 1, 900);
    await ingest(journal);
    journal.journal.close();
    const ended = await ingest(journal, { written: undefined });
    expect(ended).toMatchObject({ isKept: true, isGone: false, keptForMs: expect.any(Number) });
    expect(ended.keptBytes).toBeGreaterThan(900 * 8);
    // Another owner: it remembers nothing, and the note in the folder does.
    await fallBack();
    tracked = trackJournal(journal.journalId, folder, new JournalTurn(TIMING), undefined);
    const taken = await ingest(journal, { written: undefined }, `${folder}/.`);
    expect(taken.isKept).toBe(true);
    expect(await countsOf()).toEqual({ 1: 900 });
    expect(logged.join('')).toContain('it lacks 900 clicks');
    expect(counters.get('clicksRewound')).toBe(900);
    const counted = counters.get('ingestedClicks');
    // A third one has nothing to do, and removes all when the time is over.
    await ingest(journal, { written: undefined }, `${folder}/./.`);
    expect(counters.get('ingestedClicks')).toBe(counted);
    const gone = await ingest(journal, { written: undefined, keep: { ms: 0, bytes: 0 } }, `${folder}/./.`);
    expect(gone.isGone).toBe(true);
    expect(readdirSync(folder)).toEqual([]);
    expect(await database.query('SELECT FROM journal_checkpoints')).toEqual([]);
    expect(await countsOf()).toEqual({ 1: 900 });
  });

  it('that lies before what is kept loses what is gone, counted exactly, and no more', async () => {
    const journal = await open();
    click(journal, 1, 300);
    await ingest(journal);
    await backUp();
    click(journal, 1, 1200);
    await ingest(journal);
    click(journal, 2, 500);
    const before = segmentsOf(journal);
    // Beyond so many bytes the oldest go.
    await ingest(journal, { keep: { ms: 600_000, bytes: 6000 } });
    const kept = segmentsOf(journal);
    expect(kept.length).toBeLessThan(before.length);
    expect(kept.length).toBeGreaterThan(1);
    await fallBack();
    await ingest(journal);
    const counts = await countsOf();
    const missing = 2000 - (counts[1] ?? 0) - (counts[2] ?? 0);
    expect(missing).toBeGreaterThan(0);
    expect(missing).toBeLessThan(1700);
    expect(counters.get('clicksLost')).toBe(missing);
    expect(logged.join('')).toContain(`before what the journal keeps: ${missing} clicks are lost`);
    expect(journal.slot.pending).toBe(0);
    // Once.
    await ingest(journal);
    expect(counters.get('clicksLost')).toBe(missing);
    journal.journal.close();
  });
});

describe('segments that are kept', () => {
  it('go when their time is over, and not before the database says that it still has them', async () => {
    const journal = await open();
    await backUp();
    click(journal, 1, 900);
    await ingest(journal);
    expect(segmentsOf(journal).length).toBeGreaterThan(1);
    await fallBack();
    // The time is over just when it has fallen back, and nobody has noticed yet.
    const keep = { ms: 0, bytes: 0 };
    await ingest(journal, { keep, mustAsk: false });
    expect(await countsOf()).toEqual({ 1: 900 });
    expect(segmentsOf(journal)).toHaveLength(1);
    journal.journal.close();
  });

  it('outlive a note that is damaged, and a note without a journal is removed', async () => {
    const journal = await open();
    click(journal, 1, 900);
    journal.journal.close();
    await ingest(journal, { written: undefined });
    const kept = segmentsOf(journal);
    const [note = ''] = readdirSync(folder).filter((name) => parseKeptFile(name) === journal.journalId);
    for (const [index, text] of ['', '{"kept":[{"segment":1}],"removed":[]}', 'null'].entries()) {
      writeFileSync(path.join(folder, note), text);
      const outcome = await ingest(journal, { written: undefined }, folder + '/.'.repeat(index + 1));
      expect(outcome.isKept).toBe(true);
    }
    expect(segmentsOf(journal)).toEqual(kept);
    expect(await countsOf()).toEqual({ 1: 900 });
    for (const number of kept)
      rmSync(listSegments(folder, journal.journalId).find((one) => one.number === number)?.file ?? '');
    await surveyFolder(folder);
    expect(readdirSync(folder)).toEqual([]);
  });

  it('know neither a clock that was years ahead nor one that was set back', async () => {
    const years = 10 * 365 * 86_400_000;
    const now = vi.spyOn(Date, 'now').mockReturnValue(Date.now() + years);
    const journal = await open();
    await backUp();
    click(journal, 1, 900);
    journal.journal.close();
    now.mockRestore();
    await ingest(journal, { written: undefined });
    const note = path.join(folder, `${journal.journalId}.kept.json`);
    const text = readFileSync(note, 'utf8');
    writeFileSync(note, text.replaceAll(/"atMs":\d+/g, `"atMs":${Date.now() + years}`));
    await fallBack();
    const outcome = await ingest(journal, { written: undefined }, `${folder}/.`);
    expect(await countsOf()).toEqual({ 1: 900 });
    expect(outcome.keptForMs).toBeGreaterThan(0);
    expect(outcome.keptForMs).toBeLessThanOrEqual(KEEP.ms);
    const [last] = await database.query<{ ms: string }>(
      `SELECT extract(epoch FROM max("timestamp") - now() AT TIME ZONE 'utc') * 1000 AS ms FROM events`,
    );
    expect(Number(last?.ms)).toBeLessThanOrEqual(300_000);
  });

  it('are of one database: connected to another, nothing of them waits, and nothing goes', async () => {
    const journal = await open();
    click(journal, 1, 900);
    journal.journal.close();
    await ingest(journal, { written: undefined });
    const kept = segmentsOf(journal);
    await database.query('UPDATE switchyard_database SET id = gen_random_uuid()');
    const outcome = await ingest(journal, { written: undefined, keep: { ms: 0, bytes: 0 } });
    expect(outcome).toMatchObject({ elsewhere: 0, isKept: true, isGone: false, keptForMs: undefined });
    expect(segmentsOf(journal)).toEqual(kept);
    expect(await countsOf()).toEqual({ 1: 900 });
  });
});
