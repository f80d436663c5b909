import { randomUUID } from 'node:crypto';
import { readdirSync, rmSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parseConfig } from '../../src/config.js';
import { Counters } from '../../src/memory/counters.js';
import { Pool } from '../../src/postgres/pool.js';
import { createLogger } from '../../src/runtime/logger.js';
import { findWrongCounters } from '../../src/store/reconcile.js';
import { type IngestContext, takeInJournal } from '../../src/workers/ingest/ingest.js';
import { createDatabase, type TestDatabase } from '../support/database/database.js';
import { writeFirstVersion } from '../support/journal/journal-v1.js';
import { CREATED_MS, makeLink, openJournal } from '../support/journal/journals.js';
import { makeFolder } from '../support/machine/folders.js';

let folder: string;
let here: TestDatabase;
let elsewhere: TestDatabase;
const pools: Pool[] = [];
let logged: string[];

beforeEach(async () => {
  folder = makeFolder('identity');
  logged = [];
  [here, elsewhere] = await Promise.all([createDatabase(), createDatabase()]);
  // Clones of one template: the second becomes a database of its own.
  await elsewhere.query('UPDATE switchyard_database SET id = gen_random_uuid()');
  for (const database of [here, elsewhere]) {
    await database.query(
      `INSERT INTO short_urls (original_url, short_code, created_at)
       SELECT 'https://example.com/' || n, 'c' || n, '2026-01-01' FROM generate_series(1, 5) AS n`,
    );
  }
});

afterEach(async () => {
  for (const pool of pools.splice(0)) await pool.end();
  await Promise.all([here.drop(), elsewhere.drop()]);
  rmSync(folder, { recursive: true, force: true });
});

function contextOf(database: TestDatabase): IngestContext {
  const { counters } = new Counters(1).claim('ingest');
  const pool = new Pool({
    address: database.address,
    max: 2,
    name: 'switchyard test',
    connectMs: 5000,
    statementMs: 10_000,
    idleInTransactionMs: 10_000,
    counters,
    onConnectionError: () => undefined,
  });
  pools.push(pool);
  const log = createLogger('test', 'debug', (line) => logged.push(line));
  return { config: parseConfig({}), counters, log, pool };
}

async function idOf(database: TestDatabase): Promise<string> {
  const [row] = await database.query<{ id: string }>('SELECT id FROM switchyard_database');
  return row?.id ?? '';
}

async function countsOf(database: TestDatabase): Promise<Record<string, number>> {
  const rows = await database.query<{ id: string; click_count: string }>(
    'SELECT id, click_count FROM short_urls WHERE click_count > 0 ORDER BY id',
  );
  return Object.fromEntries(rows.map((row) => [row.id, Number(row.click_count)]));
}

/** Ingests until nothing is left for this database. The folder's name tells the readers apart. */
async function drain(context: IngestContext, journalId: string): ReturnType<typeof takeInJournal> {
  for (let round = 0; round < 50; round += 1) {
    const outcome = await takeInJournal(context, { folder, journalId, written: undefined });
    expect(outcome.failure).toBeUndefined();
    if (outcome.isAtEnd) return outcome;
  }
  throw new Error('the journal did not come to its end');
}

