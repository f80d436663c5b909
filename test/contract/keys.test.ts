import { beforeAll, describe, expect, it } from 'vitest';
import { keyScopes } from '../../src/api/key-scopes.js';
import { type RouteOf, routes } from '../../src/api/registry.js';
import type { RouteDeclaration } from '../../src/api/route.js';
import type { Url, User } from '../support/clients/answers.js';
import { type ApiClient, bodyOf, refusal } from '../support/clients/api-client.js';
import { ADMIN_KEY, asKey, makeKey, OPS_KEY } from '../support/clients/keys.js';
import { createDatabase } from '../support/database/database.js';
import { eventually } from '../support/machine/wait.js';
import { runServer, startServer } from '../support/server/server.js';
import { createUrl, createUser, uniqueName, useServer } from '../support/server/suite.js';

const suite = useServer({
  API_AUTH: 'on',
  ADMIN_KEY,
  OPS_KEY,
  GATEWAY_THREADS: '2',
  CHAOS_TOKEN: 'let me in',
  CALL_DEADLINE_MS: '10000',
});
let admin: ApiClient;

beforeAll(() => {
  admin = asKey(suite.server, ADMIN_KEY);
});

const unauthorized = { status: 401, body: { error: 'Unauthorized' } };
const forbidden = { status: 403, body: { error: 'Forbidden' } };
const timestamp = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$/);

describe('without a key', () => {
  const guarded = (routes as readonly RouteDeclaration[]).filter(({ scope }) => scope !== 'public');

  it.each(guarded.map(({ method, path }) => [method, path.replace(':id', '1')]))(
    '%s %s is 401',
    async (method, path) => {
      const response = await suite.server.fetch(path, { method });
      expect([response.status, await response.json()]).toEqual([401, { error: 'Unauthorized' }]);
      expect(response.headers.get('www-authenticate')).toBe('Bearer');
    },
  );

  it('redirects, health and chaos go on', async () => {
    const { server } = suite;
    const { short_code } = await createUrl(admin, { original_url: 'https://example.com/open' });
    for (const path of [`/${short_code}`, `/urls/${short_code}/redirect`]) {
      const response = await server.fetch(path);
      expect([response.status, response.headers.get('location')]).toEqual([302, 'https://example.com/open']);
    }
    expect((await server.fetch('/health')).status).toBe(200);
    expect((await server.fetch('/chaos')).status).toBe(401);
    expect((await server.fetch('/unknown-code')).status).toBe(404);
  });

  it.each([
    ['another key', { authorization: `Bearer sw_${'x'.repeat(43)}` }],
    ['no key at all', { authorization: 'Bearer ' }],
    ['another scheme', { authorization: `Basic ${ADMIN_KEY}` }],
    ['more than the key', { authorization: `Bearer ${ADMIN_KEY}x` }],
    ['a part of it', { 'x-api-key': ADMIN_KEY.slice(0, -1) }],
    ['bytes', { 'x-api-key': 'p\u00e4ss' }],
  ])('%s is 401', async (_, headers) => {
    expect(await suite.server.json('/urls', { headers })).toEqual(unauthorized);
  });
});

describe('ADMIN_KEY', () => {
  it.each([
    ['authorization', `Bearer ${ADMIN_KEY}`],
    ['authorization', `bearer  ${ADMIN_KEY}`],
    ['x-api-key', ADMIN_KEY],
  ])('is taken by %s: %s', async (name, value) => {
    for (const path of ['/urls', '/users', '/events', '/metrics', '/logs', '/keys'])
      expect((await suite.server.fetch(path, { headers: { [name]: value } })).status).toBe(200);
  });
});

describe('OPS_KEY', () => {
  it('is good for metrics and logs, and for nothing else', async () => {
    const ops = asKey(suite.server, OPS_KEY);
    for (const path of ['/metrics', '/logs']) expect((await ops.fetch(path)).status).toBe(200);
    for (const path of ['/urls', '/users', '/events', '/keys'])
      expect(await ops.json(path)).toEqual(forbidden);
    expect(await asKey(suite.server, `${OPS_KEY}x`).json('/logs')).toEqual(unauthorized);
  });
});

