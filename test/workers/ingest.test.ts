import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parseConfig } from '../../src/config.js';
import { segmentFile } from '../../src/journal/format.js';
import { listJournals } from '../../src/journal/segments.js';
import { Counters } from '../../src/memory/counters.js';
import type { IngestOutcome } from '../../src/messages/ingest.js';
import { Pool } from '../../src/postgres/pool.js';
import { createLogger } from '../../src/runtime/logger.js';
import { type IngestContext, takeInJournal } from '../../src/workers/ingest/ingest.js';
import { createDatabase, type TestDatabase } from '../support/database/database.js';
import { makeLink, openJournal, type TestJournal } from '../support/journal/journals.js';
import { makeFolder } from '../support/machine/folders.js';

let database: TestDatabase;
let folder: string;
let context: IngestContext;
let logged: string[];

beforeEach(async () => {
  database = await createDatabase();
  folder = makeFolder('ingest');
  logged = [];
  await database.query(
    `INSERT INTO short_urls (original_url, short_code, created_at)
     SELECT 'https://example.com/' || n, 'c' || n, '2026-01-01' FROM generate_series(1, 10) AS n`,
  );
  context = makeContext({});
});

afterEach(async () => {
  await context.pool.end();
  await database.drop();
  rmSync(folder, { recursive: true, force: true });
});

function makeContext(settings: Record<string, string>): IngestContext {
  const { counters } = new Counters().claim('ingest');
  return {
    config: parseConfig(settings),
    counters,
    log: createLogger('test', 'debug', (line) => logged.push(line)),
    pool: new Pool({
      address: database.address,
      max: 2,
      name: 'switchyard test',
      connectMs: 2000,
      statementMs: 10_000,
      idleInTransactionMs: 10_000,
      counters,
      onConnectionError: () => undefined,
    }),
  };
}

async function drain(journal: TestJournal, ended = true): Promise<void> {
  const { journalId, slot } = journal;
  for (let round = 0; round < 200; round += 1) {
    const written = ended ? undefined : slot.written;
    const outcome = await takeInJournal(context, { folder, journalId, written });
    expect(outcome.failure).toBeUndefined();
    if (outcome.isGone || (outcome.isAtEnd && !ended)) return;
  }
  throw new Error('the journal did not come to its end');
}

async function clicksByUrl(): Promise<Record<string, number>> {
  const rows = await database.query<{ id: string; click_count: string; events: string }>(
    `SELECT id, click_count, (SELECT count(*) FROM events WHERE url_id = u.id AND event_type = 'click') AS events
     FROM short_urls AS u ORDER BY id`,
  );
  for (const row of rows) expect(row.click_count).toBe(row.events);
  return Object.fromEntries(
    rows.filter((row) => row.events !== '0').map((row) => [row.id, Number(row.events)]),
  );
}

function clickSome(journal: TestJournal, counts: Record<number, number>): void {
  for (const [id, count] of Object.entries(counts)) {
    const link = makeLink(Number(id));
    for (let index = 0; index < count; index += 1) {
      journal.journal.record(link);
      if (index % 3 === 0) journal.journal.flush();
    }
  }
  journal.journal.flush();
}

/** What it is, how it comes about, how it is mended, and what a step says. */
const databaseFaults = [
  [
    'a sequence that is exhausted',
    `SELECT setval('events_id_seq', 9223372036854775807)`,
    `SELECT setval('events_id_seq', 1)`,
    /^fault: SQLSTATE 2200H$/,
  ],
  [
    'a sequence behind its ids',
    `INSERT INTO events (id, event_type, "timestamp") SELECT n, 'x', now() AT TIME ZONE 'utc' FROM generate_series(1, 200) AS n;
       DO $$ DECLARE part regclass; BEGIN
         FOR part IN SELECT inhrelid FROM pg_inherits WHERE inhparent = 'events'::regclass LOOP
           EXECUTE format('CREATE UNIQUE INDEX ON %s (id)', part);
         END LOOP;
       END $$`,
    `SELECT setval('events_id_seq', 200)`,
    /^conflict: SQLSTATE 23505, /,
  ],
  [
    'a table that takes no click',
    `ALTER TABLE events ADD CONSTRAINT shut CHECK (event_type <> 'click') NOT VALID`,
    'ALTER TABLE events DROP CONSTRAINT shut',
    /^rejected: .*shut/,
  ],
  [
    'a trigger that refuses all',
    `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'closed for today'; END $$;
       CREATE TRIGGER refuse BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION refuse()`,
    'DROP TRIGGER refuse ON events',
    /^fault: SQLSTATE P0001$/,
  ],
] as const;

