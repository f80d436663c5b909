import { beforeAll, describe, expect, it } from 'vitest';
import { useServer } from '../support/server/suite.js';

const suite = useServer();
const MANY = 10_001;

beforeAll(async () => {
  await suite.database.query(
    `INSERT INTO users (username, email) SELECT 'u' || n, 'u' || n || '@example.com' FROM generate_series(1, 3) AS n`,
  );
  // The first user's one link too many to count, the second's as many as are counted, the third's few.
  await suite.database.query(
    `INSERT INTO short_urls (user_id, original_url, short_code, title, is_active, tags)
     SELECT CASE WHEN n <= ${MANY} THEN 1 WHEN n < 2 * ${MANY} THEN 2 ELSE 3 END,
            'https://example.com/' || n, 'c' || n, '', n % 2 = 0, CASE n WHEN 5 THEN ARRAY['red'] ELSE '{}' END
     FROM generate_series(1, ${2 * MANY + 6}) AS n`,
  );
});

async function totalOf(path: string, method = 'GET'): Promise<[string | null, string | null]> {
  const response = await suite.server.fetch(path, { method });
  await response.arrayBuffer();
  expect([path, response.status]).toEqual([path, 200]);
  return [response.headers.get('x-total-count'), response.headers.get('x-total-is-minimum')];
}

describe('?with_total=true', () => {
  it.each([
    ['of a short list', '/urls?user_id=3', '7'],
    ['of none', '/urls?user_id=99', '0'],
    ['of a page by cursor', '/urls?user_id=3&limit=2', '7'],
    ['of a numbered page', '/urls?user_id=3&page=2&per_page=3', '7'],
    ['of a page past the end', '/urls?user_id=3&page=20&per_page=3', '7'],
    ['of two filters', '/urls?user_id=3&is_active=true', '4'],
    ['of a tag', '/urls?tag=red', '1'],
    ['of another form', '/urls?user_id=3&format=csv', '7'],
    ['of a list that is streamed', '/urls?user_id=2', '10000'],
  ])('%s is exact', async (_, path, total) => {
    expect(await totalOf(`${path}&with_total=true`)).toEqual([total, null]);
  });

  it.each([
    '/urls?',
    '/urls?user_id=1',
    '/urls?limit=1',
    '/urls?page=1&per_page=3',
    '/urls?user_id=1&sort=title',
  ])('says so where there are more than are counted: %s', async (path) => {
    expect(await totalOf(`${path}&with_total=true`)).toEqual(['10000', 'true']);
  });

  it('is the same on every page, also where rows before it are gone past', async () => {
    const response = await suite.server.fetch('/urls?user_id=3&limit=3&with_total=true');
    const next = /^<([^>]+)>/.exec(response.headers.get('link') ?? '')?.[1] ?? '';
    expect(next).toContain('with_total=true');
    expect(await totalOf(next)).toEqual(['7', null]);
  });

  it('answers HEAD with the same headers', async () => {
    expect(await totalOf('/urls?user_id=3&with_total=true', 'HEAD')).toEqual(['7', null]);
    expect(await totalOf('/urls?with_total=true', 'HEAD')).toEqual(['10000', 'true']);
  });

  it('is off unless asked for, and refused where it is no flag', async () => {
    expect(await totalOf('/urls?user_id=3')).toEqual([null, null]);
    expect(await totalOf('/urls?user_id=3&with_total=false')).toEqual([null, null]);
    const { status, body } = await suite.server.json('/urls?with_total=yes');
    expect([status, body]).toEqual([400, { error: "'with_total' must be true or false" }]);
  });
});
