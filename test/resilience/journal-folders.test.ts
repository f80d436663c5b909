import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { PAGE_BYTES, segmentFile } from '../../src/journal/format.js';
import { maintainDatabase } from '../../src/store/migrate.js';
import { createDatabase, type TestDatabase } from '../support/database/database.js';
import { makeLink, openJournal } from '../support/journal/journals.js';
import { makeFolder } from '../support/machine/folders.js';
import { eventually } from '../support/machine/wait.js';
import { startServer, type TestServer } from '../support/server/server.js';
import { click, createUrl } from '../support/server/suite.js';

/** However busy the machine is; what is ingested goes at once. */
const PATIENT = { CALL_DEADLINE_MS: '20000', CLICK_JOURNAL_KEEP_SECONDS: '0' };

let database: TestDatabase;
let folder: string;

beforeEach(async () => {
  database = await createDatabase();
  folder = makeFolder('journal-folders');
});

afterEach(async () => {
  rmSync(folder, { recursive: true, force: true });
  await database.drop();
});

function segments(dataDir: string): string[] {
  const root = path.join(dataDir, 'journal');
  return readdirSync(root).flatMap((server) =>
    readdirSync(path.join(root, server)).filter((name) => name.endsWith('.clicks')),
  );
}

/** Whether a segment was made ready and holds nothing yet. */
function isWithoutClicks(name: string): boolean {
  const [server = ''] = readdirSync(path.join(folder, 'journal'));
  const file = path.join(folder, 'journal', server, name);
  return (
    !existsSync(file) ||
    readFileSync(file)
      .subarray(PAGE_BYTES)
      .every((byte) => byte === 0)
  );
}

async function clickTimes(server: TestServer, code: string, times: number): Promise<void> {
  for (let count = 0; count < times; count += 1) await click(server, code);
}

async function counted(): Promise<{ counter: number; events: number }> {
  const [row] = await database.query<{ counter: string; events: string }>(
    `SELECT (SELECT sum(click_count) FROM short_urls) AS counter,
            (SELECT count(*) FROM events WHERE event_type = 'click') AS events`,
  );
  return { counter: Number(row?.counter), events: Number(row?.events) };
}

async function untilCounted(clicks: number): Promise<void> {
  await eventually(async () => (await counted()).events >= clicks, 20_000, `${clicks} clicks`);
  expect(await counted()).toEqual({ counter: clicks, events: clicks });
}

describe('a gateway without visitors', () => {
  it('ends its segment, which goes; its checkpoint stays, however old', async () => {
    const server = await startServer({
      DATABASE_URL: database.url,
      DATA_DIR: folder,
      CLICK_JOURNAL_SEGMENT_MS: '300',
      GATEWAY_THREADS: '1',
      ...PATIENT,
    });
    const { short_code } = await createUrl(server);
    await clickTimes(server, short_code, 100);
    await untilCounted(100);
    // Those that stay are ready for the next clicks.
    await eventually(
      () => segments(folder).every(isWithoutClicks),
      20_000,
      'a folder with ready segments alone',
    );
    await database.query(`UPDATE journal_checkpoints SET updated_at = updated_at - interval '1 year'`);
    await maintainDatabase(database.client);
    expect(await database.query('SELECT FROM journal_checkpoints')).toHaveLength(1);
    await click(server, short_code);
    await untilCounted(101);
    expect(await server.stop()).toBe(0);
    expect(await database.query('SELECT FROM journal_checkpoints')).toEqual([]);
  });
});

