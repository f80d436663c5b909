import { beforeAll, describe, expect, it } from 'vitest';
import type { Url } from '../support/clients/answers.js';
import { answerIn, bodyOf } from '../support/clients/api-client.js';
import { eventually } from '../support/machine/wait.js';
import { useServer } from '../support/server/suite.js';

const suite = useServer();
const ROWS = 3000;

beforeAll(async () => {
  await suite.database.query(
    `INSERT INTO users (username, email) SELECT 'u' || n, 'u' || n || '@example.com' FROM generate_series(1, ${ROWS}) AS n`,
  );
  await suite.database.query(
    `INSERT INTO short_urls (user_id, original_url, short_code, is_active, created_at)
     SELECT 1 + n % 10, 'https://example.com/' || n, 'c' || n, n % 3 > 0, timestamp '2026-01-01' + n * interval '1 second'
     FROM generate_series(1, ${ROWS}) AS n`,
  );
  await suite.database.query(
    `INSERT INTO events (url_id, user_id, event_type, "timestamp", details)
     SELECT n, 1 + n % 10, 'noted', timestamp '2026-01-01' + n * interval '1 hour', json_build_object('n', n)
     FROM generate_series(1, ${ROWS}) AS n`,
  );
});

describe('a list without paging', () => {
  it.each(['users', 'urls', 'events'] as const)('of %s comes whole, though it is streamed', async (name) => {
    const response = await suite.server.fetch(`/${name}`);
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toBe('application/json');
    const rows = bodyOf(await answerIn(response, 'GET', `/${name}`), 200);
    expect(rows).toHaveLength(ROWS);
    const ids = rows.map((row) => row.id);
    expect(ids).toEqual([...ids].sort((a, b) => (name === 'users' ? a - b : b - a)));
  });

  it('has the same rows as pages have', async () => {
    const whole = await suite.server.get('/urls?is_active=true');
    expect(whole).toHaveLength((ROWS * 2) / 3);
    const paged: Url[] = [];
    for (let page = 1; ; page += 1) {
      const rows = await suite.server.get(`/urls?is_active=true&page=${page}&per_page=700`);
      if (rows.length === 0) break;
      paged.push(...rows);
    }
    expect(paged).toEqual(whole);
  });

  it('answers HEAD without a body', async () => {
    const paths = [
      '/users',
      '/urls',
      '/events',
      '/users?page=1&per_page=2000',
      '/users/1',
      '/urls?page=1&per_page=2',
      '/health',
    ];
    for (const path of paths) {
      const response = await suite.server.fetch(path, { method: 'HEAD' });
      expect([path, response.status, await response.text()]).toEqual([path, 200, '']);
    }
    // None of them goes on behind the answer.
    await eventually(async () =>
      (await (await suite.server.fetch('/metrics')).text()).includes('\nswitchyard_transfers_active 0\n'),
    );
  });

  it('is cut off without harm when its reader leaves', async () => {
    for (let round = 0; round < 5; round += 1) {
      const controller = new AbortController();
      const response = await suite.server.fetch('/events', { signal: controller.signal });
      await response.body?.getReader().read();
      controller.abort();
    }
    expect((await suite.server.json('/events')).body).toHaveLength(ROWS);
  });
});

describe('paging', () => {
  it('takes a page of any size', async () => {
    const body = await suite.server.get('/users?page=1&per_page=2500');
    expect(body).toHaveLength(2500);
    expect(body[2499]?.username).toBe('u2500');
    expect((await suite.server.json('/users?page=1&per_page=999999999999')).body).toHaveLength(ROWS);
    expect((await suite.server.json('/users?page=0&per_page=2')).body).toHaveLength(2);
  });

  it.each([
    '/users?',
    '/urls?',
    '/urls?sort=-click_count&',
    '/urls?q=example.com&',
    '/events?',
    '/events?event_type=click&',
    '/events?url_id=1&',
  ])('by pages without a row has none: %spage=1&per_page=0', async (list) => {
    for (const page of [0, 1, 2]) {
      expect(await suite.server.json(`${list}page=${page}&per_page=0`)).toEqual({ status: 200, body: [] });
    }
  });

  it.each([
    'page=99999&per_page=100',
    'page=99999999999999999999999&per_page=99999999999999',
    'page=2&per_page=3000',
  ])('is empty past the end: ?%s', async (query) => {
    expect(await suite.server.json(`/users?${query}`)).toEqual({ status: 200, body: [] });
  });

  it.each([
    'page=-1&per_page=10',
    'page=1&per_page=-1',
    'page=abc&per_page=10',
    'page=1.5&per_page=2',
    'page=1e3&per_page=1',
    'page=%00&per_page=1',
  ])('refuses ?%s with a clear error', async (query) => {
    const { status, body } = await suite.server.json(`/users?${query}`);
    expect(status).toBe(400);
    expect(body).toEqual({ error: "'page' and 'per_page' must be integers, not negative" });
  });

  it.each(['page=1', 'per_page=1', 'page=&per_page=', 'page=1&per_page='])(
    'needs both: ?%s',
    async (query) => {
      expect((await suite.server.json(`/users?${query}`)).body).toHaveLength(ROWS);
    },
  );

  it('of events stays in order over partitions', async () => {
    const first = await suite.server.get('/events?page=1&per_page=1000');
    const second = await suite.server.get('/events?page=2&per_page=1000');
    const times = [...first, ...second].map((event) => event.timestamp);
    expect(times).toEqual([...times].sort().reverse());
  });
});
