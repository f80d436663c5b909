import { parse } from 'csv-parse/sync';
import { beforeAll, describe, expect, it } from 'vitest';
import { useServer } from '../support/server/suite.js';

const suite = useServer();
/** More than one answer holds: these are streamed. */
const ROWS = 1200;
const oddTitles = ['=1+1', "'=x", "''@x", "'x", '+1', '-1', '@a', '\tx', '\rx', 'a,"b"\r\nc', ' x ', 'é🚦'];

beforeAll(async () => {
  await suite.database.query(
    `INSERT INTO users (username, email) SELECT 'u' || n, 'u' || n || '@example.com' FROM generate_series(1, ${ROWS}) AS n`,
  );
  await suite.database.query(
    `INSERT INTO short_urls (user_id, original_url, short_code, is_active, title, tags, created_at)
     SELECT 1 + n % 2, 'https://example.com/' || n, 'c' || n, n % 3 > 0, coalesce(($1::text[])[n], ''),
            CASE WHEN n % 2 = 0 THEN ARRAY['a', 'b'] ELSE '{}' END, timestamp '2026-01-01' + n * interval '1 second'
     FROM generate_series(1, ${ROWS}) AS n`,
    [oddTitles],
  );
  await suite.database.query(
    `INSERT INTO events (url_id, event_type, details) SELECT n, 'noted', json_build_object('n', n, 't', 'a,"b"')
     FROM generate_series(1, ${ROWS}) AS n`,
  );
});

type Row = Record<string, unknown>;

async function get(path: string, accept = '*/*'): Promise<{ response: Response; text: string }> {
  const response = await suite.server.fetch(path, { headers: { accept } });
  return { response, text: await response.text() };
}

/** A row of a list in JSON, as its cells in CSV. */
function cellsOf(row: Row): Record<string, string> {
  return Object.fromEntries(
    Object.entries(row).map(([name, value]) => {
      if (value === null) return [name, ''];
      if (Array.isArray(value)) return [name, value.join(',')];
      return [name, typeof value === 'object' ? JSON.stringify(value) : String(value)];
    }),
  );
}

const lists = ['users', 'urls', 'events'] as const;

describe.each(
  lists.flatMap(
    (list) =>
      [
        [list, ''],
        [list, 'page=1&per_page=5'],
      ] as const,
  ),
)('GET /%s?%s', (list, query) => {
  it('as NDJSON has a line for each row', async () => {
    const json = JSON.parse((await get(`/${list}?${query}`)).text) as Row[];
    const { response, text } = await get(`/${list}?format=ndjson&${query}`);
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toBe('application/x-ndjson');
    expect(response.headers.get('content-disposition')).toBe(`attachment; filename="${list}.ndjson"`);
    expect(text.endsWith('\n')).toBe(true);
    expect(
      text
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as Row),
    ).toEqual(json);
  });

  it('as CSV has the same fields', async () => {
    const json = JSON.parse((await get(`/${list}?${query}`)).text) as Row[];
    const { response, text } = await get(`/${list}?format=csv&raw=true&${query}`);
    expect(response.headers.get('content-type')).toBe('text/csv; charset=utf-8');
    expect(response.headers.get('content-disposition')).toBe(`attachment; filename="${list}.csv"`);
    const rows = parse(text, { columns: true, record_delimiter: '\r\n' }) as Row[];
    const compact = rows.map((row) =>
      'details' in row ? { ...row, details: JSON.stringify(JSON.parse(row.details as string)) } : row,
    );
    expect(compact).toEqual(json.map(cellsOf));
  });
});

describe('the form of a list', () => {
  it.each([
    ['text/csv', '', 'text/csv; charset=utf-8'],
    ['application/x-ndjson', '', 'application/x-ndjson'],
    ['application/ndjson;q=0.5, text/csv;q=0.4', '', 'application/x-ndjson'],
    ['text/html, */*;q=0.8', '', 'application/json'],
    ['text/csv;q=0', '', 'application/json'],
    ['text/csv, application/json', '', 'text/csv; charset=utf-8'],
    ['text/csv', 'format=json', 'application/json'],
    ['application/json', 'format=CSV', 'text/csv; charset=utf-8'],
  ])('with Accept %s and ?%s is %s', async (accept, query, expected) => {
    const { response } = await get(`/urls?page=1&per_page=1&${query}`, accept);
    expect(response.headers.get('content-type')).toBe(expected);
    expect(response.headers.has('content-disposition')).toBe(expected !== 'application/json');
  });

  it('is one of three', async () => {
    for (const list of lists) {
      expect(await suite.server.json(`/${list}?format=xml`)).toEqual({
        status: 400,
        body: { error: "'format' must be csv, ndjson or json" },
      });
      expect(await suite.server.json(`/${list}?raw=1`)).toEqual({
        status: 400,
        body: { error: "'raw' must be true or false" },
      });
    }
  });

  it('keeps what a spreadsheet would run from running, and takes nothing else', async () => {
    const titles = (text: string): unknown[] =>
      (parse(text, { columns: true, record_delimiter: '\r\n' }) as Row[])
        .slice(-oddTitles.length)
        .map((row) => row.title);
    const guarded = [
      "'=1+1",
      "''=x",
      "'''@x",
      "'x",
      "'+1",
      "'-1",
      "'@a",
      "'\tx",
      "'\rx",
      'a,"b"\r\nc',
      ' x ',
      'é🚦',
    ];
    expect(titles((await get('/urls?format=csv')).text).reverse()).toEqual(guarded);
    expect(titles((await get('/urls?format=csv&raw=true')).text).reverse()).toEqual(oddTitles);
  });

  it('has a header also without rows, and no body for HEAD', async () => {
    const { text } = await get('/urls?format=csv&user_id=99999');
    expect(text).toMatch(/^id,user_id,short_code,original_url,title,is_active,.*,tags,short_url\r\n$/);
    const head = await suite.server.fetch('/urls?format=csv', { method: 'HEAD' });
    expect([head.headers.get('content-type'), await head.text()]).toEqual(['text/csv; charset=utf-8', '']);
  });
});
