import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { EmbeddedPostgres } from '../../src/postgres/embedded.js';
import { connectDatabase, createDatabase, type TestDatabase } from '../support/database/database.js';
import { makeLink, openJournal } from '../support/journal/journals.js';
import { makeFolder } from '../support/machine/folders.js';
import { describeWith } from '../support/machine/tools.js';
import { eventually } from '../support/machine/wait.js';
import { startServer } from '../support/server/server.js';
import { click, createUrl } from '../support/server/suite.js';

const cli = path.resolve(import.meta.dirname, '../../dist/src/cli/main.js');
let database: TestDatabase;
let dataDir: string;
let folder: string;

beforeEach(async () => {
  database = await createDatabase();
  dataDir = makeFolder('cli');
  folder = path.join(dataDir, 'journal', 'dead-server');
  mkdirSync(folder, { recursive: true });
  await database.query(
    `INSERT INTO short_urls (original_url, short_code, created_at)
     SELECT 'https://example.com/' || n, 'c' || n, '2026-01-01' FROM generate_series(1, 5) AS n`,
  );
});

afterEach(async () => {
  await database.drop();
  rmSync(dataDir, { recursive: true, force: true });
});

interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function environment(): Record<string, string | undefined> {
  const { NODE_V8_COVERAGE, PATH } = process.env;
  return {
    PATH,
    ...(NODE_V8_COVERAGE === undefined ? {} : { NODE_V8_COVERAGE }),
    DATABASE_URL: database.url,
  };
}

function run(...args: string[]): Ended {
  return spawnSync(process.execPath, [cli, ...args], { encoding: 'utf8', cwd: dataDir, env: environment() });
}

/** As `run`, while the test goes on. */
function launch(...args: string[]): { stderr: () => string; end: Promise<Ended> } {
  const child = spawn(process.execPath, [cli, ...args], { cwd: dataDir, env: environment() });
  let [stdout, stderr] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const end = new Promise<Ended>((resolve) => {
    child.once('close', (status) => resolve({ status, stdout, stderr }));
  });
  return { stderr: () => stderr, end };
}

function writeJournal(clicks: number): void {
  const { journal } = openJournal(folder, { segmentBytes: 4096 });
  for (let index = 0; index < clicks; index += 1) {
    journal.record(makeLink(1 + (index % 5)));
    journal.flush();
  }
  journal.close();
}