describe('POST /keys', () => {
  it('shows a key this once, and keeps its hash alone', async () => {
    const body = bodyOf(
      await admin.post('/keys', {
        name: ' ci ',
        scopes: ['users', 'links:read', 'users'],
      }),
      201,
    );
    const { key, ...shown } = body;
    expect(shown).toEqual({
      id: expect.any(Number),
      name: 'ci',
      prefix: key.slice(0, 11),
      scopes: ['links:read', 'users'],
      user_id: null,
      created_at: timestamp,
      last_used_at: null,
      expires_at: null,
    });
    expect(key).toMatch(/^sw_[\w-]{43}$/);
    const listed = await admin.get('/keys');
    expect(listed.find(({ id }) => id === shown.id)).toEqual(shown);
    expect(JSON.stringify(listed)).not.toContain(key);
    expect(await admin.json(`/keys/${shown.id}`)).toEqual({ status: 200, body: shown });
    const rows = await suite.database.query('SELECT * FROM api_keys');
    expect(JSON.stringify(rows)).not.toContain(key);
  });

  it.each([
    [{ scopes: ['users'] }, "'name' must be a string of 1 to 100 characters"],
    [{ name: '', scopes: ['users'] }, "'name' must be a string of 1 to 100 characters"],
    [{ name: 'x'.repeat(101), scopes: ['users'] }, "'name' must be a string of 1 to 100 characters"],
    [{ name: 'a' }, /^'scopes' must be an array of links:read/],
    [{ name: 'a', scopes: [] }, /^'scopes' must/],
    [{ name: 'a', scopes: 'users' }, /^'scopes' must/],
    [{ name: 'a', scopes: ['public'] }, /^'scopes' must/],
    [{ name: 'a', scopes: ['users'], user_id: 'x' }, "'user_id' must be an integer"],
    [{ name: 'a', scopes: ['users'], expires_at: 'soon' }, "'expires_at' must be an ISO 8601 time"],
    [{}, 'Invalid JSON'],
  ])('refuses %j', async (fields, error) => {
    expect(refusal(await admin.post('/keys', fields))).toEqual([
      400,
      typeof error === 'string' ? error : expect.stringMatching(error),
    ]);
  });

  it('knows no such user', async () => {
    const fields = { name: 'a', scopes: ['users'], user_id: 2147483646 };
    expect(await admin.post('/keys', fields)).toEqual({ status: 404, body: { error: 'User not found' } });
  });
});

describe('a scope', () => {
  const requests = {
    'links:read': ['GET', '/urls'],
    'links:create': ['POST', '/shorten'],
    'links:write': ['DELETE', '/urls/2147483646'],
    users: ['GET', '/users'],
    events: ['GET', '/events'],
    ops: ['GET', '/metrics'],
    admin: ['GET', '/keys'],
  } as const;

  it.each(Object.keys(requests) as (keyof typeof requests)[])(
    '%s opens its own routes only',
    async (scope) => {
      const { client } = await makeKey(suite.server, { scopes: [scope] });
      for (const [other, [method, path]] of Object.entries(requests)) {
        const { status } = await client.fetch(path, { method });
        if (scope === 'admin' || scope === other) expect([401, 403]).not.toContain(status);
        else expect(status).toBe(403);
      }
    },
  );

  it('is declared by every route, and every scope of keys is one', () => {
    const declared = new Set((routes as readonly RouteDeclaration[]).map(({ scope }) => scope));
    expect([...declared].filter((scope) => scope !== 'public' && !keyScopes.includes(scope))).toEqual([]);
    const shorten: RouteOf<'createLink'>['scope'] = 'links:create';
    expect(declared.has(shorten)).toBe(true);
  });

  it('of a body that is refused is asked for first', async () => {
    const { client } = await makeKey(suite.server, { scopes: ['links:read'] });
    expect(await client.post('/urls', 'rubbish')).toEqual(forbidden);
    expect(await client.post('/users', { username: uniqueName(), email: 'a@example.com' })).toEqual(
      forbidden,
    );
  });
});

