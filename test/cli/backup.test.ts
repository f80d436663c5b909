import { spawn } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  readdirSync,
  readFileSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { startCountedLoad } from '../support/clients/keep-alive-load.js';
import { createDatabase, createEmptyDatabase, type TestDatabase } from '../support/database/database.js';
import { makeFolder } from '../support/machine/folders.js';
import { eventually } from '../support/machine/wait.js';
import { startServer } from '../support/server/server.js';
import { createUrl } from '../support/server/suite.js';

const cli = path.resolve(import.meta.dirname, '../../dist/src/cli/main.js');
let source: TestDatabase;
let target: TestDatabase;
let folder: string;
let file: string;

beforeEach(async () => {
  source = await createDatabase();
  target = await createEmptyDatabase();
  folder = makeFolder('backup');
  file = path.join(folder, 'switchyard.backup');
});

afterEach(async () => {
  await source?.drop();
  await target?.drop();
});

interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the tool while the test goes on. */
function run(environment: Record<string, string>, ...args: string[]): Promise<Ended> {
  const child = spawn(process.execPath, [cli, ...args], {
    cwd: folder,
    env: { PATH: process.env.PATH, ...environment },
  });
  let [stdout, stderr] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  return new Promise((resolve) => child.once('close', (status) => resolve({ status, stdout, stderr })));
}

const backUp = (): Promise<Ended> => run({ DATABASE_URL: source.url }, 'backup', file);
const restore = (...options: string[]): Promise<Ended> =>
  run({ DATABASE_URL: target.url }, 'restore', file, ...options);

/** Every row of every table of ours, in text, and the sequences. Which chunks events are in is no content. */
async function contentOf(database: TestDatabase): Promise<unknown> {
  const tables = await database.query<{ name: string }>(
    `SELECT relname AS name FROM pg_class WHERE relnamespace = 'public'::regnamespace
     AND relkind IN ('r', 'p') AND NOT relispartition AND relname <> 'schema_migrations' AND relname NOT LIKE 'link_click%' ORDER BY 1`,
  );
  const content: Record<string, unknown> = {};
  for (const { name } of tables)
    content[name] = await database.query(`SELECT t::text FROM ${name} AS t ORDER BY 1`);
  content.sequences = await database.query(
    `SELECT sequencename, last_value FROM pg_sequences WHERE schemaname = 'public' ORDER BY 1`,
  );
  return content;
}

/** Rows that a careless copy would break: escapes, NULLs, old months, gaps. */
async function fillSource(): Promise<void> {
  await source.query(
    `INSERT INTO users (username, email) VALUES (E'tab\\there', E'back\\\\slash'), ('\\.', '𝄞')`,
  );
  await source.query(
    `INSERT INTO short_urls (user_id, original_url, short_code, title, tags)
     SELECT CASE WHEN n % 2 = 0 THEN 1 END, 'https://example.com/' || n, 'c' || n, E'line\\nbreak \\\\N', ARRAY['a,b', '"']
     FROM generate_series(1, 500) AS n`,
  );
  await source.query(
    `INSERT INTO events (url_id, event_type, "timestamp", details)
     SELECT n, 'click', '2021-03-05'::timestamp + n * interval '1 hour', '{"text":"\\u2028\\\\."}' FROM generate_series(1, 500) AS n`,
  );
  await source.query('DELETE FROM short_urls WHERE id > 490');
  await source.query(
    `INSERT INTO journal_checkpoints (journal_id, segment, byte_offset, clicks) VALUES (gen_random_uuid(), 3, 4096, 77)`,
  );
}