describe('ingesting a journal', () => {
  it('copies clicks to a chunk, and where others were given its last ids meanwhile, through the whole table', async () => {
    // Fires for statements on the chunk alone.
    await database.query(
      `CREATE TABLE copies (first_id bigint);
       CREATE FUNCTION note_copy() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
         INSERT INTO copies SELECT last_value FROM events_id_seq;
         IF (SELECT count(*) FROM copies) = 2 THEN PERFORM setval('events_id_seq', 65500); END IF;
         RETURN NULL;
       END $$;
       CREATE TRIGGER note_copy BEFORE INSERT ON events_from_0 FOR EACH STATEMENT EXECUTE FUNCTION note_copy()`,
    );
    const journal = openJournal(folder);
    clickSome(journal, { 1: 50 });
    await drain(journal, false);
    expect(await database.query('SELECT count(*) FROM copies')).toEqual([{ count: '1' }]);
    clickSome(journal, { 1: 20, 2: 80 });
    await drain(journal, false);
    // That COPY was undone, with the note of it.
    expect(await database.query('SELECT count(*) FROM copies')).toEqual([{ count: '1' }]);
    expect(await database.query('SELECT count(*), max(id) >= 65537 AS beyond FROM events')).toEqual([
      { count: '150', beyond: true },
    ]);
    expect(await clicksByUrl()).toEqual({ 1: 70, 2: 80 });
    expect(logged.filter((line) => line.includes('rejects'))).toEqual([]);
    journal.journal.close();
  });

  it('puts each click there once, drops those of deleted links, and leaves nothing behind', async () => {
    const journal = openJournal(folder, { segmentBytes: 4096 });
    clickSome(journal, { 1: 500, 2: 3, 7: 900, 99: 40 });
    journal.journal.close();
    expect(readdirSync(folder).length).toBeGreaterThan(1);
    await drain(journal);
    expect(await clicksByUrl()).toEqual({ 1: 500, 2: 3, 7: 900 });
    expect(readdirSync(folder)).toEqual([]);
    expect(await database.query('SELECT * FROM journal_checkpoints')).toEqual([]);
    const [event] = await database.query(`SELECT * FROM events WHERE url_id = 2 LIMIT 1`);
    expect(event).toMatchObject({
      user_id: null,
      event_type: 'click',
      details: { short_code: 'c2', original_url: 'https://example.com/2' },
    });
  });

  it('goes on where it was, whoever goes on', async () => {
    const journal = openJournal(folder);
    for (let round = 1; round <= 5; round += 1) {
      clickSome(journal, { 1: 10, 2: 5 });
      // A reader that remembers nothing, as after a crash of its thread.
      context = makeContext({ CLICK_INGEST_BATCH: '4' });
      await drain(journal, false);
      expect(await clicksByUrl()).toEqual({ 1: round * 10, 2: round * 5 });
    }
    const rows = await database.query('SELECT clicks, dropped FROM journal_checkpoints');
    expect(rows).toEqual([{ clicks: '75', dropped: '0' }]);
    journal.journal.close();
    await drain(journal);
  });

  it('takes full batches one after the other, and lets what is left of a living journal gather', async () => {
    const journal = openJournal(folder);
    context = makeContext({ CLICK_INGEST_BATCH: '100' });
    clickSome(journal, { 1: 350 });
    const step = (written = journal.slot.written): Promise<IngestOutcome> =>
      takeInJournal(context, { folder, journalId: journal.journalId, written });
    const followed: boolean[] = [];
    for (let batch = 1; batch <= 3; batch += 1) followed.push((await step()).hasMore);
    expect(followed).toEqual([true, true, false]);
    clickSome(journal, { 1: 40 });
    expect((await step()).hasMore).toBe(false);
    expect(await clicksByUrl()).toEqual({ 1: 390 });
    expect(context.counters.get('ingestBatches')).toBe(4);
    journal.journal.close();
    await drain(journal);
  });

  it('counts once though two take it in at the same time', async () => {
    const journal = openJournal(folder, { segmentBytes: 4096 });
    clickSome(journal, { 1: 700, 2: 300 });
    journal.journal.close();
    const { journalId } = journal;
    const other = makeContext({ CLICK_INGEST_BATCH: '50' });
    context = makeContext({ CLICK_INGEST_BATCH: '70' });
    const takeAll = async (one: IngestContext): Promise<void> => {
      for (let round = 0; round < 300; round += 1) {
        const outcome = await takeInJournal(one, {
          folder: `${folder}${one === other ? '/' : ''}`,
          journalId,
          written: undefined,
        });
        if (outcome.isGone) return;
      }
    };
    await Promise.all([takeAll(context), takeAll(other)]);
    expect(await clicksByUrl()).toEqual({ 1: 700, 2: 300 });
    await other.pool.end();
  });

  it('keeps out only the clicks that PostgreSQL rejects, with the reason', async () => {
    await database.query(
      `ALTER TABLE events ADD CONSTRAINT picky CHECK (details->>'original_url' NOT LIKE '%/poison%')`,
    );
    const journal = openJournal(folder);
    const poison = makeLink(3, 'https://example.com/poison');
    for (let index = 0; index < 100; index += 1) {
      journal.journal.record(makeLink(1));
      if (index % 40 === 7) journal.journal.record(poison);
      journal.journal.record(makeLink(3));
    }
    journal.journal.flush();
    journal.journal.close();
    await drain(journal);
    expect(await clicksByUrl()).toEqual({ 1: 100, 3: 100 });
    const [name = ''] = readdirSync(folder);
    expect(name).toMatch(/\.rejected\.ndjson$/);
    const lines = readFileSync(path.join(folder, name), 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(lines).toHaveLength(3);
    for (const line of lines) {
      expect(line).toMatchObject({
        reason: expect.stringContaining('picky'),
        link: { urlId: '3', target: poison.target },
      });
    }
    expect(context.counters.get('ingestBatches')).toBe(1);
    expect(logged.join('')).toContain('3 clicks were rejected and set aside');
  });

  describe('whose folder', () => {
    let away: string;

    /** Ingests a part of a journal, so that it has a checkpoint and files; then the folder goes elsewhere. */
    async function takePart(): Promise<TestJournal> {
      const journal = openJournal(folder, { segmentBytes: 4096 });
      clickSome(journal, { 1: 500, 2: 300 });
      journal.journal.close();
      context = makeContext({ CLICK_INGEST_BATCH: '100' });
      const job = { folder, journalId: journal.journalId, written: undefined };
      expect((await takeInJournal(context, job)).failure).toBeUndefined();
      away = `${folder}-away`;
      renameSync(folder, away);
      return journal;
    }

    const checkpoints = (): Promise<unknown[]> => database.query('SELECT FROM journal_checkpoints');

    it('can’t be read is not gone: the step fails, and nothing counts twice when it can be read again', async () => {
      const { journalId, ...journal } = await takePart();
      writeFileSync(folder, 'in its place');
      for (let attempt = 0; attempt < 3; attempt += 1) {
        const outcome = await takeInJournal(context, { folder, journalId, written: undefined });
        expect(outcome).toMatchObject({ isGone: false, isAtEnd: false, pendingBytes: undefined });
        expect(outcome.failure).toContain('ENOTDIR');
      }
      expect(context.counters.get('ingestFailures')).toBeGreaterThanOrEqual(3);
      expect(await checkpoints()).toHaveLength(1);
      rmSync(folder);
      renameSync(away, folder);
      await drain({ journalId, ...journal });
      expect(await clicksByUrl()).toEqual({ 1: 500, 2: 300 });
      expect(await checkpoints()).toEqual([]);
    });

    it('is away with all that is in it keeps its checkpoint, for it may come back', async () => {
      const journal = await takePart();
      await drain(journal);
      expect(await checkpoints()).toHaveLength(1);
      renameSync(away, folder);
      await drain(journal);
      expect(await clicksByUrl()).toEqual({ 1: 500, 2: 300 });
      expect(await checkpoints()).toEqual([]);
    });
  });

  it('sets a file aside that is no journal, whole and once, and opens nothing that is no file', async () => {
    const journal = openJournal(folder);
    clickSome(journal, { 1: 5 });
    journal.journal.close();
    const { journalId } = journal;
    const junk = path.join(folder, segmentFile(journalId, 2));
    writeFileSync(junk, '');
    truncateSync(junk, 2 * 1024 ** 3);
    mkdirSync(path.join(folder, segmentFile(journalId, 3)));
    execFileSync('mkfifo', [path.join(folder, segmentFile(journalId, 4))]);
    symlinkSync('/dev/zero', path.join(folder, segmentFile(journalId, 5)));
    await drain(journal);
    expect(await clicksByUrl()).toEqual({ 1: 5 });
    expect(statSync(`${junk}.0.damaged`).size).toBe(2 * 1024 ** 3);
    expect(logged.filter((line) => line.includes('not a click journal'))).toHaveLength(1);
    expect(readdirSync(folder).filter((name) => name.endsWith('.clicks'))).toHaveLength(3);
    const fifo = randomUUID();
    execFileSync('mkfifo', [path.join(folder, segmentFile(fifo, 1))]);
    expect(listJournals(folder)).toEqual([]);
  });

  it.each(databaseFaults)(
    'stops at %s, says so, gives up no click, and goes on once it is mended',
    async (_, spoil, mend, failure) => {
      await database.query(spoil);
      const journal = openJournal(folder);
      clickSome(journal, { 1: 5, 2: 6 });
      journal.journal.close();
      const job = { folder, journalId: journal.journalId, written: undefined };
      for (let attempt = 0; attempt < 3; attempt += 1) {
        expect((await takeInJournal(context, job)).failure).toMatch(failure);
        expect(context.counters.get('ingestStopped')).toBe(1);
      }
      expect(readdirSync(folder).filter((name) => name.includes('rejected'))).toEqual([]);
      const lines = logged.map((line) => JSON.parse(line) as { levelname: string; message: string });
      const said = lines.filter(({ message }) => message.startsWith('click ingest stopped: '));
      expect(said.map(({ levelname }) => levelname)).toEqual(['ERROR']);
      await database.query(mend);
      await drain(journal);
      expect(await clicksByUrl()).toEqual({ 1: 5, 2: 6 });
      expect(context.counters.get('ingestStopped')).toBe(0);
    },
  );

  it('tells PostgreSQL being away as a failure, and goes on after', async () => {
    const journal = openJournal(folder);
    clickSome(journal, { 1: 5 });
    journal.journal.close();
    const away = { ...database.address, port: 1 };
    const broken: IngestContext = {
      ...context,
      pool: new Pool({
        address: away,
        max: 1,
        name: 'test',
        connectMs: 500,
        statementMs: 500,
        idleInTransactionMs: 500,
        counters: context.counters,
        onConnectionError: () => undefined,
      }),
    };
    const outcome = await takeInJournal(broken, { folder, journalId: journal.journalId, written: undefined });
    expect(outcome.failure).toMatch(/^unavailable: /);
    expect(outcome.pendingBytes).toBeGreaterThan(0);
    await drain(journal);
    expect(await clicksByUrl()).toEqual({ 1: 5 });
    await broken.pool.end();
  });
});