describe('switchyard journal', () => {
  it('explains, verifies and drains what a dead server left', async () => {
    writeJournal(200);
    const stats = run('journal', 'stats', dataDir);
    expect(stats).toMatchObject({ status: 0, stderr: '' });
    expect(stats.stdout).toContain('its server is gone');
    expect(stats.stdout).toMatch(
      /\d+ segments, \d+ bytes, 200 turns, 0 damaged places\n {4}200 clicks on \d+ links, 0 texts, from 20/,
    );
    expect(run('journal', 'verify', folder)).toEqual(
      expect.objectContaining({ status: 0, stdout: '200 whole clicks, 0 damaged places\n' }),
    );
    // Where there is a stream, its clicks are not the tool's to remove.
    const settings = path.join(dataDir, '.env');
    writeFileSync(settings, 'CLICK_STREAM=kafka\nKAFKA_BROKERS=127.0.0.1:9\n');
    const refused = run('journal', 'drain', dataDir);
    expect(refused).toMatchObject({ status: 2, stdout: '' });
    expect(refused.stderr).toContain('CLICK_STREAM=kafka: clicks that Kafka lacks would be left out of it');
    rmSync(settings);
    const drained = run('journal', 'drain', dataDir);
    expect(drained).toMatchObject({ status: 0, stdout: `${folder}: 200 clicks ingested from 1 journals\n` });
    expect(await database.query('SELECT sum(click_count) AS n FROM short_urls')).toEqual([{ n: '200' }]);
    expect(readdirSync(path.join(dataDir, 'journal'))).toEqual([]);
    expect(run('journal', 'drain', dataDir)).toMatchObject({ status: 0, stdout: '' });
  });

  it('reports damage, and ingests the rest', async () => {
    writeJournal(50);
    const [name = ''] = readdirSync(folder)
      .filter((file) => file.endsWith('.clicks'))
      .sort();
    const bytes = readFileSync(path.join(folder, name));
    bytes[200] = (bytes[200] ?? 0) ^ 0xff;
    writeFileSync(path.join(folder, name), bytes);
    const verified = run('journal', 'verify', dataDir);
    expect(verified.status).toBe(1);
    expect(verified.stdout).toMatch(/no record at byte \d+, \d+ bytes\n50 whole clicks, 1 damaged places\n$/);
    expect(run('journal', 'drain', dataDir).status).toBe(0);
    expect(await database.query('SELECT sum(click_count) AS n FROM short_urls')).toEqual([{ n: '49' }]);
    expect(readdirSync(folder)).toEqual([expect.stringMatching(/\.damaged$/)]);
  });

  it('leaves the journals of a living server to it', async () => {
    rmSync(folder, { recursive: true });
    const server = await startServer({ DATABASE_URL: database.url, DATA_DIR: dataDir });
    await click(server, 'c1');
    await server.json('/events');
    const stats = run('journal', 'stats', dataDir);
    expect(stats.stdout).toMatch(/^\S+ \(its server is alive\)\n/);
    expect(run('journal', 'verify', dataDir)).toMatchObject({ status: 0 });
    const drained = run('journal', 'drain', dataDir);
    expect(drained.status).toBe(3);
    expect(drained.stdout).toMatch(/^\S+: left alone, its server is alive\n$/);
    expect(await server.stop()).toBe(0);
    expect(await database.query('SELECT sum(click_count) AS n FROM short_urls')).toEqual([{ n: '1' }]);
  });

  it('tries again when PostgreSQL fails, and ingests each click once', async () => {
    writeJournal(200);
    await database.query('ALTER TABLE journal_checkpoints RENAME TO elsewhere');
    const drain = launch('journal', 'drain', dataDir);
    await eventually(() => drain.stderr() !== '');
    await database.query('ALTER TABLE elsewhere RENAME TO journal_checkpoints');
    const { status, stdout, stderr } = await drain.end;
    expect([status, stdout]).toEqual([0, `${folder}: 200 clicks ingested from 1 journals\n`]);
    // It is said once, however often it happens.
    expect(stderr.match(/^[0-9a-f-]{36}: /gm)).toHaveLength(1);
    expect(await database.query('SELECT sum(click_count) AS n FROM short_urls')).toEqual([{ n: '200' }]);
  });

  it('keeps the journal when PostgreSQL goes on failing', async () => {
    writeJournal(200);
    await database.query('ALTER TABLE journal_checkpoints RENAME TO elsewhere');
    const { status } = await launch('journal', 'drain', dataDir).end;
    expect(status).toBe(3);
    await database.query('ALTER TABLE elsewhere RENAME TO journal_checkpoints');
    expect(run('journal', 'verify', dataDir)).toMatchObject({
      status: 0,
      stdout: '200 whole clicks, 0 damaged places\n',
    });
    expect(run('journal', 'drain', dataDir).status).toBe(0);
    expect(await database.query('SELECT sum(click_count) AS n FROM short_urls')).toEqual([{ n: '200' }]);
  });

  it('tells a segment without a header, and a folder without a journal', () => {
    writeJournal(10);
    mkdirSync(path.join(dataDir, 'journal', 'empty-server'));
    const [name = ''] = readdirSync(folder).filter((file) => file.endsWith('.clicks'));
    const bytes = readFileSync(path.join(folder, name));
    bytes[0] = (bytes[0] ?? 0) ^ 0xff;
    writeFileSync(path.join(folder, name), bytes);
    const stats = run('journal', 'stats', dataDir);
    expect(stats.stdout).toMatch(
      / 0 turns, 1 damaged places\n {4}0 clicks on 0 links, 0 texts, from - to -\n/,
    );
    expect(stats.stdout).toMatch(/empty-server \(its server is gone\)\n {2}no journal\n/);
    const verified = run('journal', 'verify', dataDir);
    expect(verified.status).toBe(1);
    expect(verified.stdout).toMatch(
      new RegExp(`${name}: .* at byte 0, ${bytes.length} bytes\n0 whole clicks, 1 damaged places\n$`),
    );
  });

  it('says what is wrong with the way it is called', () => {
    for (const args of [
      [],
      ['journal'],
      ['journal', 'eat', '.'],
      ['journal', 'stats'],
      ['--what'],
      ['reconcile', 'x'],
      ['journal', 'stats', '.', '--repair'],
    ]) {
      const { status, stderr } = run(...args);
      expect([args, status]).toEqual([args, 2]);
      expect(stderr).not.toBe('');
    }
    expect(run('journal', 'stats', '/nowhere')).toMatchObject({
      status: 2,
      stderr: 'switchyard: /nowhere is not a folder\n',
    });
    expect(run('--help').stdout).toMatch(/^usage:/);
  });
});

