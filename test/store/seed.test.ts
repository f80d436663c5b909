import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DEFAULT_SEED, makeDataset } from '../../csv/dataset.js';
import { renderFiles } from '../../csv/rows.js';
import { clientOptions, inTransaction } from '../../src/postgres/pool.js';
import { type SeedReport, seedDatabase } from '../../src/store/seed.js';
import { createDatabase, type TestDatabase } from '../support/database/database.js';
import { makeFolder } from '../support/machine/folders.js';
import { eventually } from '../support/machine/wait.js';
import { runServer, startServer } from '../support/server/server.js';

const csvDir = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../csv');
let database: TestDatabase;
let folder: string;

beforeEach(async () => {
  database = await createDatabase();
  folder = makeFolder('seed');
});

afterEach(async () => {
  await database?.drop();
  rmSync(folder, { recursive: true, force: true });
});

async function seed(from: string, isLenient = false): Promise<SeedReport[] | undefined> {
  const client = new pg.Client(clientOptions(database.address, 'test', 5000));
  await client.connect();
  try {
    return await inTransaction(client, () => seedDatabase(client, from, { isLenient }));
  } finally {
    await client.end();
  }
}

function write(files: Record<'users' | 'urls' | 'events', string[]>): string {
  for (const [name, lines] of Object.entries(files))
    writeFileSync(path.join(folder, `${name}.csv`), lines.join('\n'));
  return folder;
}

const headers = {
  users: 'id,username,email,created_at',
  urls: 'id,user_id,short_code,original_url,title,is_active,created_at,updated_at',
  events: 'id,url_id,user_id,event_type,timestamp,details',
};

describe('the committed seed files', () => {
  it('are what their generator makes', () => {
    for (const [name, text] of renderFiles(makeDataset(DEFAULT_SEED))) {
      expect(readFileSync(path.join(csvDir, name), 'utf8') === text, name).toBe(true);
    }
  });

  it('load whole, with counters that equal the clicks', async () => {
    const reports = await seed(csvDir);
    expect(reports?.map(({ table, loaded, notes }) => [table, loaded, notes.size])).toEqual([
      ['users', 400, 0],
      ['short_urls', 2000, 0],
      ['events', 3422, 0],
    ]);
    const wrong = await database.query(
      `SELECT id FROM short_urls AS u
       WHERE click_count <> (SELECT count(*) FROM events WHERE url_id = u.id AND event_type = 'click')`,
    );
    expect(wrong).toEqual([]);
    expect(await database.query('SELECT count(*) AS n FROM events_from_0')).toEqual([{ n: '3422' }]);
    // Sequences go on behind what was loaded.
    await database.query(`INSERT INTO users (username, email) VALUES ('next', 'next@example.com')`);
    expect(await database.query(`SELECT id FROM users WHERE username = 'next'`)).toEqual([{ id: '401' }]);
    await database.query(`INSERT INTO events (event_type) VALUES ('next')`);
    expect(await database.query(`SELECT id FROM events WHERE event_type = 'next'`)).toEqual([{ id: '3423' }]);
  });

  it('are loaded into an empty database only', async () => {
    await database.query(`INSERT INTO users (username, email) VALUES ('first', 'first@example.com')`);
    expect(await seed(csvDir)).toBeUndefined();
    expect(await database.query('SELECT count(*) AS n FROM users')).toEqual([{ n: '1' }]);
  });

  it('redirect, every active code of them', { timeout: 120_000 }, async () => {
    const server = await startServer({ DATABASE_URL: database.url, SEED_ON_BOOT: 'true', CSV_DIR: csvDir });
    try {
      const rows = await database.query<{ short_code: string; original_url: string; is_active: boolean }>(
        'SELECT short_code, original_url, is_active FROM short_urls',
      );
      expect(rows).toHaveLength(2000);
      for (let start = 0; start < rows.length; start += 50) {
        await Promise.all(
          rows.slice(start, start + 50).map(async (row) => {
            const response = await server.fetch(`/${row.short_code}`);
            await response.arrayBuffer();
            const location = response.headers.get('location') ?? '';
            // ASCII, and the same place.
            expect(location).toMatch(/^[!-~]*$/);
            expect([response.status, location === '' ? '' : new URL(location).href]).toEqual(
              row.is_active ? [302, new URL(row.original_url).href] : [404, ''],
            );
          }),
        );
      }
      const active = rows.filter((row) => row.is_active).length;
      const { body } = await server.json('/events?event_type=click&page=1&per_page=1');
      expect(body).toHaveLength(1);
      const [clicks] = await database.query<{ n: string; counted: string }>(
        `SELECT count(*) AS n, (SELECT sum(click_count) FROM short_urls) AS counted FROM events WHERE event_type = 'click'`,
      );
      expect(clicks).toEqual({ n: String(active + 718), counted: String(active + 718) });
      await eventually(() => server.banner().includes('seeded 400 users'));
    } finally {
      await server.stop();
    }
  });
});

