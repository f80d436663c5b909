import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { linksByAsked } from '../../src/api/redirect-link.js';
import { clientOptions } from '../../src/postgres/pool.js';
import { resolveCodes } from '../../src/store/resolve.js';
import { createDatabase, type TestDatabase } from '../support/database/database.js';

let database: TestDatabase;
let client: pg.Client;

beforeAll(async () => {
  database = await createDatabase();
  client = new pg.Client(clientOptions(database.address, 'test', 5000));
  await client.connect();
  await database.query(
    `INSERT INTO short_urls (short_code, original_url, is_chosen, is_active) VALUES
       ('spring', 'http://e.com/spring', true, true),
       ('Twice', 'http://e.com/1', true, true), ('TWICE', 'http://e.com/2', true, true),
       ('made42', 'http://e.com/made', false, true),
       ('paused', 'http://e.com/paused', true, false),
       ('Both', 'http://e.com/both', true, true), ('both', 'http://e.com/off', true, false),
       ('odd.', 'http://e.com/odd', false, true), ('odd', 'http://e.com/even', false, true)`,
  );
});

afterAll(async () => {
  await client?.end();
  await database?.drop();
});

describe('a code that is written otherwise', () => {
  it.each([
    ['spring', 'spring'],
    ['SPRING', 'spring'],
    ['spring.', 'spring'],
    [`Spring).'"`, 'spring'],
    ['made42', 'made42'],
    ['made42?!', 'made42'],
    ['MADE42', undefined],
    // Two match: none is meant for certain.
    ['twice', undefined],
    ['Twice', 'Twice'],
    // What exists is final, though it does not redirect.
    ['paused', undefined],
    ['Paused', undefined],
    ['both', undefined],
    ['BOTH', undefined],
    // A code that exists with punctuation is that code.
    ['odd.', 'odd.'],
    ['odd,', 'odd'],
    ['odd./', 'odd.'],
    ['odd,/', 'odd'],
    ['spring/', 'spring'],
    ['SPRING!/', 'spring'],
    ['paused/', undefined],
    ['spring//', undefined],
    ['/', undefined],
    ['spring-', undefined],
    ['', undefined],
    ['...', undefined],
    ['sprıng', undefined],
  ])('%j leads to %j', async (asked, found) => {
    const { text } = await resolveCodes(client, `${asked}\nmade42`, 2);
    const links = linksByAsked(text);
    expect(links.get(asked)?.shortCode).toBe(found);
    expect(links.get('made42')?.target).toBe('http://e.com/made');
  });

  it('is found among many in two statements', async () => {
    const codes = Array.from({ length: 500 }, (_, index) => `nobody${index}`).concat('SPRING', 'odd;');
    const { text } = await resolveCodes(client, codes.join('\n'), codes.length);
    expect([...linksByAsked(text).values()].map(({ asked, shortCode }) => [asked, shortCode])).toEqual([
      ['SPRING', 'spring'],
      ['odd;', 'odd'],
    ]);
  });

  it('costs no second statement where every code is there, though it comes twice', async () => {
    const codes = ['spring', 'made42', 'paused', 'spring'];
    const statements: string[] = [];
    const counting = {
      query: (config: pg.QueryConfig) => {
        statements.push(config.name ?? '');
        return client.query(config);
      },
    } as unknown as pg.Client;
    const { text } = await resolveCodes(counting, codes.join('\n'), codes.length);
    expect([...linksByAsked(text).keys()].sort()).toEqual(['made42', 'spring']);
    expect(statements).toEqual(['link_resolve']);
  });
});

describe('what a link is made of', () => {
  it.each([
    ['redirect_status', 301, { status: 301 }],
    ['cache_seconds', 0, { cache: 0 }],
    ['valid_since', '2026-01-01', { since: 1_767_225_600 }],
    ['expires_at', '2026-01-01 00:00:00.9', { until: 1_767_225_600 }],
    ['max_clicks', 1, { limited: true }],
    ['password_hash', 'hash', { password: true }],
    ['forward_query', true, { query: true }],
    // It means nothing without an end.
    ['expired_url', 'http://e.com/', null],
  ])('has options as soon as it has %s', async (column, value, option) => {
    const code = `only_${column}`;
    await client.query(
      `INSERT INTO short_urls (short_code, original_url, ${column}) VALUES ($1, 'http://e.com/', $2)`,
      [code, value],
    );
    const { text } = await resolveCodes(client, code, 1);
    const options: unknown = JSON.parse(linksByAsked(text).get(code)?.options ?? 'null');
    const plain = { status: 302, cache: null, since: null, until: null, expired_url: null };
    const none = { limited: false, password: false, query: false };
    expect(options).toEqual(option === null ? null : { ...plain, ...none, ...option });
  });

  it('comes as it is in the table, and with the name of its database', async () => {
    await client.query(
      `INSERT INTO users (id, username, email) VALUES (9007199254740993, 'owner', 'o@e.com')`,
    );
    const odd = 'http://e.com/\t\r\u2028 路\u{1F600}\\n"\'\u0001';
    await client.query(
      `INSERT INTO short_urls (id, short_code, original_url, user_id, created_at, max_clicks, expired_url) VALUES
         (9007199254740995, 'all', $1, 9007199254740993, '2026-01-31 12:00:00.123', 3, E'http://e.com/\n"'),
         (9007199254740997, 'plain', E'http://e.com/\n', NULL, 'infinity', NULL, NULL)`,
      [odd],
    );
    const { text, databaseId } = await resolveCodes(client, 'plain\nall\nALL!', 3);
    const links = linksByAsked(text);
    expect(links.get('all')).toEqual({
      asked: 'all',
      shortCode: 'all',
      urlId: '9007199254740995',
      userId: '9007199254740993',
      target: odd,
      options: expect.any(String),
      createdMs: Date.UTC(2026, 0, 31, 12, 0, 0, 123),
    });
    expect(JSON.parse(links.get('all')?.options ?? '')).toMatchObject({
      limited: true,
      expired_url: 'http://e.com/\n"',
    });
    // A line break is another control character on its way: neither leads anywhere.
    expect(links.get('plain')).toMatchObject({
      userId: null,
      options: null,
      createdMs: 0,
      target: 'http://e.com/\r',
    });
    const { rows } = await client.query<{ id: string }>('SELECT id FROM switchyard_database');
    expect(databaseId).toBe(rows[0]?.id);
  });
});