describe('switchyard reconcile', () => {
  it('finds counters that are not their click events, and repairs them', async () => {
    await database.query(
      `INSERT INTO events (url_id, event_type) SELECT 1 + n % 3, CASE WHEN n > 90 THEN 'preview' ELSE 'click' END FROM generate_series(1, 99) AS n`,
    );
    await database.query('UPDATE short_urls SET click_count = 30');
    const found = run('reconcile');
    expect(found).toMatchObject({ status: 1 });
    expect(found.stdout).toBe(
      'link 4 (c4): counter 30, click events 0\nlink 5 (c5): counter 30, click events 0\n5 links compared, 2 counters wrong, not repaired: see --repair\n',
    );
    expect(run('reconcile', '--repair')).toMatchObject({ status: 0 });
    expect(run('reconcile')).toMatchObject({ status: 0, stdout: '5 links compared, 0 counters wrong\n' });
    const counters = await database.query('SELECT click_count FROM short_urls ORDER BY id');
    expect(counters.map((row) => row.click_count)).toEqual(['30', '30', '30', '0', '0']);
  });
});

describe('settings', () => {
  it('are read from .env too, under what the environment says', () => {
    const without = { ...environment(), DATABASE_URL: '' };
    const tool = (env: Record<string, string | undefined>): Ended =>
      spawnSync(process.execPath, [cli, 'reconcile'], { encoding: 'utf8', cwd: dataDir, env });
    writeFileSync(
      path.join(dataDir, '.env'),
      `# of a test\nDATABASE_URL="${database.url}"\nLOG_LEVEL=error\n`,
    );
    expect(tool(without)).toMatchObject({ status: 0, stdout: '5 links compared, 0 counters wrong\n' });
    writeFileSync(path.join(dataDir, '.env'), 'DATABASE_URL=postgresql://nobody:x@127.0.0.1:1/nowhere\n');
    expect(tool(environment())).toMatchObject({ status: 0 });
    expect(tool(without)).toMatchObject({
      status: 3,
      stderr: expect.stringMatching(/^switchyard: .*ECONNREFUSED/),
    });
    writeFileSync(path.join(dataDir, '.env'), 'LOG_LEVEL=loud\n');
    expect(tool(environment())).toMatchObject({ status: 2, stderr: expect.stringContaining('LOG_LEVEL') });
  });
});

describe('switchyard without DATABASE_URL', () => {
  it('works on the embedded PostgreSQL, whose server was killed, and stops it again', async () => {
    rmSync(folder, { recursive: true });
    const server = await startServer({ DATA_DIR: dataDir });
    const url = await createUrl(server);
    for (let count = 0; count < 30; count += 1) await click(server, url.short_code);
    await server.kill();
    const env = { ...environment(), DATABASE_URL: '', DATA_DIR: dataDir };
    const tool = (...args: string[]): Ended =>
      spawnSync(process.execPath, [cli, ...args], { encoding: 'utf8', cwd: dataDir, env });
    expect(tool('journal', 'drain', dataDir)).toMatchObject({ status: 0, stderr: '' });
    expect(existsSync(path.join(dataDir, 'postgres/cluster/postmaster.pid'))).toBe(false);
    expect(tool('reconcile')).toMatchObject({ status: 0, stdout: '1 links compared, 0 counters wrong\n' });
    const embedded = await EmbeddedPostgres.start(dataDir);
    const own = await connectDatabase(embedded.address);
    expect(await own.query('SELECT click_count FROM short_urls')).toEqual([{ click_count: '30' }]);
    await own.drop();
    expect(await embedded.stop()).toBe(true);
  });
});

describeWith('script')('switchyard on a terminal', () => {
  const quote = (text: string): string => `'${text}'`;

  it('shows how far it is', () => {
    writeJournal(200);
    const command = [process.execPath, cli, 'journal', 'drain', dataDir].map(quote).join(' ');
    const { status, stdout } = spawnSync('script', ['-qec', command, '/dev/null'], {
      encoding: 'utf8',
      cwd: dataDir,
      env: { ...environment(), TERM: 'xterm', SHELL: '/bin/sh' },
    });
    expect(status).toBe(0);
    expect(stdout).toMatch(/dead-server \[.*\] 0 % \| 0 of \d+ \|/);
    expect(stdout).toContain(`${folder}: 200 clicks ingested from 1 journals`);
  });
});