describe('a key', () => {
  it('is 401 after its end, and when it is deleted', async () => {
    const past = await makeKey(suite.server, { scopes: ['users'], expires_at: '2020-01-01T00:00:00Z' });
    expect(await past.client.json('/users')).toEqual(unauthorized);
    const { client, id } = await makeKey(suite.server, { scopes: ['users'] });
    for (let turn = 0; turn < 6; turn += 1) expect((await client.json('/users')).status).toBe(200);
    expect((await admin.fetch(`/keys/${id}`, { method: 'DELETE' })).status).toBe(204);
    for (let turn = 0; turn < 6; turn += 1) expect(await client.json('/users')).toEqual(unauthorized);
    const gone = { status: 404, body: { error: 'Key not found' } };
    expect(await admin.json(`/keys/${id}`, { method: 'DELETE' })).toEqual(gone);
    expect(await admin.json(`/keys/${id}`)).toEqual(gone);
    expect(await admin.json('/keys/99999999999999999999', { method: 'DELETE' })).toEqual(gone);
    expect((await admin.json('/keys/abc', { method: 'DELETE' })).status).toBe(404);
  });

  it('that was tried before it was there is known once it is', async () => {
    const { key, id } = await makeKey(suite.server, { scopes: ['users'] });
    await suite.database.query('UPDATE api_keys SET scopes = $1 WHERE id = $2', [['events'], id]);
    const client = asKey(suite.server, key);
    await eventually(async () => (await client.json('/users')).status === 403);
    expect((await client.json('/events')).status).toBe(200);
  });

  it('says when it was used last, at most once a minute', async () => {
    const { client, id } = await makeKey(suite.server, { scopes: ['users'] });
    const usedAt = async (): Promise<string | undefined> =>
      (await admin.get('/keys')).find((one) => one.id === id)?.last_used_at ?? undefined;
    expect(await usedAt()).toBeUndefined();
    await client.json('/users');
    expect(await eventually(usedAt)).toEqual(timestamp);
    const writes = async (): Promise<unknown> =>
      (await suite.database.query('SELECT xmin::text FROM api_keys WHERE id = $1', [id]))[0];
    const before = await writes();
    for (let turn = 0; turn < 12; turn += 1) await client.json('/users');
    expect(await writes()).toEqual(before);
  });

  it('lets an upload in, and keeps one out, before it is cached', async () => {
    const form = (): FormData => {
      const body = new FormData();
      body.append('file', new Blob([`username,email\n${uniqueName()},a@example.com\n`]), 'users.csv');
      return body;
    };
    const { client } = await makeKey(suite.server, { scopes: ['users'] });
    const post = (one: ApiClient) => one.json('/users/bulk', { method: 'POST', body: form() });
    expect(await post(client)).toEqual({ status: 201, body: { imported: 1 } });
    expect(await post((await makeKey(suite.server, { scopes: ['events'] })).client)).toEqual(forbidden);
    expect(await post(asKey(suite.server, `sw_${'y'.repeat(43)}`))).toEqual(unauthorized);
  });

  it('of a user imports links of that user alone', async () => {
    const [mine, other] = [await createUser(admin), await createUser(admin)];
    const foreign = await createUrl(admin, {
      original_url: 'https://example.com/foreign',
      user_id: other.id,
    });
    const { client } = await makeKey(suite.server, {
      scopes: ['links:create', 'links:write', 'links:read'],
      user_id: mine.id,
    });
    const code = uniqueName('own');
    const rows = [
      'short_code,original_url,user_id',
      `${code},https://example.com/1,`,
      `,https://example.com/2,${other.id}`,
      `${foreign.short_code},https://example.com/3,`,
    ];
    const body = new FormData();
    body.append('file', new Blob([rows.join('\n')]), 'links.csv');
    const answer = await client.json('/urls/import?on_conflict=update', { method: 'POST', body });
    expect(answer.body).toMatchObject({
      imported: 1,
      updated: 0,
      failed: 2,
      errors: [
        { line: 3, error: 'User not found' },
        { line: 4, error: 'Short code already taken' },
      ],
    });
    const found = await client.get('/urls');
    expect(found).toEqual([expect.objectContaining({ short_code: code, user_id: mine.id })]);
    expect((await admin.json(`/urls/${foreign.id}`)).body).toMatchObject({
      original_url: 'https://example.com/foreign',
      user_id: other.id,
    });
  });

  it('of a user learns of a code that it may not see that it is taken, and nothing more', async () => {
    const [mine, other] = [await createUser(admin), await createUser(admin)];
    const foreign = await createUrl(admin, { original_url: 'https://example.com/theirs', user_id: other.id });
    const nobodys = await createUrl(admin, { original_url: 'https://example.com/nobodys' });
    const { client } = await makeKey(suite.server, {
      scopes: ['links:create', 'links:write', 'links:read'],
      user_id: mine.id,
    });
    const codes = [foreign.short_code, nobodys.short_code];
    const imported = async (
      query: string,
      header: string,
      row: (code: string) => string,
    ): Promise<unknown> => {
      const body = new FormData();
      body.append('file', new Blob([[header, ...codes.map(row)].join('\n')]), 'links.csv');
      return (await client.json(`/urls/import?${query}`, { method: 'POST', body })).body;
    };
    const withTarget = (code: string): string => `${code},https://example.com/mine`;
    const taken = (error: string): unknown => ({
      imported: 0,
      updated: 0,
      skipped: 0,
      failed: 2,
      errors: [2, 3].map((line) => ({ line, error })),
    });
    for (const dry of ['', '&dry_run=true']) {
      expect(await imported(`on_conflict=skip${dry}`, 'short_code,original_url', withTarget)).toEqual({
        imported: 0,
        updated: 0,
        skipped: 2,
        failed: 0,
        errors: [],
      });
      for (const rule of ['fail', 'update'])
        expect(await imported(`on_conflict=${rule}${dry}`, 'short_code,original_url', withTarget)).toEqual(
          taken('Short code already taken'),
        );
    }
    // Without a target the answer is that of a code that nobody has.
    const titleOf = (code: string): string => `${code},changed`;
    const unseen = await imported('on_conflict=update', 'short_code,title', titleOf);
    codes.splice(0, 2, uniqueName('free'), uniqueName('free'));
    expect(await imported('on_conflict=update', 'short_code,title', titleOf)).toEqual(unseen);
    for (const link of [foreign, nobodys]) expect((await admin.json(`/urls/${link.id}`)).body).toEqual(link);
    for (const short_code of [foreign.short_code, nobodys.short_code]) {
      const create = { original_url: 'https://example.com/mine', short_code };
      const refused = { status: 409, body: { error: 'Short code already taken' } };
      expect(await client.post('/urls', create)).toEqual(refused);
      expect(await client.post('/shorten', { url: create.original_url, short_code })).toEqual(refused);
      const bulk = bodyOf(await client.post('/urls/bulk', { urls: [create] }), 200);
      expect(bulk.results).toEqual([{ index: 0, status: 409, error: 'Short code already taken' }]);
      expect((await client.json(`/urls?short_code=${short_code}`)).body).toEqual([]);
    }
    expect((await client.json('/urls')).body).toEqual([]);
  });

  it('is in no log line and in no metric', async () => {
    const { client, key } = await makeKey(suite.server, { scopes: ['users', 'ops'] });
    await client.json('/users');
    const wrong = `sw_${'z'.repeat(43)}`;
    await asKey(suite.server, wrong).json('/users');
    const texts = [
      await (await client.fetch('/metrics')).text(),
      await (await client.fetch('/logs?limit=200')).text(),
      suite.server.banner(),
      JSON.stringify(suite.server.logs),
    ];
    for (const text of texts) {
      for (const secret of [key, ADMIN_KEY, wrong]) expect(text).not.toContain(secret);
    }
  });
});