describe('switchyard backup and restore', { timeout: 120_000 }, () => {
  it('bring back every row, the sequences, the checkpoints and the database’s id', async () => {
    await fillSource();
    const backup = await backUp();
    expect([backup.stderr, backup.status]).toEqual(['', 0]);
    expect(backup.stdout).toMatch(/: 2 users, 490 links, 500 events, \d+ bytes\n$/);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(readdirSync(folder)).toEqual([path.basename(file)]);
    const restored = await restore();
    expect([restored.stderr, restored.status]).toEqual(['', 0]);
    expect(await contentOf(target)).toEqual(await contentOf(source));
    const [next] = await target.query(
      `INSERT INTO short_urls (original_url, short_code) VALUES ('https://e.com', 'next') RETURNING id`,
    );
    expect(next).toEqual({ id: '501' });
  });

  it('never overwrite: neither a file nor a database, unless told', async () => {
    await fillSource();
    expect((await backUp()).status).toBe(0);
    const again = await backUp();
    expect([again.status, again.stderr]).toEqual([3, `switchyard: ${file} exists\n`]);
    expect((await restore()).status).toBe(0);
    await target.query(`UPDATE short_urls SET title = 'mine' WHERE id = 7`);
    const refused = await restore();
    expect([refused.status, refused.stderr]).toEqual([
      3,
      'switchyard: the database is not empty (users): --replace removes what is in it\n',
    ]);
    expect(await target.query(`SELECT title FROM short_urls WHERE id = 7`)).toEqual([{ title: 'mine' }]);
    expect((await restore('--replace')).status).toBe(0);
    expect(await contentOf(target)).toEqual(await contentOf(source));
  });

  it('bring an earlier release’s rows to the present schema, and no later one’s', async () => {
    const earlier = await createEmptyDatabase();
    onTestFinished(() => earlier.drop());
    await earlier.query(
      'CREATE TABLE schema_migrations (number integer PRIMARY KEY, name text NOT NULL, applied_at timestamp NOT NULL DEFAULT now())',
    );
    for (const [number, name] of ['0001_schema', '0002_invalidation', '0003_database_id'].entries()) {
      const sql = new URL(`../../src/store/migrations/${name}.sql`, import.meta.url);
      await earlier.query(readFileSync(sql, 'utf8'));
      await earlier.query('INSERT INTO schema_migrations (number, name) VALUES ($1, $2)', [number + 1, name]);
    }
    await earlier.query(`INSERT INTO short_urls (original_url, short_code) VALUES ('https://e.com', 'old')`);
    expect((await run({ DATABASE_URL: earlier.url }, 'backup', file)).status).toBe(0);
    expect((await restore()).status).toBe(0);
    expect(await target.query('SELECT short_code, redirect_status FROM short_urls')).toEqual([
      { short_code: 'old', redirect_status: 302 },
    ]);
    const numbers = 'SELECT number FROM schema_migrations ORDER BY 1';
    expect(await target.query(numbers)).toEqual(await source.query(numbers));

    await source.query(`INSERT INTO schema_migrations (number, name) VALUES (9000, 'of the future')`);
    const later = path.join(folder, 'later');
    expect((await run({ DATABASE_URL: source.url }, 'backup', later)).status).toBe(0);
    const refused = await run({ DATABASE_URL: target.url }, 'restore', '--replace', later);
    expect(refused.status).toBe(3);
    expect(refused.stderr).toContain('by the program’s version of the backup or a newer one');
  });

  it('refuse a database that servers use', async () => {
    expect((await backUp()).status).toBe(0);
    const server = await startServer({ DATABASE_URL: target.url });
    onTestFinished(async () => void (await server.stop()));
    const refused = await restore('--replace');
    expect([refused.status, refused.stderr]).toEqual([
      3,
      'switchyard: servers use the database: stop them first\n',
    ]);
  });

  it('leave the database as it was when the file is damaged', async () => {
    await fillSource();
    expect((await backUp()).status).toBe(0);
    const whole = path.join(folder, 'whole');
    copyFileSync(file, whole);
    const { size } = statSync(file);
    const damages: (readonly [string, () => void, RegExp])[] = [
      ['cut', () => truncateSync(file, size - 40), /ends too early|can't be read/],
      [
        'a changed bit of the compressed bytes',
        () => {
          const bytes = readFileSync(file);
          bytes[size >> 1] = (bytes[size >> 1] as number) ^ 1;
          writeFileSync(file, bytes);
        },
        /can't be read|is damaged|rows in the backup|ends too early/,
      ],
      [
        'another target in a row, packed anew',
        () => {
          const text = gunzipSync(readFileSync(file)).toString('latin1');
          writeFileSync(
            file,
            gzipSync(Buffer.from(text.replace('example.com/7\t', 'example.org/7\t'), 'latin1')),
          );
        },
        /is damaged/,
      ],
      [
        'of a later version',
        () => {
          const text = gunzipSync(readFileSync(file)).toString('latin1');
          writeFileSync(file, gzipSync(Buffer.from(text.replace('"version":1', '"version":2'), 'latin1')));
        },
        /is of version 2: only 1 can be read here/,
      ],
      ['no backup at all', () => writeFileSync(file, gzipSync('id,name\n')), /is not a backup of Switchyard/],
    ];
    for (const [what, damage, message] of damages) {
      copyFileSync(whole, file);
      damage();
      const { status, stderr } = await restore();
      expect([what, status], stderr).toEqual([what, 3]);
      expect(stderr).toMatch(message);
      expect(await target.query(`SELECT count(*) FROM pg_class WHERE relname = 'users'`)).toEqual([
        { count: '0' },
      ]);
    }
  });

  it('taken under load: counters agree, and the journal’s clicks go in once', async () => {
    const dataDir = path.join(folder, 'data');
    // The journal keeps every click: what was ingested after the backup is still there.
    const environment = { DATA_DIR: dataDir, CLICK_JOURNAL_SEGMENT_BYTES: '67108864', GATEWAY_THREADS: '1' };
    const server = await startServer({ DATABASE_URL: source.url, ...environment });
    onTestFinished(() => server.kill());
    const codes: string[] = [];
    for (let count = 0; count < 20; count += 1) codes.push((await createUrl(server)).short_code);
    const load = startCountedLoad(server.port, codes, 8);
    const clicks = `SELECT count(*) FROM events WHERE event_type = 'click'`;
    await eventually(async () => Number((await source.query(clicks))[0]?.count) > 0);
    const backup = await backUp();
    expect([backup.stderr, backup.status]).toEqual(['', 0]);
    const answeredThen = load.total();
    await eventually(() => load.total() > answeredThen + 100);
    await load.stop();
    await server.kill();

    const restored = await restore();
    expect([restored.stderr, restored.status]).toEqual(['', 0]);
    const wrong = `SELECT id FROM short_urls WHERE click_count <>
      (SELECT count(*) FROM events WHERE url_id = short_urls.id AND event_type = 'click')`;
    expect(await target.query(wrong)).toEqual([]);
    const clicksThen = Number((await target.query(`SELECT sum(click_count) FROM short_urls`))[0]?.sum);
    expect(clicksThen).toBeGreaterThan(0);
    expect(clicksThen).toBeLessThan(load.total());

    const next = await startServer({ DATABASE_URL: target.url, ...environment });
    onTestFinished(async () => void (await next.stop()));
    const counted = async (): Promise<[string, number][]> =>
      (await target.query('SELECT short_code, click_count FROM short_urls')).map(
        ({ short_code, click_count }) => [String(short_code), Number(click_count)],
      );
    const expected = [...load.answered].sort();
    expect([...load.underWay.values()].reduce((sum, count) => sum + count, 0)).toBe(0);
    await eventually(
      async () => (await counted()).reduce((sum, [, count]) => sum + count, 0) >= load.total(),
      60_000,
      'all clicks are counted',
    );
    expect((await counted()).sort()).toEqual(expected);
    expect(await target.query(wrong)).toEqual([]);
    expect(existsSync(path.join(dataDir, 'journal'))).toBe(true);
  });

  it('work for the embedded database, which has no pg_dump', async () => {
    const [from, to] = ['from', 'to'].map((name) => path.join(folder, name)) as [string, string];
    const server = await startServer({ DATA_DIR: from });
    const url = await createUrl(server);
    expect((await run({ DATA_DIR: from }, 'backup', file)).status).toBe(0);
    await server.stop();
    const restored = await run({ DATA_DIR: to }, 'restore', file);
    expect([restored.stderr, restored.status]).toEqual(['', 0]);
    const next = await startServer({ DATA_DIR: to });
    onTestFinished(async () => void (await next.stop()));
    const answer = await next.fetch(`/${url.short_code}`);
    expect([answer.status, answer.headers.get('location')]).toEqual([302, url.original_url]);
  });
});