describe('seed files', () => {
  it('that contradict themselves are taken as far as possible, and what is left out is said', async () => {
    const reports = await seed(
      write({
        users: [
          headers.users,
          '1,ada,ada@example.com,2024-01-01 00:00:00',
          '2,ada,other@example.com,2024-01-02 00:00:00',
          '1,repeated-id,a@example.com,2024-01-02 00:00:00',
          '3,,a@example.com,2024-01-02 00:00:00',
          '4,no-time,a@example.com,yesterday',
          `5,${'x'.repeat(101)},a@example.com,2024-01-02 00:00:00`,
          '6,bob,b@example.com,2024-01-02T00:00:00Z',
        ],
        urls: [
          headers.urls,
          '1,1,aaaaaa,https://example.com/1,One,True,2024-02-01 00:00:00,2024-02-01 00:00:00',
          '2,2,bbbbbb,https://example.com/2,"Owner, dropped",False,2024-02-01 00:00:00,2024-02-01 00:00:00',
          '3,99,cccccc,https://example.com/3,Owner unknown,true,2024-02-01 00:00:00,',
          '4,,dddddd,https://example.com/4,Nobody’s,FALSE,2024-02-01 00:00:00,2024-02-01 00:00:00',
          '5,1,aaaaaa,https://example.com/5,Code repeated,True,2024-02-01 00:00:00,2024-02-01 00:00:00',
          '6,1,eeeeee,ftp://example.com/6,No http,True,2024-02-01 00:00:00,2024-02-01 00:00:00',
          '7,1,ffffff,https://example.com/7,State unclear,maybe,2024-02-01 00:00:00,2024-02-01 00:00:00',
        ],
        events: [
          headers.events,
          '1,1,1,created,2023-01-01 00:00:00,"{""before"":""the link""}"',
          '2,1,2,click,2024-03-01 00:00:00,{}',
          '3,1,1,click,2024-03-02 00:00:00,"{""tab"":""a\\tb"",""line"":""a\\nb"",""slash"":""\\\\""}"',
          '4,99,1,click,2024-03-03 00:00:00,{}',
          '5,5,1,click,2024-03-03 00:00:00,{}',
          '6,1,1,click,not a time,{}',
          '7,1,1,click,2024-03-03 00:00:00,[]',
          '8,1,1,click,2024-03-03 00:00:00,{',
          '3,1,1,click,2024-03-03 00:00:00,{}',
          '9,,,deleted,1970-01-01 00:00:00,"{""reason"":""x""}"',
        ],
      }),
      true,
    );
    expect(reports?.map(({ table, loaded, notes }) => [table, loaded, Object.fromEntries(notes)])).toEqual([
      [
        'users',
        2,
        {
          'username repeated: the first one was kept': 1,
          'no id, or a repeated one': 1,
          'no usable username or email': 2,
          'no usable created_at': 1,
        },
      ],
      [
        'short_urls',
        4,
        {
          'kept without its user, who was left out': 1,
          'kept without its user, who is unknown': 1,
          'no usable short_code, or a repeated one': 1,
          'original_url is no http(s) URL': 1,
          'is_active is neither true nor false': 1,
        },
      ],
      [
        'events',
        4,
        {
          'kept without its user, who was left out': 1,
          'its URL is not there': 2,
          'no usable timestamp': 1,
          'details is no JSON object': 2,
          'no id, or a repeated one': 1,
        },
      ],
    ]);
    expect(
      await database.query('SELECT id, user_id, title, is_active, click_count FROM short_urls ORDER BY id'),
    ).toEqual([
      { id: '1', user_id: '1', title: 'One', is_active: true, click_count: '2' },
      { id: '2', user_id: null, title: 'Owner, dropped', is_active: false, click_count: '0' },
      { id: '3', user_id: null, title: 'Owner unknown', is_active: true, click_count: '0' },
      { id: '4', user_id: null, title: 'Nobody’s', is_active: false, click_count: '0' },
    ]);
    expect(await database.query(`SELECT details FROM events WHERE id = 3`)).toEqual([
      { details: { tab: 'a\tb', line: 'a\nb', slash: '\\' } },
    ]);
  });

  it('may be of any size, lack columns and rows, and have what nothing can be made of', async () => {
    const many = Array.from(
      { length: 3000 },
      (_, index) => `user-${index},${index}@example.com,,${index + 10}`,
    );
    const day = '2024-02-01 00:00:00';
    const reports = await seed(
      write({
        // In another order, without the times of some.
        users: [
          'username,email,created_at,id',
          ...many.map((line) => line.replace(',,', `,${day},`)),
          `no-id,a@example.com,${day},`,
          `id-too-large,a@example.com,${day},99999999999999999999`,
          'cut-short',
          '',
        ],
        urls: [
          headers.urls,
          `1,10,aaaaaa,https://example.com/1,One,True,${day},${day}`,
          `1,10,bbbbbb,https://example.com/2,Id repeated,True,${day},${day}`,
          `x,10,cccccc,https://example.com/3,Id unclear,True,${day},${day}`,
          `4,10,d/d,https://example.com/4,Code unclear,True,${day},${day}`,
          `5,10,eeeeee,https://example.com/5,${'x'.repeat(256)},True,${day},${day}`,
          '6,10,ffffff,https://example.com/6,Never made,True,,',
          `7,abc,gggggg,https://example.com/7,Owner unclear,True,${day},`,
          `9,10,hhhhhh,https://example.com/9,Change unclear,True,${day},not a time`,
          '8,10',
        ],
        // No details at all, nor a user.
        events: [
          'id,url_id,event_type,timestamp,details',
          `1,1,click,${day},{}`,
          `1,1,click,${day},{}`,
          `,1,click,${day},{}`,
          `3,1,,${day},{}`,
          `4,1,${'x'.repeat(51)},${day},{}`,
          `5,x,click,${day},{}`,
          `6,1,click,${day},`,
          `7,1,click,${day},null`,
          '8',
        ],
      }),
      true,
    );
    expect(reports?.map(({ table, loaded, notes }) => [table, loaded, Object.fromEntries(notes)])).toEqual([
      ['users', 3000, { 'no id, or a repeated one': 3 }],
      [
        'short_urls',
        2,
        {
          'no id, or a repeated one': 2,
          'no usable short_code, or a repeated one': 2,
          'title too long': 1,
          'no usable created_at or updated_at': 2,
          'kept without its user, who is unknown': 1,
        },
      ],
      [
        'events',
        1,
        {
          'no id, or a repeated one': 2,
          'no usable event_type': 2,
          'its URL is not there': 2,
          'details is no JSON object': 2,
        },
      ],
    ]);
    expect(
      await database.query('SELECT id, user_id, updated_at = created_at AS same FROM short_urls ORDER BY id'),
    ).toEqual([
      { id: '1', user_id: '10', same: true },
      { id: '7', user_id: null, same: true },
    ]);
    expect(await database.query('SELECT url_id, user_id, details FROM events')).toEqual([
      { url_id: '1', user_id: null, details: {} },
    ]);
  });

  it('that know none of our columns load nothing, and say why', async () => {
    const reports = await seed(
      write({ users: ['a,b', '1,2'], urls: ['a,b', '1,2'], events: ['a,b', '1,2'] }),
      true,
    );
    expect(reports?.map(({ table, loaded, notes }) => [table, loaded, [...notes]])).toEqual([
      ['users', 0, [['no id, or a repeated one', 1]]],
      ['short_urls', 0, [['no id, or a repeated one', 1]]],
      ['events', 0, [['no id, or a repeated one', 1]]],
    ]);
  });

  it('are read in every form that PostgreSQL writes times and booleans in', async () => {
    const reports = await seed(
      write({
        users: [
          headers.users,
          '1,ada,ada@example.com,2024-01-02 03:04:05+00',
          '2,bob,bob@example.com,"Tue, 02 Jan 2024 03:04:05 GMT"',
          '3,eve,eve@example.com,1704164645',
        ],
        urls: [
          headers.urls,
          ...['t', '1', 'yes', 'f', '0', 'no'].map(
            (flag, index) =>
              `${index + 1},1,code-${index},https://example.com,x,${flag},2024-01-02 04:04:05+01,20240102T030405Z`,
          ),
        ],
        events: [headers.events, '1,1,1,click,Tue Jan 02 03:04:05 2024 UTC,{}'],
      }),
    );
    expect(reports?.map(({ loaded, rejected }) => [loaded, rejected])).toEqual([
      [3, 0],
      [6, 0],
      [1, 0],
    ]);
    const times = await database.query(
      `SELECT created_at::text AS at FROM users UNION SELECT created_at::text FROM short_urls
       UNION SELECT updated_at::text FROM short_urls UNION SELECT "timestamp"::text FROM events`,
    );
    expect(times).toEqual([{ at: '2024-01-02 03:04:05' }]);
    const active = await database.query('SELECT is_active FROM short_urls ORDER BY id');
    expect(active.map((row) => row.is_active)).toEqual([true, true, true, false, false, false]);
  });

  it('that lose more rows than they load end the seed with one line, unless it may be lenient', async () => {
    write({
      users: [
        headers.users,
        '1,ada,ada@example.com,2024-01-01',
        '2,bob,@,2024-01-01',
        '3,eve,"e@\nx",2024-01-01',
      ],
      urls: [headers.urls],
      events: [headers.events],
    });
    await expect(seed(folder)).rejects.toThrow(
      `${folder}/users.csv: 2 of 3 rows can't be loaded (line 3: no usable username or email); SEED_LENIENT=true loads the others`,
    );
    expect(await database.query('SELECT count(*) AS n FROM users')).toEqual([{ n: '0' }]);
    const [users] = (await seed(folder, true)) ?? [];
    expect([users?.loaded, users?.rejections]).toEqual([
      1,
      [
        { line: 3, reason: 'no usable username or email' },
        { line: 5, reason: 'no usable username or email' },
      ],
    ]);
  });

  it('that lose more than they load end a start with exit code 2', async () => {
    write({ users: [headers.users, '1,ada,ada,2024-01-01'], urls: [headers.urls], events: [headers.events] });
    const environment = { DATABASE_URL: database.url, SEED_ON_BOOT: 'true', CSV_DIR: folder };
    const { code, stderr } = await runServer(environment);
    expect([code, stderr.trim().split('\n').length]).toEqual([2, 1]);
    expect(stderr).toContain("users.csv: 1 of 1 rows can't be loaded");
    const server = await startServer({ ...environment, SEED_LENIENT: 'true' });
    await server.stop();
    expect(server.logs).toContainEqual(
      expect.objectContaining({ levelname: 'WARNING', message: 'left 1 rows out of users' }),
    );
  });

  it('in Latin-1 are refused, whatever else is in them', async () => {
    write({ users: [headers.users], urls: [headers.urls], events: [headers.events] });
    const rows = ['1,Müller,m@example.com,2024-01-01', '2,ada,a@example.com,2024-01-01'];
    writeFileSync(path.join(folder, 'users.csv'), [headers.users, ...rows].join('\n'), 'latin1');
    await expect(seed(folder, true)).rejects.toThrow(`${folder}/users.csv: it is not UTF-8`);
  });

  it('leave each sequence ids to give out', async () => {
    const day = '2024-01-01';
    const [users] =
      (await seed(
        write({
          users: [headers.users, `1,a,a@b,${day}`, `9223372036854775807,b,b@b,${day}`],
          urls: [headers.urls],
          events: [headers.events],
        }),
      )) ?? [];
    expect([users?.loaded, users?.rejected]).toEqual([1, 1]);
    await database.query(`INSERT INTO users (username, email) VALUES ('next', 'a@example.com')`);
  });

  it('that are empty load nothing, and ids begin at 1', async () => {
    expect(
      (await seed(write({ users: [''], urls: [''], events: [''] })))?.map(({ loaded }) => loaded),
    ).toEqual([0, 0, 0]);
    await database.query(`INSERT INTO users (username, email) VALUES ('first', 'first@example.com')`);
    expect(await database.query('SELECT id FROM users')).toEqual([{ id: '1' }]);
  });

  it.each(['users', 'urls', 'events'] as const)(
    'without %s.csv end the seed before anything is loaded',
    async (name) => {
      write({ users: [headers.users], urls: [headers.urls], events: [headers.events] });
      rmSync(path.join(folder, `${name}.csv`));
      await expect(seed(folder)).rejects.toThrow(
        `CSV_DIR has no ${name}.csv: ${folder}/${name}.csv does not exist`,
      );
    },
  );

  it('that are missing or no CSV end the seed with a line that names them', async () => {
    await expect(seed(folder)).rejects.toThrow(/CSV_DIR has no users\.csv/);
    write({
      users: [headers.users, '1,"never closed,a@example.com,2024-01-01'],
      urls: [headers.urls],
      events: [headers.events],
    });
    await expect(seed(folder)).rejects.toThrow(/users\.csv: .*[Qq]uot/);
    expect(await database.query('SELECT count(*) AS n FROM users')).toEqual([{ n: '0' }]);
  });
});