describe('clicks of another database', () => {
  it('are kept, said, and wait; each database gets its own', async () => {
    const { journal, journalId } = openJournal(folder);
    const link = makeLink(1);
    journal.setDatabase(await idOf(here));
    for (let click = 0; click < 3; click += 1) journal.record(link);
    journal.setDatabase(await idOf(elsewhere));
    for (let click = 0; click < 5; click += 1) journal.record(link);
    journal.setDatabase(await idOf(here));
    journal.record(link);
    journal.close();
    const outcome = await drain(contextOf(here), journalId);
    expect(await countsOf(here)).toEqual({ 1: 4 });
    expect(outcome).toMatchObject({ elsewhere: 5, isGone: false, isForOthers: true });
    expect(logged.join('')).toContain('5 clicks are on links of another database');
    expect(readdirSync(folder)).toHaveLength(1);
    expect(await drain(contextOf(elsewhere), journalId)).toMatchObject({ elsewhere: 0, isGone: true });
    expect(await countsOf(elsewhere)).toEqual({ 1: 5 });
    expect(await countsOf(here)).toEqual({ 1: 4 });
  });

  it('go to no other one though it is exchanged while they are ingested', async () => {
    const { journal, journalId, slot } = openJournal(folder);
    const link = makeLink(2);
    journal.setDatabase(await idOf(here));
    journal.record(link);
    journal.flush();
    const context = contextOf(here);
    const step = (pool: Pool): ReturnType<typeof takeInJournal> =>
      takeInJournal({ ...context, pool }, { folder, journalId, written: slot.written });
    await step(context.pool);
    expect(await countsOf(here)).toEqual({ 2: 1 });
    for (let click = 0; click < 4; click += 1) journal.record(link);
    journal.flush();
    // The reader knows its position; now the same address leads elsewhere, and there is a row for the journal.
    await elsewhere.query(
      `INSERT INTO journal_checkpoints (journal_id, segment, byte_offset) VALUES ($1, $2, $3)`,
      await here
        .query<{ segment: string; byte_offset: string }>(
          'SELECT segment, byte_offset FROM journal_checkpoints',
        )
        .then(([row]) => [journalId, row?.segment, row?.byte_offset]),
    );
    const other = contextOf(elsewhere);
    for (let round = 0; round < 3; round += 1) await step(other.pool);
    expect(await countsOf(elsewhere)).toEqual({});
    for (let round = 0; round < 3; round += 1) await step(context.pool);
    expect(await countsOf(here)).toEqual({ 2: 5 });
    journal.close();
  });
});

describe('a click on a link whose id is another link’s now', () => {
  it('is dropped, counted and said, whether the code or the time of creation differs', async () => {
    const { journal, journalId } = openJournal(folder);
    journal.setDatabase(await idOf(here));
    const [same, remade, reused] = [makeLink(1), makeLink(2, undefined, null, CREATED_MS - 1), makeLink(3)];
    for (const link of [same, remade, remade, reused]) journal.record(link);
    journal.close();
    await here.query(`UPDATE short_urls SET short_code = 'other' WHERE id = 3`);
    const outcome = await drain(contextOf(here), journalId);
    expect(outcome.after).toMatchObject({ clicks: 1, dropped: 3 });
    expect(await countsOf(here)).toEqual({ 1: 1 });
    expect(logged.join('')).toContain('3 clicks were dropped');
  });

  it('of version 1 is known by id and code alone', async () => {
    const journalId = randomUUID();
    const click = (urlId: number, shortCode: string) => ({ urlId, shortCode, target: 'https://example.com' });
    writeFirstVersion(folder, journalId, [[click(1, 'c1'), click(2, 'other')]], Date.UTC(2026, 5, 1));
    const outcome = await drain(contextOf(here), journalId);
    expect(outcome.after).toMatchObject({ clicks: 1, dropped: 1 });
    expect(await countsOf(here)).toEqual({ 1: 1 });
  });
});

describe('reconciling', () => {
  it('sees events that are another link’s', async () => {
    await here.query(
      `INSERT INTO events (url_id, event_type, "timestamp", details) VALUES
         (1, 'click', '2026-02-01', '{"short_code":"c1"}'), (1, 'click', '2026-02-01', '{"short_code":"lost"}'),
         (2, 'click', '2025-01-01', '{"short_code":"c2"}'), (3, 'click', '2026-02-01', '{}')`,
    );
    await here.query('UPDATE short_urls SET click_count = CASE id WHEN 1 THEN 2 ELSE 1 END WHERE id <= 3');
    const { pool } = contextOf(here);
    const step = await pool.run(10_000, (connection) =>
      findWrongCounters(connection, { after: '0', links: 100, repair: false }),
    );
    expect(step.wrong).toEqual([]);
    expect(step.strangers).toEqual([
      { id: '1', shortCode: 'c1', events: 1 },
      { id: '2', shortCode: 'c2', events: 1 },
    ]);
  });
});
