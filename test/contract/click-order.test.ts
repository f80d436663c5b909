import { beforeAll, expect, it } from 'vitest';
import type { Url } from '../support/clients/answers.js';
import { bodyOf } from '../support/clients/api-client.js';
import { eventually } from '../support/machine/wait.js';
import { useServer } from '../support/server/suite.js';

const suite = useServer({ READ_BARRIER_MS: '10000' });
let codes: string[];

beforeAll(async () => {
  codes = [];
  for (let n = 0; n < 4; n += 1) {
    const body = bodyOf(await suite.server.post('/urls', { original_url: `https://example.com/${n}` }), 201);
    codes.push(body.short_code);
  }
});

async function list(query = ''): Promise<Url[]> {
  const body = await suite.server.get(`/urls?sort=-click_count&limit=10${query}`);
  return body;
}

it('links are in the order of their clicks, at most ten seconds old; what is shown is exact', async () => {
  expect((await list()).map(({ short_code: code }) => code)).toEqual([...codes].reverse());
  for (const [index, code] of codes.entries()) {
    for (let visit = 0; visit < 4 - index; visit += 1)
      await suite.server.fetch(`/${code}`, { redirect: 'manual' });
  }
  // A read of events waits for the clicks. The counters are the true ones from then on, whatever the order is.
  await suite.server.json('/events?event_type=click');
  expect((await list()).find(({ short_code: code }) => code === codes[0])?.click_count).toBe(4);
  const startMs = performance.now();
  await eventually(async () => (await list()).map(({ short_code: code }) => code).join() === codes.join());
  expect(performance.now() - startMs).toBeLessThan(10_000);
  expect((await list()).map(({ click_count: count }) => count)).toEqual([4, 3, 2, 1]);
});

it('while the copy is made for the first time, the order is not to be had', async () => {
  await suite.database.query('SELECT pg_advisory_lock($1)', [0x5357_0004]);
  await suite.database.query('UPDATE link_click_order SET is_built = false, next_id = 0');
  const response = await suite.server.fetch('/urls?sort=click_count');
  expect([response.status, await response.json()]).toEqual([
    503,
    { error: 'The index of this order is still being built' },
  ]);
  expect(response.headers.get('retry-after')).toMatch(/^\d+$/);
  expect((await suite.server.json('/urls?sort=title')).status).toBe(200);
  await suite.database.query('SELECT pg_advisory_unlock($1)', [0x5357_0004]);
  await eventually(async () => (await suite.server.json('/urls?sort=click_count')).status === 200);
});

it('after clicks on very many links, the first list has the exact order all the same, and so have its pages', async () => {
  const links = 30_000;
  await suite.database.query('BEGIN');
  await suite.database.query(
    `INSERT INTO short_urls (original_url, short_code)
     SELECT 'https://example.com/' || n, 'many' || n FROM generate_series(1, $1::integer) AS n
     ON CONFLICT DO NOTHING`,
    [links],
  );
  await suite.database.query(`SELECT note_link_clicks(array_agg(id)) FROM short_urls`);
  await suite.database.query('UPDATE short_urls SET click_count = click_count + id * 7919 % 1000');
  await suite.database.query(
    `UPDATE link_click_order SET renewed_at = now() AT TIME ZONE 'utc' - interval '1 hour'`,
  );
  // As another server holds it that renews the copy.
  await suite.database.query('SELECT pg_advisory_lock($1)', [0x5357_0004]);
  await suite.database.query('COMMIT');
  const inOrder = await suite.database.query<{ id: string }>(
    'SELECT id FROM short_urls ORDER BY click_count DESC, id DESC',
  );
  const read = async (url: string): Promise<{ ids: string[]; next: string | undefined }> => {
    const response = await suite.server.fetch(url);
    expect(response.status).toBe(200);
    const ids = ((await response.json()) as Url[]).map(({ id }) => String(id));
    return { ids, next: /<([^>]+)>; rel="next"/.exec(response.headers.get('link') ?? '')?.[1] };
  };
  const isExact = async (ids: readonly string[], start: number): Promise<void> => {
    expect(ids).toEqual(inOrder.slice(start, start + 1000).map(({ id }) => id));
  };
  const first = await read('/urls?sort=-click_count&limit=1000');
  await isExact(first.ids, 0);
  const second = await read(first.next ?? '');
  await isExact(second.ids, 1000);
  await isExact((await read('/urls?sort=-click_count&page=2&per_page=1000')).ids, 1000);
  // A list as long as this is a transfer.
  const whole = await read('/urls?sort=-click_count');
  expect(whole.ids).toEqual(inOrder.map(({ id }) => id));
  await suite.database.query('SELECT pg_advisory_unlock($1)', [0x5357_0004]);
  // Nobody else holds it: what is left to do is still more than a list waits for.
  await isExact((await read(second.next ?? '')).ids, 2000);
});
