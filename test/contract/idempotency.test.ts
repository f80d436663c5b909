import { describe, expect, it } from 'vitest';
import { routes } from '../../src/api/registry.js';
import type { RouteDeclaration } from '../../src/api/route.js';
import type { AnswerTo } from '../support/clients/answers.js';
import { type ApiClient, answerIn, bodyOf } from '../support/clients/api-client.js';
import { ADMIN_KEY, asKey, makeKey } from '../support/clients/keys.js';
import { createDatabase } from '../support/database/database.js';
import { eventually } from '../support/machine/wait.js';
import { startServer } from '../support/server/server.js';
import { createUser, uniqueName, useServer } from '../support/server/suite.js';

const suite = useServer({ CALL_DEADLINE_MS: '10000', ADMIN_KEY });

interface Repeatable {
  readonly isReplayed: boolean;
  readonly location: string | null;
}

async function post<const Path extends string>(
  path: Path,
  key: string,
  sent: unknown,
  client: ApiClient = suite.server,
): Promise<AnswerTo<'POST', Path> & Repeatable> {
  const response = await client.fetch(path, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'idempotency-key': key },
    body: typeof sent === 'string' ? sent : JSON.stringify(sent),
  });
  const { headers } = response;
  return {
    ...(await answerIn(response, 'POST', path)),
    isReplayed: headers.get('idempotent-replayed') === 'true',
    location: headers.get('location'),
  };
}

async function countOf(table: 'short_urls' | 'users' | 'events' | 'idempotency_keys'): Promise<number> {
  const [row] = await suite.database.query<{ count: string }>(`SELECT count(*) FROM ${table}`);
  return Number(row?.count);
}

const target = (): string => `https://example.com/${uniqueName()}`;
const bodies = {
  '/shorten': () => ({ url: target() }),
  '/urls': () => ({ original_url: target(), short_code: uniqueName() }),
  '/urls/bulk': () => ({ urls: [{ original_url: target() }, { original_url: 'nowhere' }] }),
  '/urls/bulk?atomic=true': () => ({ urls: [{ original_url: target() }, { original_url: target() }] }),
  '/users': () => ({ username: uniqueName(), email: 'a@example.com' }),
  '/events': () => ({ event_type: 'seen', details: { of: uniqueName() } }),
} as const;
const paths = Object.keys(bodies) as (keyof typeof bodies)[];
const reused = { error: 'Idempotency key was used for another request' };

describe('a request that is repeated with its key', () => {
  it.each(paths)('POST %s is done once, and gets the first answer again', async (path) => {
    const [key, body] = [uniqueName(), bodies[path]()];
    const first = await post(path, key, body);
    expect(first).toMatchObject({ status: path.startsWith('/urls/bulk') ? 200 : 201, isReplayed: false });
    const counts = [await countOf('short_urls'), await countOf('users'), await countOf('events')];
    for (let times = 0; times < 3; times += 1)
      expect(await post(path, key, body)).toEqual({ ...first, isReplayed: true });
    expect([await countOf('short_urls'), await countOf('users'), await countOf('events')]).toEqual(counts);
  });

  it.each(paths)('POST %s is 422 with another body, and with another route', async (path) => {
    const key = uniqueName();
    const body = bodies[path]();
    const first = await post(path, key, body);
    const refused = { status: 422, body: reused, isReplayed: false };
    expect(await post(path, key, bodies[path]())).toMatchObject(refused);
    const other = path === '/users' ? '/events' : '/users';
    expect(await post(other, key, body)).toMatchObject(refused);
    expect(await post(`${path}${path.includes('?') ? '&' : '?'}x=1`, key, body)).toMatchObject(refused);
    expect(await post(path, key, '{')).toMatchObject(refused);
    expect(await post(path, key, body)).toEqual({ ...first, isReplayed: true });
  });

  it('a click, and a link that is found if it exists, are one too', async () => {
    const link = { original_url: target(), find_if_exists: true };
    const key = uniqueName();
    const first = await post('/urls', key, link);
    const { id } = bodyOf(first, 201);
    expect(await post('/urls', key, link)).toEqual({ ...first, isReplayed: true });
    const found = await post('/urls', `${key}-2`, link);
    expect(found).toMatchObject({ status: 200, isReplayed: false, body: { id } });
    expect(await post('/urls', `${key}-2`, link)).toEqual({ ...found, isReplayed: true });
    const click = { event_type: 'click', url_id: id };
    const clicked = await post('/events', key.concat('-3'), click);
    expect(clicked.status).toBe(201);
    expect(await post('/events', key.concat('-3'), click)).toEqual({ ...clicked, isReplayed: true });
    expect((await suite.server.json(`/urls/${id}`)).body).toMatchObject({ click_count: 1 });
  });

  it('a code that was looked up before is visited as soon as it is made', async () => {
    const code = uniqueName();
    expect((await suite.server.fetch(`/${code}`)).status).toBe(404);
    await post('/urls', uniqueName(), { original_url: target(), short_code: code });
    expect((await suite.server.fetch(`/${code}`)).status).toBe(302);
  });
});