describe('a key of a user', () => {
  let owner: User;
  let other: User;
  let client: ApiClient;
  let own: Url;
  let foreign: Url;

  beforeAll(async () => {
    owner = await createUser(admin);
    other = await createUser(admin);
    client = (await makeKey(suite.server, { scopes: ['admin'], user_id: owner.id })).client;
    own = await createUrl(client, { original_url: 'https://example.com/own' });
    foreign = await createUrl(admin, { original_url: 'https://example.com/foreign', user_id: other.id });
  });

  it('makes links of that user', async () => {
    expect(own.user_id).toBe(owner.id);
    const body = bodyOf(await client.post('/shorten', { url: 'https://example.com/short' }), 201);
    expect((await admin.json(`/urls/${body.id}`)).body).toMatchObject({
      user_id: owner.id,
    });
    const forAnother = { original_url: 'https://example.com', user_id: other.id };
    expect(await client.post('/urls', forAnother)).toEqual({
      status: 404,
      body: { error: 'User not found' },
    });
    const itself = { original_url: 'https://example.com', user_id: owner.id };
    expect((await client.post('/urls', itself)).status).toBe(201);
  });

  it('sees no other links, in lists and by id, and can’t touch them', async () => {
    const notFound = { status: 404, body: { error: 'URL not found' } };
    const listed = await client.get('/urls');
    expect(listed.map(({ id }) => id)).toContain(own.id);
    expect(new Set(listed.map(({ user_id }) => user_id))).toEqual(new Set([owner.id]));
    expect((await client.json(`/urls?user_id=${other.id}`)).body).toEqual([]);
    expect((await client.json(`/urls?user_id=${owner.id}`)).body).toEqual(listed);
    expect((await client.json('/urls?page=1&per_page=5000')).body).toEqual(listed);
    expect((await client.json(`/urls/${own.id}`)).status).toBe(200);
    expect(await client.json(`/urls/${foreign.id}`)).toEqual(notFound);
    expect(await client.json(`/urls/${foreign.id}/qr`)).toEqual(notFound);
    expect((await client.fetch(`/urls/${own.id}/qr`)).status).toBe(200);
    for (const method of ['PUT', 'PATCH'])
      expect(await client.send(method, `/urls/${foreign.id}`, { title: 'mine' })).toEqual(notFound);
    expect(await client.json(`/urls/${foreign.id}`, { method: 'DELETE' })).toEqual(notFound);
    expect((await admin.json(`/urls/${foreign.id}`)).body).toEqual(foreign);
  });

  it('makes, changes and deletes many of its own only', async () => {
    const urls = [
      { original_url: 'https://example.com/1' },
      { original_url: 'https://a.example', user_id: other.id },
    ];
    const made = bodyOf(await client.post('/urls/bulk', { urls }), 200);
    expect(made.results.map((one) => one.status)).toEqual([201, 404]);
    expect(made.results[0]?.url?.user_id).toBe(owner.id);
    expect(made.results[1]?.error).toBe('User not found');
    const ids = [made.results[0]?.url?.id, foreign.id];
    const changed = await client.send('PATCH', '/urls/bulk', { ids, set: { title: 'mine' } });
    expect(changed.body).toMatchObject({
      updated: 1,
      failed: 1,
      results: [{ status: 200 }, { status: 404 }],
    });
    const gone = await client.send('DELETE', '/urls/bulk', { ids });
    expect(gone.body).toMatchObject({ deleted: 1, failed: 1, results: [{ status: 204 }, { status: 404 }] });
    expect((await admin.json(`/urls/${foreign.id}`)).body).toEqual(foreign);
  });

  it('learns of a code that is taken nothing but that', async () => {
    const fields = { original_url: foreign.original_url, short_code: foreign.short_code };
    const taken = { status: 409, body: { error: 'Short code already taken' } };
    expect(await client.post('/urls', fields)).toEqual(taken);
    const found = await client.post('/urls', { original_url: foreign.original_url, find_if_exists: true });
    expect(bodyOf(found, 201).user_id).toBe(owner.id);
  });

  it('sees the events on its links only', async () => {
    const notFound = { status: 404, body: { error: 'Event not found' } };
    const byOther = { event_type: 'note', url_id: own.id, user_id: other.id };
    const noted = bodyOf(await admin.post('/events', byOther), 201);
    const ofAnother = { event_type: 'note', url_id: foreign.id, user_id: owner.id };
    const hidden = bodyOf(await admin.post('/events', ofAnother), 201);
    const listed = await client.get('/events');
    const ids = listed.map(({ id }) => id);
    expect(ids).toContain(noted.id);
    expect(ids).not.toContain(hidden.id);
    expect((await client.json('/events?page=1&per_page=5000')).body).toEqual(listed);
    expect((await client.json('/events?limit=1000')).body).toEqual(listed);
    const ofOwner = `/events?user_id=${owner.id}&limit=1000`;
    expect((await client.json(ofOwner)).body).toEqual(listed.filter(({ user_id }) => user_id === owner.id));
    expect((await client.json('/events?event_type=click&limit=1000')).body).toEqual([]);
    expect((await client.json(`/events?url_id=${foreign.id}`)).body).toEqual([]);
    expect((await client.json(`/events/${noted.id}`)).body).toEqual(noted);
    expect(await client.json(`/events/${hidden.id}`)).toEqual(notFound);
    expect(await client.json(`/events/${hidden.id}`, { method: 'DELETE' })).toEqual(notFound);
    expect((await admin.json(`/events/${hidden.id}`)).status).toBe(200);
    expect((await client.fetch(`/events/${noted.id}`, { method: 'DELETE' })).status).toBe(204);
  });

  it('makes events on its links, of that user', async () => {
    const noUrl = { status: 404, body: { error: 'URL not found' } };
    const made = await client.post('/events', { event_type: 'note', url_id: own.id });
    expect(made).toMatchObject({ status: 201, body: { user_id: owner.id, url_id: own.id } });
    expect(await client.post('/events', { event_type: 'note', url_id: foreign.id })).toEqual(noUrl);
    expect(await client.post('/events', { event_type: 'click', url_id: foreign.id })).toEqual(noUrl);
    expect(await client.post('/events', { event_type: 'note' })).toEqual(noUrl);
    const asOther = { event_type: 'note', url_id: own.id, user_id: other.id };
    expect(await client.post('/events', asOther)).toEqual({ status: 404, body: { error: 'User not found' } });
  });

  it('sees and changes that user alone, and makes none', async () => {
    const notFound = { status: 404, body: { error: 'User not found' } };
    expect((await client.json('/users')).body).toEqual([owner]);
    expect((await client.json(`/users/${owner.id}`)).body).toEqual(owner);
    expect(await client.json(`/users/${other.id}`)).toEqual(notFound);
    expect(await client.send('PUT', `/users/${other.id}`, { email: 'b@example.com' })).toEqual(notFound);
    expect(await client.json(`/users/${other.id}`, { method: 'DELETE' })).toEqual(notFound);
    expect(await client.post('/users', { username: uniqueName(), email: 'a@example.com' })).toEqual(
      forbidden,
    );
    expect(await client.json('/users/bulk', { method: 'POST', body: new FormData() })).toEqual(forbidden);
  });

  it('makes no keys, and sees nothing of the server', async () => {
    expect(await client.json('/keys')).toEqual(forbidden);
    expect(await client.post('/keys', { name: 'mine', scopes: ['admin'] })).toEqual(forbidden);
    expect(await client.json('/logs')).toEqual(forbidden);
    expect(await client.json('/metrics')).toEqual(forbidden);
  });

  it.each([
    ['DELETE /users/<id>', (id: number) => admin.fetch(`/users/${id}`, { method: 'DELETE' })],
    ['a DELETE by hand', (id: number) => suite.database.query('DELETE FROM users WHERE id = $1', [id])],
  ])('dies with the user: %s', async (_, remove) => {
    const { id } = await createUser(admin);
    const doomed = await makeKey(suite.server, { scopes: ['users'], user_id: id });
    expect((await doomed.client.json('/users')).status).toBe(200);
    await remove(id);
    expect(await suite.database.query('SELECT FROM api_keys WHERE id = $1', [doomed.id])).toEqual([]);
    const start = performance.now();
    await eventually(async () => (await doomed.client.json('/users')).status === 401);
    expect(performance.now() - start).toBeLessThan(1000);
  });
});

