import { describe, expect, it } from 'vitest';
import { bodyOf } from '../support/clients/api-client.js';
import { click, createUrl, createUser, uniqueName, useServer } from '../support/server/suite.js';

const suite = useServer();
const timestamp = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$/);

describe('POST /users', () => {
  it('creates a user, with username and e-mail trimmed', async () => {
    const { status, body } = await suite.server.post('/users', {
      username: '  ada ',
      email: ' ada@example.com\n',
    });
    expect(status).toBe(201);
    expect(body).toEqual({
      id: expect.any(Number),
      username: 'ada',
      email: 'ada@example.com',
      created_at: timestamp,
    });
  });

  it.each([
    ['absent', {}],
    ['blank', { username: '   ' }],
    ['a number', { username: 7 }],
    ['null', { username: null }],
    ['an object', { username: { a: 1 } }],
    ['101 characters', { username: 'x'.repeat(101) }],
    ['with a NUL', { username: 'a\0b' }],
    ['with half a surrogate pair', { username: 'a\ud800b' }],
  ])('refuses a username that is %s', async (_, fields) => {
    const { status, body } = await suite.server.post('/users', { email: 'a@example.com', ...fields });
    expect(status).toBe(400);
    expect(body).toEqual({ error: 'Invalid or missing username' });
  });

  it.each([
    ['absent', {}],
    ['blank', { email: ' ' }],
    ['without @', { email: 'ada.example.com' }],
    ['a list', { email: ['a@example.com'] }],
    ['256 characters', { email: `${'x'.repeat(244)}@example.com` }],
    ['with a NUL', { email: 'a\0@example.com' }],
    ['an @ alone', { email: '@' }],
    ['without a name', { email: '@example.com' }],
    ['without a host', { email: 'a@' }],
    ['of two lines', { email: 'a@example.com\nb' }],
  ])('refuses an e-mail that is %s', async (_, fields) => {
    const { status, body } = await suite.server.post('/users', { username: uniqueName(), ...fields });
    expect(status).toBe(400);
    expect(body).toEqual({ error: 'Invalid or missing email' });
  });

  it('refuses a username with a line break, in a change too', async () => {
    const { server } = suite;
    const made = await server.post('/users', { username: `${uniqueName()}\u2028x`, email: 'a@example.com' });
    expect(made).toEqual({ status: 400, body: { error: 'Invalid or missing username' } });
    const { id } = await createUser(server);
    for (const [change, error] of [
      [{ username: `a\r\n${uniqueName()}` }, 'Invalid username'],
      [{ email: '@' }, 'Invalid email'],
    ] as const) {
      expect(await server.send('PUT', `/users/${id}`, change)).toEqual({ status: 400, body: { error } });
    }
  });

  it('takes names at their full length, counted in characters', async () => {
    const username = `${'ü'.repeat(60)}${'🚦'.repeat(40)}`;
    const email = `${'x'.repeat(243)}@example.com`;
    const { status, body } = await suite.server.post('/users', { username, email });
    expect(status).toBe(201);
    expect(body).toMatchObject({ username, email });
  });

  it('stores SQL, quotes and Unicode as they are', async () => {
    const username = `Robert'); DROP TABLE users;-- "\\ 漢字 ${uniqueName()}`;
    const body = bodyOf(await suite.server.post('/users', { username, email: 'o\'brien"@example.com' }), 201);
    const { id } = body;
    expect((await suite.server.json(`/users/${id}`)).body).toMatchObject({
      username,
      email: 'o\'brien"@example.com',
    });
  });

  it('refuses a username that is taken', async () => {
    const { username } = await createUser(suite.server);
    const { status, body } = await suite.server.post('/users', { username, email: 'other@example.com' });
    expect(status).toBe(409);
    expect(body).toEqual({ error: 'Username already exists' });
  });
});

describe('GET /users', () => {
  it('lists in ascending order of ids', async () => {
    const first = await createUser(suite.server);
    const second = await createUser(suite.server);
    const body = await suite.server.get('/users');
    const ids = body.map((user) => user.id);
    expect(ids).toEqual([...ids].sort((a, b) => a - b));
    expect(ids).toEqual(expect.arrayContaining([first.id, second.id]));
    expect(body.find((user) => user.id === first.id)).toEqual(first);
  });
});