describe('a refusal', () => {
  it.each([
    ['400 of the schema', '/urls', 400, { original_url: 'nowhere' }],
    ['400 of no JSON', '/users', 400, '{'],
    ['400 of a reserved code', '/urls', 400, { original_url: 'https://example.com/', short_code: 'urls' }],
    ['404', '/urls', 404, { original_url: 'https://example.com/', user_id: 987_654_321 }],
    ['404 of an event', '/events', 404, { event_type: 'seen', url_id: 987_654_321 }],
    ['400 of a whole', '/urls/bulk?atomic=true', 400, { urls: [{ original_url: 'x' }] }],
  ])('%s is kept', async (_, path, status, body) => {
    const key = uniqueName();
    const first = await post(path, key, body);
    expect(first).toMatchObject({ status, isReplayed: false });
    expect(await post(path, key, body)).toEqual({ ...first, isReplayed: true });
    expect(await post('/users', key, { username: uniqueName(), email: 'a@example.com' })).toMatchObject({
      status: 422,
      body: reused,
    });
  });

  it('409 is kept, also when there is nothing in the way any more', async () => {
    const username = uniqueName();
    const body = bodyOf(await suite.server.post('/users', { username, email: 'a@example.com' }), 201);
    const key = uniqueName();
    const request = { username, email: 'b@example.com' };
    const first = await post('/users', key, request);
    expect(first).toMatchObject({ status: 409, body: { error: 'Username already exists' } });
    await suite.server.fetch(`/users/${body.id}`, { method: 'DELETE' });
    expect(await post('/users', key, request)).toEqual({ ...first, isReplayed: true });
  });

  it('of a query, before the body is read, is not kept', async () => {
    const key = uniqueName();
    const body = bodies['/urls/bulk']();
    expect((await post('/urls/bulk?atomic=perhaps', key, body)).status).toBe(400);
    expect(await post('/urls/bulk', key, body)).toMatchObject({ status: 200, isReplayed: false });
  });
});

describe('the key', () => {
  const error = "'Idempotency-Key' must be 1 to 255 printable characters";

  it.each([
    ['256 characters', 'k'.repeat(256)],
    ['a tab in it', 'a\tb'],
    ['bytes', 'schl\u00fcssel'],
    ['nothing in it', ''],
    ['blanks alone', '  '],
  ])('with %s is 400', async (_, key) => {
    expect(await post('/urls', key, bodies['/urls']())).toMatchObject({ status: 400, body: { error } });
  });

  it.each([['x'], ['k'.repeat(255)], ['a "key", with signs; ~']])('%s is fine', async (key) => {
    expect((await post('/urls', key, bodies['/urls']())).status).toBe(201);
  });

  const others = (routes as readonly RouteDeclaration[]).filter(
    (route) => route.isIdempotent !== true && route.performs !== 'redirect',
  );
  it.each(others.map(({ method, path }) => [method, path.replace(/:\w+/, '1')]))(
    'is not supported at %s %s',
    async (method, path) => {
      const headers = { 'idempotency-key': 'x', 'x-api-key': ADMIN_KEY };
      const response = await suite.server.fetch(path, { method, headers });
      expect([response.status, await response.json()]).toEqual([
        400,
        { error: "'Idempotency-Key' is not supported here" },
      ]);
    },
  );
});

