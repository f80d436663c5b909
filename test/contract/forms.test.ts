import { describe, expect, it } from 'vitest';
import { bodyOf } from '../support/clients/api-client.js';
import { sendRaw } from '../support/clients/raw-http.js';
import { click, createUrl, createUser, uniqueName, useServer } from '../support/server/suite.js';

/** What the contract leaves to the forms that HTTP and JSON allow. */
const suite = useServer({ BASE_URL: 'https://short.example/go/' });

describe('HEAD', () => {
  it('answers as GET does, without a body', async () => {
    const { server } = suite;
    const user = await createUser(server);
    const url = await createUrl(server);
    const event = bodyOf(await server.post('/events', { event_type: 'once' }), 201);
    for (const path of [
      '/health',
      '/logs?limit=1&filter=listening',
      '/chaos',
      '/users?page=1&per_page=1',
      `/users/${user.id}`,
      `/urls/${url.id}`,
      `/events/${event.id}`,
      '/users/2147483646',
      '/users/abc',
      '/users/bulk',
      '/shorten',
      '/NoSuchCode',
      `/${url.short_code}`,
      `/urls/${url.short_code}/redirect`,
      '/',
      '/a/b',
    ]) {
      const get = await server.fetch(path);
      const head = await server.fetch(path, { method: 'HEAD' });
      expect([path, head.status, await head.text()]).toEqual([path, get.status, '']);
      for (const name of ['content-type', 'content-length', 'location', 'allow']) {
        expect([path, name, head.headers.get(name)]).toEqual([path, name, get.headers.get(name)]);
      }
      await get.arrayBuffer();
    }
  });
});

describe('a redirect', () => {
  it('is the same whatever the query', async () => {
    const url = await createUrl(suite.server, { original_url: 'https://example.com/?own=1' });
    for (const query of ['?', '?a=b&c', '?x=%zz', `?${'q'.repeat(2000)}`]) {
      expect(await click(suite.server, url.short_code + query)).toBe('https://example.com/?own=1');
    }
    const { body } = await suite.server.json(`/events?url_id=${url.id}&event_type=click`);
    expect(body).toHaveLength(4);
  });

  it('is of a code, not of a path that resembles one', async () => {
    const url = await createUrl(suite.server);
    for (const path of [`//${url.short_code}`, `/./${url.short_code}`, `/urls/${url.id}/redirect`]) {
      const { status } = await sendRaw(suite.server.port, `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`);
      expect([path, status]).toEqual([path, 404]);
    }
    const { body } = await suite.server.json(`/events?url_id=${url.id}&event_type=click`);
    expect(body).toEqual([]);
  });
});

describe('an id', () => {
  it.each([
    ['/users/99999999999999999999', 'User not found'],
    ['/urls/9223372036854775808', 'URL not found'],
    ['/events/9223372036854775808', 'Event not found'],
  ])('beyond 64 bits is unknown to every method: %s', async (path, error) => {
    const methods = path.startsWith('/events') ? ['GET', 'DELETE'] : ['GET', 'PUT', 'DELETE'];
    for (const method of methods) {
      const { status, body } = await (method === 'PUT'
        ? suite.server.send(method, path, { email: 'a@example.com', title: 'x' })
        : suite.server.json(path, { method }));
      expect([method, status, body]).toEqual([method, 404, { error }]);
    }
  });

  it('in a body is an integer however it is written', async () => {
    const { server } = suite;
    const { id } = await createUser(server);
    for (const text of [`${id}`, `${id}.0`, `${id}e0`, `${id * 10}E-1`]) {
      const answer = await server.post('/urls', `{"original_url":"https://example.com","user_id":${text}}`);
      expect([text, bodyOf(answer, 201).user_id]).toEqual([text, id]);
    }
    for (const text of ['true', 'false', `"${id}"`, `${id}.5`, '1e400', `[${id}]`]) {
      const { status, body } = await server.post(
        '/urls',
        `{"original_url":"https://example.com","user_id":${text}}`,
      );
      expect([text, status, body]).toEqual([text, 400, { error: "'user_id' must be an integer" }]);
    }
    for (const text of ['true', '"1"', '1.5']) {
      const { status, body } = await server.post('/events', `{"event_type":"x","url_id":${text}}`);
      expect([text, status, body]).toEqual([text, 400, { error: "'url_id' must be an integer" }]);
    }
    const absent = await server.post('/urls', { original_url: 'https://example.com', user_id: null });
    expect(absent.body).toMatchObject({ user_id: null });
  });
});