describe('a TRUNCATE by hand', () => {
  it('takes the keys of users along, and no others', async () => {
    const database = await createDatabase();
    await database.query(
      `INSERT INTO api_keys (name, prefix, key_hash, scopes, user_id)
       VALUES ('a', 'sw_', '\\x01', '{users}', 1), ('b', 'sw_', '\\x02', '{users}', NULL)`,
    );
    await database.query('TRUNCATE users CASCADE');
    expect(await database.query('SELECT name FROM api_keys')).toEqual([{ name: 'b' }]);
    await database.drop();
  });
});

describe('API_AUTH', () => {
  it('off: only /keys wants a key', async () => {
    const database = await createDatabase();
    const server = await startServer({ DATABASE_URL: database.url, ADMIN_KEY });
    expect((await server.json('/urls')).status).toBe(200);
    expect(await server.json('/keys')).toEqual(unauthorized);
    const { client } = await makeKey(server, { scopes: ['users'] });
    expect(await client.json('/keys')).toEqual(forbidden);
    expect((await client.json('/urls')).status).toBe(200);
    const second = await makeKey(server, { scopes: ['admin'] });
    expect((await second.client.json('/keys')).status).toBe(200);
    await server.stop();
    await database.drop();
  });

  it('on, without ADMIN_KEY and without an admin key in the database: the start is refused in one line', async () => {
    const database = await createDatabase();
    const environment = { DATABASE_URL: database.url, API_AUTH: 'on' };
    expect(await runServer(environment)).toEqual({
      code: 2,
      stderr: 'switchyard: API_AUTH=on needs ADMIN_KEY, or a key with scope admin in the database\n',
    });
    const first = await startServer({ ...environment, ADMIN_KEY });
    const { key } = await makeKey(first, { scopes: ['admin'] });
    await first.stop();
    const second = await startServer(environment);
    expect((await asKey(second, key).json('/keys')).status).toBe(200);
    expect(second.banner()).not.toContain('warning');
    await second.stop();
    await database.drop();
  });

  it('and ADMIN_KEY are checked, and a bad ADMIN_KEY is not shown', async () => {
    const { code, stderr } = await runServer({ ADMIN_KEY: 'much too short' });
    expect(code).toBe(2);
    expect(stderr).toContain('ADMIN_KEY must be 24 to 200 printable ASCII characters');
    expect(stderr).not.toContain('much too short');
    expect((await runServer({ API_AUTH: 'maybe' })).code).toBe(2);
  });
});