describe('while the first is under way', () => {
  it.each(['/users', '/shorten'] as const)('POST %s is 409, and replayed afterwards', async (path) => {
    const table = path === '/users' ? 'users' : 'short_urls';
    const [key, body] = [uniqueName(), bodies[path]()];
    await suite.database.query('BEGIN');
    await suite.database.query(`LOCK TABLE ${table} IN SHARE ROW EXCLUSIVE MODE`);
    const first = post(path, key, body);
    await eventually(async () => {
      const rows = await suite.database.query(
        'SELECT FROM pg_locks WHERE relation = $1::regclass AND NOT granted',
        [table],
      );
      return rows.length > 0;
    });
    const second = await post(path, key, body);
    await suite.database.query('COMMIT');
    expect(second).toMatchObject({
      status: 409,
      isReplayed: false,
      body: { error: 'A request with this idempotency key is under way' },
    });
    expect((await first).status).toBe(201);
    expect(await post(path, key, body)).toEqual({ ...(await first), isReplayed: true });
  });

  it('of many at once one is done', async () => {
    const [key, body] = [uniqueName(), bodies['/shorten']()];
    const before = await countOf('short_urls');
    const answers = await Promise.all(Array.from({ length: 20 }, () => post('/shorten', key, body)));
    expect(answers.filter(({ status, isReplayed }) => status === 201 && !isReplayed)).toHaveLength(1);
    expect(answers.filter(({ status }) => status !== 201 && status !== 409)).toEqual([]);
    expect(await countOf('short_urls')).toBe(before + 1);
  });
});

describe('what is kept', () => {
  it('is forgotten after 24 hours', async () => {
    const [key, body] = [uniqueName(), bodies['/shorten']()];
    const first = await post('/shorten', key, body);
    await suite.database.query(
      "UPDATE idempotency_keys SET kept_at = now() - interval '23 hours 59 minutes'",
    );
    expect(await post('/shorten', key, body)).toEqual({ ...first, isReplayed: true });
    await suite.database.query("UPDATE idempotency_keys SET kept_at = now() - interval '24 hours'");
    const again = await post('/shorten', key, body);
    expect(again.isReplayed).toBe(false);
    expect(bodyOf(again, 201).short_code).not.toBe(bodyOf(first, 201).short_code);
    expect(await post('/shorten', key, body)).toEqual({ ...again, isReplayed: true });
  });

  it('shows neither the key nor the request', async () => {
    const [key, body] = [uniqueName(), { original_url: target(), password: uniqueName() }];
    await post('/urls', key, body);
    const rows = JSON.stringify(await suite.database.query('SELECT * FROM idempotency_keys'));
    expect(rows).not.toContain(key);
    expect(rows).not.toContain(body.password);
  });

  it('goes with the user', async () => {
    const { id } = await createUser(suite.server);
    const { id: other } = await createUser(suite.server);
    await suite.database.query('DELETE FROM idempotency_keys');
    const stays = { original_url: target(), user_id: other };
    const stayed = await post('/urls', 'stays', stays);
    await post('/urls', uniqueName(), { original_url: target(), user_id: id });
    await post('/urls/bulk', uniqueName(), { urls: [{ original_url: target(), user_id: id }] });
    await post('/events', uniqueName(), { event_type: 'seen', user_id: id });
    const made = await post('/users', uniqueName(), bodies['/users']());
    expect(await countOf('idempotency_keys')).toBe(5);
    await suite.server.fetch(`/users/${id}`, { method: 'DELETE' });
    expect(await countOf('idempotency_keys')).toBe(2);
    await suite.server.fetch(`/users/${bodyOf(made, 201).id}`, { method: 'DELETE' });
    expect(await countOf('idempotency_keys')).toBe(1);
    expect(await post('/urls', 'stays', stays)).toEqual({ ...stayed, isReplayed: true });
  });
});

it('a key of another API key is another', async () => {
  const database = await createDatabase();
  const server = await startServer({ DATABASE_URL: database.url, API_AUTH: 'on', ADMIN_KEY });
  try {
    const { client: one } = await makeKey(server, { scopes: ['links:create'] });
    const { client: other } = await makeKey(server, { scopes: ['links:create'] });
    const [key, body] = [uniqueName(), bodies['/shorten']()];
    const answers = [];
    for (const asked of [one, other, asKey(server, ADMIN_KEY)])
      answers.push(await post('/shorten', key, body, asked));
    expect(answers.map(({ status, isReplayed }) => [status, isReplayed])).toEqual(
      Array.from({ length: 3 }, () => [201, false]),
    );
    expect(new Set(answers.map((one) => bodyOf(one, 201).short_code)).size).toBe(3);
    expect(await post('/shorten', key, body, other)).toEqual({ ...answers[1], isReplayed: true });
  } finally {
    await server.stop();
    await database.drop();
  }
});
