import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Url } from '../support/clients/answers.js';
import { answerIn, bodyOf, refusal } from '../support/clients/api-client.js';
import { createDatabase, type TestDatabase } from '../support/database/database.js';
import { startServer, type TestServer } from '../support/server/server.js';
import { useServer } from '../support/server/suite.js';

const suite = useServer();
const MANY = 60_000;

const known: readonly [code: string, title: string, target: string][] = [
  ['Spring-Sale', 'Äpfel & BIRNEN', 'https://example.com/fruit?a=1'],
  ['abc_def', '100% off', 'https://example.com/under_score'],
  ['abcxdef', '100x off', 'https://example.com/underxscore'],
  ['back', 'a\\b\\c', 'https://example.com/back'],
  ['slash', 'a/b/c', 'https://example.com/slash'],
  ['greek', 'ΑΘΗΝΑ', 'https://example.com/路径/文件'],
  ['street', 'Straße', 'https://пример.example/путь'],
  ['face', 'x03y20 plain', 'https://example.com/😀😀😀'],
  ['end', 'tail', 'https://example.com/endtail'],
];

async function codesOf(query: Record<string, string>): Promise<string[]> {
  const links = await suite.server.get(`/urls?${String(new URLSearchParams(query))}`);
  return links.map(({ short_code: code }) => code).sort();
}

async function errorOf(query: string, server: TestServer = suite.server): Promise<unknown[]> {
  return refusal(await server.json(`/urls?${query}`));
}

beforeAll(async () => {
  for (const [short_code, title, original_url] of known) {
    const made = await suite.server.post('/urls', { short_code, title, original_url });
    expect(made.status).toBe(201);
  }
  await suite.database.query(
    `INSERT INTO short_urls (original_url, short_code, title, is_active, created_at)
     SELECT 'https://many.example/' || n, 'm' || n, 'number ' || n, n % 2 = 0, timestamp '2020-01-01' + n * interval '1 second'
     FROM generate_series(1, ${MANY}) AS n`,
  );
  await suite.database.query('ANALYZE short_urls');
});

describe('?q=', () => {
  it.each([
    ['a part of a code, in any case', 'ring-sa', ['Spring-Sale']],
    ['a part of a title', 'birn', ['Spring-Sale']],
    ['a part of a target', 'COM/FRUIT?', ['Spring-Sale']],
    ['umlauts in another case', 'äPFEL', ['Spring-Sale']],
    ['Greek in another case', 'αθην', ['greek']],
    ['Cyrillic in another case', 'ПРИМЕР.', ['street']],
    ['a letter that is two in capitals', 'strasse', ['street']],
    ['three characters of three bytes', '路径/', ['greek']],
    ['three of four bytes', '😀😀😀', ['face']],
    ['an underscore as itself', 'C_D', ['abc_def']],
    ['a per cent sign as itself', '00% ', ['abc_def']],
    ['a backslash as itself', 'a\\b', ['back']],
    ['a slash as itself', 'a/b', ['slash']],
    ['what letters of bytes look like', 'x03y20', ['face']],
    ['no text over two columns', 'endtail', ['end']],
    ['nothing from one column into the next', 'end\ntail', []],
    ['nothing', 'nowhere-at-all', []],
    ['a quote, and what would be SQL', "sql'; --", []],
  ])('finds %s', async (_, q, codes) => {
    expect(await codesOf({ q })).toEqual(codes);
    expect(await codesOf({ q, limit: '100' })).toEqual(codes);
    expect(await codesOf({ q, page: '1', per_page: '100' })).toEqual(codes);
  });

  it('goes with filters, orders, cursors and totals', async () => {
    const all = await codesOf({ q: 'NUMBER 5999' });
    expect(all).toHaveLength(11);
    expect(await codesOf({ q: 'number 5999', is_active: 'true' })).toHaveLength(5);
    for (const sort of ['created_at', '-created_at', 'updated_at', 'title', '-title']) {
      const whole = await suite.server.get(`/urls?q=number+5999&sort=${sort}`);
      const found: Url[] = [];
      for (let next = `/urls?q=number+5999&sort=${sort}&limit=4&with_total=true`; next !== ''; ) {
        const response = await suite.server.fetch(next);
        expect(response.headers.get('x-total-count')).toBe('11');
        found.push(...bodyOf(await answerIn(response, 'GET', '/urls'), 200));
        next = /^<([^>]+)>/.exec(response.headers.get('link') ?? '')?.[1] ?? '';
      }
      expect(found.map(({ id }) => id)).toEqual(whole.map(({ id }) => id));
    }
  });

  it('is streamed where it is long', async () => {
    expect(await codesOf({ q: 'number 5' })).toHaveLength(11_111);
    const response = await suite.server.fetch('/urls?q=number+5&with_total=true', { method: 'HEAD' });
    expect(response.headers.get('x-total-is-minimum')).toBe('true');
  });

  it('is to be narrowed where too many may be meant and a page can’t end early', async () => {
    const refusal = [400, 'Narrow the search'];
    expect(await errorOf('q=many.example')).toEqual(refusal);
    expect(await errorOf('q=many.example&page=2&per_page=10')).toEqual(refusal);
    // It has no trigram: each link would be looked at.
    expect(await errorOf(`q=${encodeURIComponent('://')}`)).toEqual(refusal);
    expect(await codesOf({ q: '://', limit: '7' })).toHaveLength(7);
    expect(await codesOf({ q: 'many.example', limit: '7' })).toHaveLength(7);
  });

  it('ends a page early after 50,000 links without a trigram of the text', async () => {
    const found: Url[] = [];
    let pages = 0;
    for (let next = '/urls?q=%26+%3F&sort=-created_at&limit=10'; next !== ''; pages += 1) {
      const response = await suite.server.fetch(next);
      found.push(...bodyOf(await answerIn(response, 'GET', '/urls'), 200));
      next = /^<([^>]+)>/.exec(response.headers.get('link') ?? '')?.[1] ?? '';
    }
    expect([found, pages]).toEqual([[], 2]);
  });

  it.each(['', 'ab', '%F0%9F%98%80%F0%9F%98%80', 'x'.repeat(101), 'ab%00c'])('refuses %j', async (q) => {
    expect(await errorOf(`q=${q}`)).toEqual([400, "'q' must be 3 to 100 characters"]);
  });

  it('takes 100 characters of four bytes each', async () => {
    expect(await codesOf({ q: '😀'.repeat(100) })).toEqual([]);
  });
});

describe('a database without pg_trgm', () => {
  let database: TestDatabase;
  let server: TestServer;

  beforeAll(async () => {
    database = await createDatabase();
    await database.query('DROP EXTENSION pg_trgm CASCADE');
    server = await startServer({ DATABASE_URL: database.url });
  });

  afterAll(async () => {
    await server?.stop();
    await database?.drop();
  });

  it('says so, and serves all else', async () => {
    expect(await errorOf('q=abc', server)).toEqual([
      503,
      'Searching needs the extension pg_trgm, which the database refused',
    ]);
    expect((await server.json('/urls')).status).toBe(200);
  });
});
