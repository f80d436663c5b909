import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createDatabase, type TestDatabase } from '../support/database.js';
import { makeFolder } from '../support/folders.js';
import { makeLink, openJournal } from '../support/journals.js';

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
    `INSERT INTO short_urls (original_url, short_code) SELECT 'https://example.com/' || n, 'c' || n FROM generate_series(1, 5) AS n`,
  );
});

afterEach(async () => {
  await database.drop();
  rmSync(dataDir, { recursive: true, force: true });
});

function run(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  const { NODE_V8_COVERAGE, PATH } = process.env;
  return spawnSync(process.execPath, [cli, ...args], {
    encoding: 'utf8',
    cwd: dataDir,
    env: {
      PATH,
      ...(NODE_V8_COVERAGE === undefined ? {} : { NODE_V8_COVERAGE }),
      DATABASE_URL: database.url,
    },
  });
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
    expect(stats.stdout).toContain('its server is no more');
    expect(stats.stdout).toMatch(
      /\d+ segments, \d+ bytes, 200 frames, 0 damaged places\n {4}200 clicks on \d+ links, 0 texts, from 20/,
    );
    expect(run('journal', 'verify', folder)).toEqual(
      expect.objectContaining({ status: 0, stdout: '200 clicks in whole frames, 0 damaged places\n' }),
    );
    const drained = run('journal', 'drain', dataDir);
    expect(drained).toMatchObject({ status: 0, stdout: `${folder}: 200 clicks taken in from 1 journals\n` });
    expect(await database.query('SELECT sum(click_count) AS n FROM short_urls')).toEqual([{ n: '200' }]);
    expect(readdirSync(path.join(dataDir, 'journal'))).toEqual([]);
    expect(run('journal', 'drain', dataDir)).toMatchObject({ status: 0, stdout: '' });
  });

  it('tells damage, and takes in the rest', async () => {
    writeJournal(50);
    const [name = ''] = readdirSync(folder)
      .filter((file) => file.endsWith('.clicks'))
      .sort();
    const bytes = readFileSync(path.join(folder, name));
    bytes[200] = (bytes[200] ?? 0) ^ 0xff;
    writeFileSync(path.join(folder, name), bytes);
    const verified = run('journal', 'verify', dataDir);
    expect(verified.status).toBe(1);
    expect(verified.stdout).toMatch(
      /frame damaged at byte \d+, \d+ bytes\n49 clicks in whole frames, 1 damaged places\n$/,
    );
    expect(run('journal', 'drain', dataDir).status).toBe(0);
    expect(await database.query('SELECT sum(click_count) AS n FROM short_urls')).toEqual([{ n: '49' }]);
    expect(readdirSync(folder)).toEqual([expect.stringMatching(/\.damaged$/)]);
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
      stderr: 'switchyard: /nowhere is no folder\n',
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