describe('GET /users/<id>', () => {
  it('gives the user', async () => {
    const user = await createUser(suite.server);
    expect(await suite.server.json(`/users/${user.id}`)).toEqual({ status: 200, body: user });
    expect(await suite.server.json(`/users/000${user.id}`)).toEqual({ status: 200, body: user });
  });

  it.each(['2147483646', '9223372036854775807', '9223372036854775808', '1'.repeat(40)])(
    'knows no user %s',
    async (id) => {
      expect(await suite.server.json(`/users/${id}`)).toEqual({
        status: 404,
        body: { error: 'User not found' },
      });
    },
  );

  it.each(['abc', '-1', '1.5', '1e3', '%31x', '0x10'])('has no route for the id %s', async (id) => {
    expect(await suite.server.json(`/users/${id}`)).toEqual({
      status: 404,
      body: { error: 'Not found', status: 404 },
    });
  });
});

describe('PUT /users/<id>', () => {
  it('changes only what is given', async () => {
    const user = await createUser(suite.server);
    const email = 'new@example.com';
    expect(await suite.server.send('PUT', `/users/${user.id}`, { email: ` ${email} ` })).toEqual({
      status: 200,
      body: { ...user, email },
    });
    const username = uniqueName('renamed');
    expect(await suite.server.send('PUT', `/users/${user.id}`, { username })).toEqual({
      status: 200,
      body: { ...user, email, username },
    });
    expect(await suite.server.send('PUT', `/users/${user.id}`, { unknown: 1 })).toEqual({
      status: 200,
      body: { ...user, email, username },
    });
  });

  it.each([
    [{ username: '' }, 'Invalid username'],
    [{ username: null }, 'Invalid username'],
    [{ username: 'x'.repeat(101) }, 'Invalid username'],
    [{ email: 'nobody' }, 'Invalid email'],
    [{ email: 5 }, 'Invalid email'],
    [{}, 'Invalid JSON'],
    ['[]', 'Invalid JSON'],
    ['{"username":', 'Invalid JSON'],
  ])('refuses %j', async (fields, error) => {
    const user = await createUser(suite.server);
    expect(await suite.server.send('PUT', `/users/${user.id}`, fields)).toEqual({
      status: 400,
      body: { error },
    });
  });

  it('refuses the username of another user, and takes the own again', async () => {
    const one = await createUser(suite.server);
    const other = await createUser(suite.server);
    expect(await suite.server.send('PUT', `/users/${one.id}`, { username: other.username })).toEqual({
      status: 409,
      body: { error: 'Username already exists' },
    });
    expect(await suite.server.send('PUT', `/users/${one.id}`, { username: one.username })).toEqual({
      status: 200,
      body: one,
    });
  });

  it('knows no such user', async () => {
    const { status, body } = await suite.server.send('PUT', '/users/2147483646', { email: 'a@example.com' });
    expect([status, body]).toEqual([404, { error: 'User not found' }]);
  });
});

describe('DELETE /users/<id>', () => {
  it('takes along their links, all events on those and their own events', async () => {
    const { server, database } = suite;
    const doomed = await createUser(server);
    const witness = await createUser(server);
    const own = await createUrl(server, { user_id: doomed.id });
    const others = await createUrl(server, { user_id: witness.id });
    await click(server, own.short_code);
    await click(server, others.short_code);
    await server.post('/events', { event_type: 'note', url_id: own.id, user_id: witness.id });
    await server.post('/events', { event_type: 'note', url_id: others.id, user_id: doomed.id });
    await server.post('/events', { event_type: 'click', url_id: others.id, user_id: doomed.id });
    expect((await server.json(`/urls/${others.id}`)).body).toMatchObject({ click_count: 2 });

    const response = await server.fetch(`/users/${doomed.id}`, { method: 'DELETE' });
    expect(response.status).toBe(204);
    expect(await response.text()).toBe('');

    expect((await server.json(`/users/${doomed.id}`)).status).toBe(404);
    expect((await server.json(`/urls/${own.id}`)).status).toBe(404);
    expect((await server.fetch(`/${own.short_code}`)).status).toBe(404);
    expect(
      await database.query('SELECT id FROM events WHERE url_id = $1 OR user_id = $2', [own.id, doomed.id]),
    ).toEqual([]);
    const left = await server.get(`/events?url_id=${others.id}`);
    expect(left.map((event) => [event.event_type, event.user_id])).toEqual([
      ['click', witness.id],
      ['created', witness.id],
    ]);
    expect((await server.json(`/urls/${others.id}`)).body).toMatchObject({ click_count: 1 });
  });

  it('knows no such user', async () => {
    const user = await createUser(suite.server);
    expect((await suite.server.fetch(`/users/${user.id}`, { method: 'DELETE' })).status).toBe(204);
    const { status, body } = await suite.server.json(`/users/${user.id}`, { method: 'DELETE' });
    expect([status, body]).toEqual([404, { error: 'User not found' }]);
  });
});
