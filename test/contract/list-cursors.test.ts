import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import type { Event, Url, User } from '../support/clients/answers.js';
import { bodyOf, refusal } from '../support/clients/api-client.js';
import { useServer } from '../support/server/suite.js';

const suite = useServer();
const ROWS = 300;

type Row = Url | User | Event;

interface Page {
  readonly rows: readonly Row[];
  /** Path of the page after it. */
  readonly next: ListPath | undefined;
}

type List = '/urls' | '/users' | '/events';
type ListPath = List | `${List}?${string}`;

function listOf(path: ListPath): List {
  return path.split('?', 1)[0] as List;
}

async function page(path: ListPath): Promise<Page> {
  const answer = await suite.server.ask(path);
  return { rows: bodyOf(answer, 200), next: nextOf(path, answer.headers.get('link')) };
}

/** @throws for a Link header of another form, and where it leads to another list. */
function nextOf(path: ListPath, header: string | null): ListPath | undefined {
  if (header === null) return undefined;
  const target = /^<([^>]+)>; rel="next"$/.exec(header)?.[1];
  if (target === undefined) throw new Error(`no link to a next page: ${header}`);
  const { pathname, search } = new URL(target, suite.server.url);
  const list = listOf(path);
  if (pathname !== list) throw new Error(`${path} is continued by ${pathname}`);
  return `${list}?${search.slice(1)}`;
}

/** Follows the links to the end. */
async function walk(path: ListPath, between: () => Promise<void> = async () => undefined): Promise<Row[]> {
  const rows: Row[] = [];
  for (let next: ListPath | undefined = path; next !== undefined; ) {
    const one: Page = await page(next);
    rows.push(...one.rows);
    next = one.next;
    if (next !== undefined) await between();
  }
  return rows;
}

function idsOf(rows: readonly Row[]): number[] {
  return rows.map(({ id }) => id);
}

async function cursorOf(path: ListPath): Promise<string> {
  const { next } = await page(path);
  return new URL(next ?? '', suite.server.url).searchParams.get('after') ?? '';
}

async function errorOf(path: string): Promise<[number, string?]> {
  return refusal(await suite.server.json(path));
}

beforeAll(async () => {
  const { database } = suite;
  await database.query(
    `INSERT INTO users (username, email) SELECT 'u' || n, 'u' || n || '@example.com' FROM generate_series(1, ${ROWS}) AS n`,
  );
  // Many share a time, a title and a user: the id decides among them.
  await database.query(
    `INSERT INTO short_urls (user_id, original_url, short_code, title, is_active, click_count, created_at, updated_at, tags)
     SELECT 1 + n % 3, 'https://example.com/' || n, 'c' || n, (ARRAY['', 'b', 'Ä', 'a', 'B'])[1 + n % 5], n % 4 > 0, n * 7 % 31 * 10,
            timestamp '2026-01-01' + n / 7 * interval '1 second', timestamp '2026-02-01' - n / 5 * interval '1 second',
            CASE n % 6 WHEN 0 THEN ARRAY['red'] WHEN 1 THEN ARRAY['blue'] WHEN 2 THEN ARRAY['blue', 'red'] ELSE '{}' END
     FROM generate_series(1, ${ROWS}) AS n`,
  );
  await database.query(
    `INSERT INTO events (url_id, user_id, event_type, "timestamp")
     SELECT 1 + n % 10, 1 + n % 7, CASE WHEN n % 2 = 0 THEN 'seen' ELSE 'noted' END,
            timestamp '2025-11-01' + n / 3 * interval '1 day'
     FROM generate_series(1, ${ROWS}) AS n`,
  );
});

