import { execFileSync, spawn } from 'node:child_process';
import {
  copyFileSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { asyncBufferFromFile, parquetReadObjects } from 'hyparquet';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { settled, statisticsOf } from '../support/clients/statistics.js';
import { createDatabase, type TestDatabase } from '../support/database/database.js';
import { wrongCounters } from '../support/database/retention.js';
import { makeFolder } from '../support/machine/folders.js';
import { eventually } from '../support/machine/wait.js';
import { startServer, type TestServer } from '../support/server/server.js';

const cli = path.resolve(import.meta.dirname, '../../dist/src/cli/main.js');
let database: TestDatabase;
let folder: string;
let server: TestServer;
let dataDir: string | undefined;
/** Two months that have been over for a while, `2026-08`. */
let months: [string, string];

interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the tool while the test goes on. @param until Kills it when this is there. */
async function archive(args: readonly string[], until?: () => Promise<boolean>): Promise<Ended> {
  const { NODE_V8_COVERAGE } = process.env;
  const child = spawn(process.execPath, [cli, 'archive', ...args], {
    cwd: folder,
    env: {
      PATH: process.env.PATH,
      ...(NODE_V8_COVERAGE === undefined ? {} : { NODE_V8_COVERAGE }),
      DATABASE_URL: database.url,
    },
  });
  let [stdout, stderr] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const ended = new Promise<Ended>((resolve) =>
    child.once('close', (status) => resolve({ status, stdout, stderr })),
  );
  if (until !== undefined) {
    await eventually(until, 30_000, 'the moment of the kill');
    child.kill('SIGKILL');
  }
  return ended;
}

function fileOf(month: string, format = 'ndjson'): string {
  return path.join(folder, `events-${month}.${format}`);
}

function linesOf(file: string): string[] {
  return readFileSync(file, 'utf8').trimEnd().split('\n');
}

/** The events of a month as the API gives them, oldest first. */
async function eventsOf(month: string): Promise<string[]> {
  const text = await (await server.fetch('/events?format=ndjson')).text();
  return text
    .trimEnd()
    .split('\n')
    .filter((line) => line.includes(`"timestamp":"${month}-`))
    .reverse();
}

async function clicksIn(month: string): Promise<number> {
  const [row] = await database.query<{ n: number }>(
    `SELECT count(*)::integer AS n FROM events
     WHERE event_type IN ('click', 'preview') AND to_char("timestamp", 'YYYY-MM') = $1`,
    [month],
  );
  return row?.n ?? -1;
}

/** Starts a server anew, and waits for such a line of its log, which ends its first round. */
async function startUntil(line: RegExp): Promise<void> {
  await server?.kill();
  server = await startServer({
    DATABASE_URL: database.url,
    EVENTS_RETENTION_DAYS: '1',
    ARCHIVE_DIR: folder,
    ...(dataDir === undefined ? {} : { DATA_DIR: dataDir }),
  });
  dataDir = server.dataDir;
  await eventually(() => server.logs.some(({ message }) => line.test(message)), 60_000, `the line ${line}`);
}

beforeAll(async () => {
  database = await createDatabase();
  folder = makeFolder('archive');
  months = (
    await database.query<{ month: string }>(
      `SELECT to_char(now() AT TIME ZONE 'utc' - n * interval '1 month', 'YYYY-MM') AS month
       FROM unnest(ARRAY[3, 2]) AS n`,
    )
  ).map(({ month }) => month) as [string, string];
  await database.query(
    `INSERT INTO short_urls (original_url, short_code) SELECT 'https://example.com/', 'c' || n FROM generate_series(1, 3) AS n`,
  );
  for (const month of months) {
    await database.query(
      `INSERT INTO events (url_id, user_id, event_type, "timestamp", details)
       SELECT 1 + n % 3, nullif(n % 4, 3), (ARRAY['click', 'preview', 'noted'])[1 + n % 3],
              $1::timestamp + n * interval '1 hour 123 milliseconds',
              CASE n % 2 WHEN 0 THEN '{"text":"line\\nbreak \\u2028 ä", "n": 12345678901234567890}' ELSE '{}' END::json
       FROM generate_series(0, 599) AS n`,
      [`${month}-01`],
    );
  }
  // A gap in the ids, and an event without a link.
  await database.query('DELETE FROM events WHERE id BETWEEN 100 AND 120');
  await database.query(`INSERT INTO events (event_type, "timestamp") VALUES ('click', $1)`, [
    `${months[0]}-03`,
  ]);
  await database.query(
    `UPDATE short_urls SET click_count = (SELECT count(*) FROM events WHERE url_id = short_urls.id AND event_type = 'click')`,
  );
  await startUntil(/^\d+ old events stay until their month is archived$/);
}, 120_000);

afterAll(async () => {
  await server?.stop();
  await database?.drop();
});

describe('switchyard archive, and ARCHIVE_DIR', { timeout: 180_000 }, () => {
  it('nothing is removed before its month is archived', async () => {
    const all = (await clicksIn(months[0])) + (await clicksIn(months[1]));
    expect(all).toBeGreaterThan(700);
    const text = await (await server.fetch('/metrics')).text();
    expect(text).toContain('switchyard_retention_removed_total 0');
  });

  it('writes a month’s events as the API gives them, as lines of JSON', async () => {
    const [month] = months;
    const { status, stdout, stderr } = await archive([month]);
    expect([stderr, status]).toEqual(['', 0]);
    const events = await eventsOf(month);
    expect(events).toHaveLength(580);
    expect(linesOf(fileOf(month))).toEqual(events);
    expect(stdout).toMatch(/^events-\d{4}-\d\d\.ndjson: 580 events, \d+ bytes\n$/);
    expect(statSync(fileOf(month)).mode & 0o777).toBe(0o600);
    expect(readdirSync(folder)).toEqual([path.basename(fileOf(month))]);
    const again = await archive([month]);
    expect(again.stdout).toMatch(/: has all 580 events of /);
  });

  it('writes them as Parquet', async () => {
    const [month] = months;
    const out = makeFolder('parquet');
    const { status, stderr } = await archive([month, '--format', 'parquet', '--out', out]);
    expect([stderr, status]).toEqual(['', 0]);
    const file = path.join(out, `events-${month}.parquet`);
    const rows = await parquetReadObjects({ file: await asyncBufferFromFile(file) });
    const shown = rows.map(
      ({ id, url_id, user_id, event_type, timestamp, details }) =>
        `{"id":${id},"url_id":${url_id},"user_id":${user_id},"event_type":"${event_type}","timestamp":"${timestamp.toISOString().slice(0, 19)}","details":${details}}`,
    );
    expect(shown).toEqual(await eventsOf(month));
    expect((await archive(['--check', file])).stdout).toMatch(/: 580 events of \d{4}-\d\d, whole\n$/);
    const damaged = path.join(makeFolder('damaged'), path.basename(file));
    copyFileSync(file, damaged);
    truncateSync(damaged, 1000);
    expect((await archive(['--check', damaged])).status).toBe(1);
  });

  it('reads a file back, and sees where it is damaged', async () => {
    const [month] = months;
    const { status, stdout } = await archive(['--check', fileOf(month)]);
    expect([stdout, status]).toEqual([`${fileOf(month)}: 580 events of ${month}, whole\n`, 0]);
    const damaged = path.join(makeFolder('damaged'), path.basename(fileOf(month)));
    const text = readFileSync(fileOf(month), 'utf8');
    const cases: readonly [string, RegExp][] = [
      [text.slice(0, -10), /its last line is cut short/],
      [text.replace('"event_type":"click"', '"event_type":click'), /can't be read after \d+ events/],
      [text.replace(`${month}-05`, '1999-01-05'), /is of 1999-01-05/],
      [text.replace('"url_id"', '"url"'), /has the members id,url,/],
      [text.replace('"event_type":"click"', '"event_type":7'), /has no id or type/],
    ];
    for (const [content, message] of cases) {
      writeFileSync(damaged, content);
      const ended = await archive(['--check', damaged]);
      expect([ended.status, ended.stderr]).toEqual([1, expect.stringMatching(message)]);
    }
    const misnamed = await archive(['--check', path.join(folder, 'other')]);
    expect([misnamed.status, misnamed.stderr]).toEqual([
      1,
      expect.stringContaining('does not have the name of an archive'),
    ]);
  });

  it('refuses what it can’t do', async () => {
    const now = new Date().toISOString().slice(0, 7);
    expect(await archive([now])).toMatchObject({
      status: 3,
      stderr: expect.stringContaining('is not over yet'),
    });
    expect((await archive(['2025-13'])).status).toBe(2);
    expect((await archive([])).status).toBe(2);
    expect((await archive([now, '--format', 'csv'])).status).toBe(2);
    expect((await archive([months[1], '--out', path.join(folder, 'nowhere')])).status).toBe(2);
    writeFileSync(fileOf('2020-01'), 'somebody’s\n');
    expect(await archive(['2020-01'])).toMatchObject({
      status: 3,
      stderr: expect.stringContaining('exists, and the database does not know it'),
    });
    expect((await archive(['2020-01', '--replace'])).stdout).toMatch(/: 0 events, 0 bytes/);
  });

  it('removes what is in an archive, and that alone; a killed one is none', async () => {
    const [archived, killed] = months;
    await database.query(`INSERT INTO events (url_id, event_type, "timestamp") VALUES (1, 'click', $1)`, [
      `${archived}-07 12:00`,
    ]);
    // It has said what it writes, and waits for somebody to read it.
    const pipe = `${fileOf(killed)}.partial`;
    execFileSync('mkfifo', [pipe]);
    await archive([killed], async () => {
      const known = await database.query('SELECT FROM archives WHERE file = $1', [
        path.basename(fileOf(killed)),
      ]);
      return known.length === 1;
    });
    rmSync(pipe);
    // As if it had been killed before it noted that the file is whole.
    writeFileSync(fileOf(killed), 'unnoted\n');
    await settled(database);
    const before = await statisticsOf(server, '/stats', { from: `${archived}-01` });
    await startUntil(/^\d+ old events stay until their month is archived$/);
    expect(await clicksIn(archived)).toBe(1);
    expect(await clicksIn(killed)).toBeGreaterThan(300);
    expect(await wrongCounters(database)).toEqual([]);
    await settled(database);
    const { clicks, previews } = await statisticsOf(server, '/stats', { from: `${archived}-01` });
    expect({ clicks, previews }).toEqual({ clicks: before.clicks, previews: before.previews });
  });

  it('puts what came later behind a file’s events', async () => {
    const [archived, killed] = months;
    const elsewhere = await archive([archived, '--out', makeFolder('elsewhere')]);
    expect(elsewhere).toMatchObject({ status: 3, stderr: expect.stringContaining('put it into the folder') });
    const file = fileOf(archived);
    const before = linesOf(file);
    expect((await archive([archived])).status).toBe(0);
    expect(linesOf(file).slice(0, -1)).toEqual(before);
    expect(JSON.parse(linesOf(file).at(-1) ?? '')).toMatchObject({ timestamp: `${archived}-07T12:00:00` });
    expect((await archive([killed])).status).toBe(0);
    expect(linesOf(fileOf(killed))).toEqual(await eventsOf(killed));
    await startUntil(/^removed \d+ clicks and previews older than 1 days$/);
    await eventually(async () => (await clicksIn(archived)) + (await clicksIn(killed)) === 0);
    expect(await wrongCounters(database)).toEqual([]);
    // A click more, and the file is not there any more.
    await database.query(`INSERT INTO events (url_id, event_type, "timestamp") VALUES (NULL, 'click', $1)`, [
      `${archived}-08 12:00`,
    ]);
    renameSync(file, `${file}.away`);
    expect((await archive([archived])).stderr).toContain('put it into the folder');
  });
});