describe('a copy of a data folder', () => {
  const cli = path.resolve(import.meta.dirname, '../../dist/src/cli/main.js');

  function start(dataDir: string): Promise<TestServer> {
    return startServer({ DATABASE_URL: database.url, DATA_DIR: dataDir, GATEWAY_THREADS: '1', ...PATIENT });
  }

  function isSaid(server: TestServer): boolean {
    return server.logs.some(({ message }) => message.includes('is a copy of'));
  }

  it('beside the original counts nothing twice and takes no checkpoint away', async () => {
    const [a, b] = [path.join(folder, 'a'), path.join(folder, 'b')];
    const original = await start(a);
    const { short_code } = await createUrl(original);
    await clickTimes(original, short_code, 100);
    await untilCounted(100);
    execFileSync('cp', ['-a', a, b]);
    const copiedSegments = segments(b);
    const copied = await start(b);
    await eventually(() => isSaid(copied));
    expect(await database.query('SELECT FROM journal_checkpoints')).toHaveLength(1);
    await click(original, short_code);
    await untilCounted(101);
    // The copy's own clicks go to a journal of its own.
    await click(copied, short_code);
    await untilCounted(102);
    expect(await copied.stop()).toBe(0);
    await click(original, short_code);
    await untilCounted(103);
    expect(await original.stop()).toBe(0);
    expect(segments(b)).toEqual(copiedSegments);
    expect(segments(a)).toEqual([]);
  });

  it('started before the original comes back leaves the original its clicks', async () => {
    const [a, b] = [path.join(folder, 'a'), path.join(folder, 'b')];
    await database.query(
      `INSERT INTO short_urls (original_url, short_code) VALUES ('https://example.com/', 'one')`,
    );
    const doomed = await start(a);
    await database.query('BEGIN; LOCK TABLE journal_checkpoints');
    await clickTimes(doomed, 'one', 100);
    await doomed.kill();
    await database.query('ROLLBACK');
    execFileSync('cp', ['-a', a, b]);
    const copied = await start(b);
    await eventually(() => isSaid(copied));
    expect(await copied.stop()).toBe(0);
    expect(await counted()).toEqual({ counter: 0, events: 0 });
    // Renamed, it is still itself.
    const c = path.join(folder, 'c');
    renameSync(a, c);
    const back = await start(c);
    await untilCounted(100);
    expect(await back.stop()).toBe(0);
  });

  it('is ingested when the operator says that the original is no more', async () => {
    const [a, b] = [path.join(folder, 'a'), path.join(folder, 'b')];
    const doomed = await start(a);
    const { short_code } = await createUrl(doomed);
    await database.query('BEGIN; LOCK TABLE journal_checkpoints');
    await clickTimes(doomed, short_code, 20);
    await doomed.kill();
    await database.query('ROLLBACK');
    execFileSync('cp', ['-a', a, b]);
    rmSync(a, { recursive: true });
    const environment = { PATH: process.env.PATH, DATABASE_URL: database.url };
    const run = (action: string): string => {
      try {
        return execFileSync(process.execPath, [cli, 'journal', action, b], {
          encoding: 'utf8',
          env: environment,
        });
      } catch (error) {
        return (error as { stdout: string }).stdout;
      }
    };
    expect(run('drain')).toContain('left alone, it is a copy of');
    expect(await counted()).toEqual({ counter: 0, events: 0 });
    expect(run('adopt')).toContain('is the original from now on');
    expect(run('drain')).toContain('20 clicks ingested');
    expect(await counted()).toEqual({ counter: 20, events: 20 });
  });
});

describe('foreign things in a journal folder', () => {
  it('hold up neither the ingest nor the stop, and are set aside once', { timeout: 120_000 }, async () => {
    const dead = path.join(folder, 'journal', randomUUID());
    mkdirSync(dead, { recursive: true });
    const [link] = await database.query<{ id: string }>(
      `INSERT INTO short_urls (id, original_url, short_code, created_at)
       VALUES (1000, 'https://example.com/', 'c1000', '2026-01-01') RETURNING id`,
    );
    const { journal } = openJournal(dead);
    for (let count = 0; count < 100; count += 1) journal.record(makeLink(Number(link?.id)));
    journal.flush();
    journal.close();
    const name = (): string => path.join(dead, segmentFile(randomUUID(), 1));
    for (let count = 0; count < 3000; count += 1) writeFileSync(name(), `junk ${count}`);
    const large = name();
    writeFileSync(large, 'x');
    truncateSync(large, 1.5 * 1024 ** 3);
    mkdirSync(name());
    execFileSync('mkfifo', [name()]);
    symlinkSync('/dev/zero', name());
    // Whole folders of them, too.
    execFileSync('mkfifo', [path.join(folder, 'journal', 'pipe')]);
    mkdirSync(path.join(folder, 'journal', 'odd', 'owner.sock'), { recursive: true });

    const server = await startServer({
      DATABASE_URL: database.url,
      DATA_DIR: folder,
      GATEWAY_THREADS: '1',
      ...PATIENT,
    });
    const startMs = Date.now();
    await click(server, 'c1000');
    await untilCounted(101);
    expect(Date.now() - startMs).toBeLessThan(15_000);
    const text = await (await server.fetch('/metrics')).text();
    const rss = Number(/^process_resident_memory_bytes (\d+)$/m.exec(text)?.[1]);
    expect(rss).toBeLessThan(700 * 1024 * 1024);
    const said = (words: string): number =>
      server.logs.filter(({ message }) => message.includes(words)).length;
    await eventually(() => said('owner.sock is not a socket') > 0);
    expect(said('3001 files in')).toBe(1);
    expect(said('3 entries of')).toBe(1);
    expect(await server.stop()).toBe(0);
    const again = await startServer({
      DATABASE_URL: database.url,
      DATA_DIR: folder,
      GATEWAY_THREADS: '1',
      ...PATIENT,
    });
    await click(again, 'c1000');
    await untilCounted(102);
    expect(again.logs.some(({ message }) => message.includes('set aside'))).toBe(false);
    expect(await again.stop()).toBe(0);
    expect(existsSync(`${large}.0.damaged`)).toBe(true);
  });
});