describe('pages by cursor', () => {
  it.each([
    '/users',
    '/urls',
    '/events',
    '/urls?user_id=2',
    '/urls?is_active=false',
    '/urls?user_id=2&is_active=true',
    '/urls?sort=created_at',
    '/urls?sort=-updated_at&user_id=1',
    '/urls?sort=updated_at',
    '/urls?sort=title',
    '/urls?sort=-title&is_active=true',
    '/urls?sort=click_count',
    '/urls?sort=-click_count&user_id=1&is_active=true',
    '/urls?sort=-click_count&q=example.com/1',
    '/urls?tag=red',
    '/urls?tag=red&sort=-click_count',
    '/urls?tag=red&tag=blue&sort=title',
    '/urls?tag=red&tag=blue&tags=any',
    '/events?url_id=3',
    '/events?user_id=3&event_type=noted',
    '/events?event_type=seen',
  ] as const)('of %s have the rows of the whole list, in its order', async (list) => {
    const whole = await suite.server.get(list);
    expect(whole.length).toBeGreaterThan(0);
    for (const limit of [1, 7, 1000]) {
      if (limit === 1 && whole.length > 60) continue;
      const path: ListPath = `${list}${list.includes('?') ? '&' : '?'}limit=${limit}` as ListPath;
      expect([path, idsOf(await walk(path))]).toEqual([path, idsOf(whole)]);
    }
  });

  it('have no next where nothing follows, to the row', async () => {
    expect((await page(`/users?limit=${ROWS - 1}`)).next).toBeDefined();
    expect((await page(`/users?limit=${ROWS}`)).next).toBeUndefined();
    expect(await page('/urls?limit=5&user_id=999')).toEqual({ rows: [], next: undefined });
  });

  it('keep all other parameters, repeated ones too', async () => {
    const { next } = await page('/urls?tag=red&limit=3&tag=blue&colour=%C3%A4&sort=-title');
    const parameters = new URL(next ?? '', suite.server.url).searchParams;
    parameters.delete('after');
    expect([...parameters]).toEqual([
      ['tag', 'red'],
      ['limit', '3'],
      ['tag', 'blue'],
      ['colour', 'ä'],
      ['sort', '-title'],
    ]);
  });

  it('take another limit on the way, and none', async () => {
    const after = await cursorOf('/users?limit=10');
    expect(idsOf((await page(`/users?limit=2&after=${after}`)).rows)).toEqual([11, 12]);
    expect((await page(`/users?after=${after}`)).rows).toHaveLength(ROWS - 10);
  });

  it('answer HEAD with the same headers', async () => {
    const response = await suite.server.fetch('/urls?limit=3', { method: 'HEAD' });
    expect(response.headers.get('link')).toMatch(/rel="next"$/);
    expect(await response.text()).toBe('');
  });
});

describe('a page that can’t be', () => {
  it.each(['0', '1001', '-1', '1.5', 'x', '', '99999999999', '%00', '1e2', '+5'])(
    'has the limit %j',
    async (limit) => {
      for (const list of ['/urls', '/users', '/events']) {
        expect(await errorOf(`${list}?limit=${limit}`)).toEqual([
          400,
          "'limit' must be an integer from 1 to 1000",
        ]);
      }
    },
  );

  it.each(['page=1&limit=5', 'page=1&per_page=5&limit=5', 'per_page=5&after=x', 'page=1&after=x'])(
    'is of two kinds: ?%s',
    async (query) => {
      expect(await errorOf(`/urls?${query}`)).toEqual([
        400,
        "'limit' and 'after' can't be used together with 'page' and 'per_page'",
      ]);
    },
  );

  it('has a cursor of another list, filter or sort', async () => {
    const after = await cursorOf('/urls?limit=2&user_id=1');
    for (const query of [
      '/urls?',
      '/urls?user_id=2&',
      '/urls?user_id=1&is_active=true&',
      '/urls?user_id=1&sort=title&',
      '/urls?user_id=1&tag=red&',
      '/events?user_id=1&',
      '/users?',
    ]) {
      expect([query, ...(await errorOf(`${query}limit=2&after=${after}`))]).toEqual([
        query,
        400,
        "'after' is a cursor of another filter or sort",
      ]);
    }
  });

  it('has a cursor that nobody gave out', async () => {
    const good = await cursorOf('/urls?limit=2');
    const [version, digest, key, id] = JSON.parse(Buffer.from(good, 'base64url').toString()) as unknown[];
    const forged = [
      [2, digest, key, id],
      [version, digest, 'yesterday, perhaps', id],
      [version, digest, '2026-13-01 00:00:00', id],
      [version, digest, '2026-02-30 00:00:00', id],
      [version, digest, `${String(key)}\0`, id],
      [version, digest, key, '99999999999999999999'],
      [version, digest, key, 7],
      [version, digest, key],
      { version },
    ].map((parts) => Buffer.from(JSON.stringify(parts)).toString('base64url'));
    for (const after of ['', 'x', '%00', `${good}=`, 'a'.repeat(9000), ...forged]) {
      expect([after, ...(await errorOf(`/urls?limit=2&after=${after}`))]).toEqual([
        after,
        400,
        "'after' is not a cursor of this list",
      ]);
    }
  });

  it('has any other bytes for a cursor, and is never a failure of the server’s', async () => {
    const good = await cursorOf('/urls?limit=2&sort=title');
    await fc.assert(
      fc.asyncProperty(fc.nat(good.length - 1), fc.constantFrom(...'Az09-_'), async (at, letter) => {
        const after = good.slice(0, at) + letter + good.slice(at + 1);
        const { status } = await suite.server.json(`/urls?limit=2&sort=title&after=${after}`);
        expect([200, 400]).toContain(status);
      }),
      { numRuns: 60 },
    );
  });
});