describe('a JSON body', () => {
  it('with a member twice means the last one', async () => {
    const answer = await suite.server.post(
      '/shorten',
      '{"url":"https://example.com/first","url":"https://example.com/last"}',
    );
    expect(bodyOf(answer, 201).original_url).toBe('https://example.com/last');
  });

  it('may be announced, and sent once it is asked for', async () => {
    const body = '{"url":"https://example.com"}';
    const head = `POST /shorten HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: ${body.length}\r\n\r\n`;
    expect((await sendRaw(suite.server.port, head + body)).status).toBe(201);
  });

  it('has members that are nobody’s business', async () => {
    const { server } = suite;
    const body = bodyOf(
      await server.post('/users', {
        id: 4711,
        username: uniqueName(),
        email: 'a@b',
        created_at: '2000-01-01T00:00:00',
      }),
      201,
    );
    expect(body).toMatchObject({ email: 'a@b', created_at: expect.stringMatching(/^20[2-9]/) });
    expect(body.id).not.toBe(4711);
  });
});

describe('texts', () => {
  it('are kept as they are, at their full length', async () => {
    const { server } = suite;
    const title = `${'ü'.repeat(200)}${'🚦'.repeat(55)}`;
    const url = await createUrl(server, { title });
    expect((await server.json(`/urls/${url.id}`)).body).toMatchObject({ title });
    const type = ' two  words ';
    const event = bodyOf(await server.post('/events', { event_type: type }), 201);
    expect(event.event_type).toBe(type);
    const found = await server.get(`/events?event_type=${encodeURIComponent(type)}`);
    expect(found.map(({ id }) => id)).toEqual([event.id]);
    const target = `HTTPS://EXAMPLE.com/${'x'.repeat(8172)}`;
    expect((await server.post('/shorten', { url: target })).body).toMatchObject({ original_url: target });
    expect((await server.post('/shorten', { url: `${target}x` })).status).toBe(400);
  });

  it('of usernames are the same whatever surrounds them', async () => {
    const { server } = suite;
    const { username } = await createUser(server);
    const { status } = await server.post('/users', { username: ` ${username}\t`, email: 'a@example.com' });
    expect(status).toBe(409);
  });
});

describe('POST /shorten', () => {
  it('gives the short URL under BASE_URL, and makes a created event', async () => {
    const { server, database } = suite;
    const body = bodyOf(await server.post('/shorten', { url: 'https://example.com/event' }), 201);
    const { short_code: code } = body;
    expect(body).toMatchObject({ short_url: `https://short.example/go/${code}` });
    const [row] = await database.query<{ id: string }>('SELECT id FROM short_urls WHERE short_code = $1', [
      code,
    ]);
    const events = await server.get(`/events?url_id=${row?.id}`);
    expect(events.map(({ event_type: type, user_id: user, details }) => [type, user, details])).toEqual([
      ['created', null, { short_code: code, original_url: 'https://example.com/event' }],
    ]);
  });
});

describe('GET /chaos', () => {
  it('is refused to everybody where no token is set', async () => {
    for (const token of ['', 'undefined', 'null']) {
      const headers = { 'x-chaos-token': token };
      expect(await suite.server.json('/chaos', { headers })).toEqual({
        status: 401,
        body: { error: 'Unauthorized' },
      });
    }
  });
});

describe('what goes wrong within', () => {
  it('is a 500 that tells nothing, and a line in the log with its SQLSTATE', async () => {
    const { server, database } = suite;
    await database.query('ALTER TABLE users RENAME email TO mail');
    const { status, body } = await server.json('/users/1', { headers: { 'x-request-id': 'broken-within' } });
    await database.query('ALTER TABLE users RENAME mail TO email');
    expect([status, body]).toEqual([500, { error: 'Internal server error', status: 500 }]);
    await expect
      .poll(() =>
        server.logs.filter((entry) => entry.request_id === 'broken-within').map(({ levelname }) => levelname),
      )
      .toContain('ERROR');
    expect(JSON.stringify(server.logs)).toContain('SQLSTATE 42703');
    expect((await server.json('/users/2147483646')).status).toBe(404);
  });
});