describe('filters and orders of links', () => {
  it('find one by its short code', async () => {
    expect(idsOf((await page('/urls?short_code=c17&limit=10')).rows)).toEqual([17]);
    expect((await suite.server.json('/urls?short_code=c17')).body).toHaveLength(1);
    expect((await suite.server.json('/urls?short_code=C17')).body).toEqual([]);
    expect(await errorOf('/urls?short_code=')).toEqual([
      400,
      "'short_code' must be 1 to 128 letters, digits, '-' or '_'",
    ]);
  });

  it('want all tags, or any', async () => {
    const count = async (query: string): Promise<number> => (await suite.server.get(`/urls?${query}`)).length;
    expect(await count('tag=red')).toBe(ROWS / 3);
    expect(await count('tag=%20RED%20&tag=blue')).toBe(ROWS / 6);
    expect(await count('tag=red&tag=blue&tags=any')).toBe(ROWS / 2);
    expect(await count('tag=green')).toBe(0);
    expect(await errorOf('/urls?tag=red&tags=some')).toEqual([400, "'tags' must be 'all' or 'any'"]);
    for (const tag of ['', 'a,b', '%20', 'x'.repeat(51), '%00']) {
      expect(await errorOf(`/urls?tag=${tag}`)).toEqual([
        400,
        "'tag' must be 1 to 50 characters without a comma, and given at most 20 times",
      ]);
    }
  });

  it.each([
    ['created_at', 1],
    ['-created_at', -1],
    ['updated_at', 1],
    ['-updated_at', -1],
    ['title', 1],
    ['-title', -1],
    ['click_count', 1],
    ['-click_count', -1],
  ] as const)('sort by %s, and by id among equals', async (sort, direction) => {
    const rows = await suite.server.get(`/urls?sort=${sort}`);
    const key = sort.replace('-', '') as 'title' | 'created_at' | 'updated_at' | 'click_count';
    const bytesOf = (row: Url): Buffer => Buffer.from(String(row[key]).padStart(4, '0'));
    const expected = [...rows].sort(
      (one, other) => (Buffer.compare(bytesOf(one), bytesOf(other)) || one.id - other.id) * direction,
    );
    expect(idsOf(rows)).toEqual(idsOf(expected));
  });

  it.each(['', 'id', 'short_code', '--title', 'TITLE', 'title,created_at'])(
    'refuse to sort by %j',
    async (sort) => {
      expect(await errorOf(`/urls?sort=${sort}`)).toEqual([
        400,
        "'sort' must be created_at, updated_at, click_count or title, with '-' in front for descending",
      ]);
    },
  );

  it.each(['limt=5', 'Limit=5', 'Sort=title', 'tagg=x', 'short-code=x', 'shortcode=x'])(
    'say which name was meant: ?%s',
    async (query) => {
      const [status, error] = await errorOf(`/urls?${query}`);
      expect([status, error]).toEqual([400, expect.stringContaining('Unknown parameter')]);
    },
  );
});

describe('a walk through the pages', () => {
  it.each([
    '/urls?limit=9',
    '/urls?limit=9&sort=title',
    '/urls?limit=9&sort=-click_count',
    '/urls?limit=9&user_id=2&is_active=true',
  ] as const)(
    'of %s meets every link that is there throughout once, whatever is made and deleted meanwhile',
    async (path) => {
      await fc.assert(
        fc.asyncProperty(fc.infiniteStream(fc.nat(1000)), async (random) => {
          const before = new Set(idsOf(await walk(path)));
          const gone = new Set<number>();
          const seen = idsOf(
            await walk(path, async () => {
              const code = `w${Math.random().toString(36).slice(2)}`;
              await suite.server.post('/urls', {
                original_url: 'https://e.com/w',
                short_code: code,
                title: 'aa',
              });
              const victim = [...before][Number(random.next().value) % before.size] as number;
              if (!gone.has(victim)) await suite.server.fetch(`/urls/${victim}`, { method: 'DELETE' });
              gone.add(victim);
            }),
          );
          expect(seen).toHaveLength(new Set(seen).size);
          const stayed = [...before].filter((id) => !gone.has(id));
          expect(stayed.filter((id) => !seen.includes(id))).toEqual([]);
        }),
        { numRuns: 2 },
      );
    },
  );
});
