import { describe, expect, it } from 'vitest';
import type { Url } from '../support/clients/answers.js';
import { bodyOf } from '../support/clients/api-client.js';
import { click, createUrl, createUser, useServer } from '../support/server/suite.js';

const suite = useServer();
const timestamp = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$/);

describe('POST /shorten', () => {
  it('makes a short link', async () => {
    const { server } = suite;
    const body = bodyOf(await server.post('/shorten', { url: 'https://example.com/a?b=c#d' }), 201);
    const { short_code: code } = body;
    expect(body).toEqual({
      short_code: expect.stringMatching(/^[A-Za-z0-9]{6}$/),
      short_url: `http://127.0.0.1:${server.port}/${code}`,
      original_url: 'https://example.com/a?b=c#d',
      id: expect.any(Number),
    });
    expect(Object.keys(body).at(-1)).toBe('id');
    expect((await server.json(`/urls/${body.id}`)).body).toMatchObject({ short_code: code });
    expect(await click(server, code)).toBe('https://example.com/a?b=c#d');
  });

  it('keeps the scheme that the proxy was asked with', async () => {
    const body = bodyOf(
      await suite.server.json('/shorten', {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'x-forwarded-proto': 'https' },
        body: '{"url":"http://example.com"}',
      }),
      201,
    );
    expect(body.short_url).toMatch(/^https:\/\/127\.0\.0\.1:\d+\/\w{6}$/);
  });

  it.each([
    ['{}'],
    ['{"url":""}'],
    ['{"url":null}'],
    ['{"link":"https://example.com"}'],
    ['[]'],
    ['"https://example.com"'],
    ['{"url":'],
    [''],
  ])('refuses the body %s', async (text) => {
    const { status, body } = await suite.server.post('/shorten', text);
    expect([status, body]).toEqual([400, { error: "Missing 'url' field" }]);
  });

  it('refuses a body that is not sent as JSON', async () => {
    const { status, body } = await suite.server.json('/shorten', {
      method: 'POST',
      headers: { 'content-type': 'text/plain' },
      body: '{"url":"https://example.com"}',
    });
    expect([status, body]).toEqual([400, { error: "Missing 'url' field" }]);
  });

  it.each([
    'ftp://example.com',
    'example.com',
    'javascript:alert(1)',
    '//example.com',
    ' https://example.com',
    7,
    true,
  ])('refuses the URL %j for its scheme', async (url) => {
    const { status, body } = await suite.server.post('/shorten', { url });
    expect([status, body]).toEqual([400, { error: 'URL must start with http:// or https://' }]);
  });

  it.each([
    'https://',
    'http:///path',
    'https://?x',
    'https://exa mple.com/',
    'https://example.com/\r\nSet-Cookie: a=b',
  ])('refuses the URL %j, which leads nowhere', async (url) => {
    const { status } = await suite.server.post('/shorten', { url });
    expect(status).toBe(400);
  });
});

describe('POST /urls', () => {
  it('creates a link and its created event', async () => {
    const { server } = suite;
    const user = await createUser(server);
    const body = bodyOf(
      await server.post('/urls', {
        original_url: 'https://example.com/x',
        title: 'Ünïcode "quoted", \'too\'',
        user_id: user.id,
      }),
      201,
    );
    const url: Url = body;
    expect(url).toMatchObject({
      id: expect.any(Number),
      user_id: user.id,
      short_code: expect.stringMatching(/^[A-Za-z0-9]{6}$/),
      original_url: 'https://example.com/x',
      title: 'Ünïcode "quoted", \'too\'',
      is_active: true,
      created_at: timestamp,
      updated_at: timestamp,
      click_count: 0,
    });
    const events = await server.get(`/events?url_id=${url.id}`);
    expect(events).toEqual([
      {
        id: expect.any(Number),
        url_id: url.id,
        user_id: user.id,
        event_type: 'created',
        timestamp,
        details: { short_code: url.short_code, original_url: url.original_url },
      },
    ]);
  });

  it('creates a link that does not redirect yet', async () => {
    const { server } = suite;
    const made = await server.post('/urls', { original_url: 'https://example.com', is_active: false });
    const { id, short_code: code, is_active: isActive } = bodyOf(made, 201);
    expect(isActive).toBe(false);
    expect((await server.fetch(`/${code}`)).status).toBe(404);
    await server.send('PUT', `/urls/${id}`, { is_active: true });
    expect(await click(server, code)).toBe('https://example.com');
  });

  it.each(['yes', 1, null])('refuses to take %j for is_active', async (value) => {
    const fields = { original_url: 'https://example.com', is_active: value };
    expect(await suite.server.post('/urls', fields)).toEqual({
      status: 400,
      body: { error: "'is_active' must be true or false" },
    });
  });

  it('says why a target that is a URL is refused', async () => {
    const { server } = suite;
    const target = 'https://e..com/';
    expect((await server.post('/shorten', { url: target })).body).toEqual({
      error: "Invalid 'url': a host with an empty label",
    });
    expect((await server.post('/urls', { original_url: target })).body).toEqual({
      error: "Invalid 'original_url': a host with an empty label",
    });
    const { id } = await createUrl(server);
    expect((await server.send('PUT', `/urls/${id}`, { original_url: target })).body).toEqual({
      error: "Invalid 'original_url': a host with an empty label",
    });
  });

  it('makes two links of the same target', async () => {
    const one = await createUrl(suite.server, { original_url: 'https://example.com/same' });
    const two = await createUrl(suite.server, { original_url: 'https://example.com/same' });
    expect(one.id).not.toBe(two.id);
    expect(one.short_code).not.toBe(two.short_code);
    expect(one).toMatchObject({ user_id: null, title: '' });
  });

  it.each([
    [{ title: 'x' }],
    [{ original_url: '' }],
    [{ original_url: null }],
    [{ original_url: 5 }],
    [{ original_url: 'ftp://example.com' }],
    [{ original_url: 'https://' }],
    [{ original_url: 'http:///x' }],
    [{ original_url: `https://example.com/${'x'.repeat(8192)}` }],
    [{ original_url: 'https://example.com/\0' }],
    [{ original_url: 'https://example.com/ ' }],
    [{ original_url: 'https://example.com/\nx' }],
  ])('refuses the target in %j', async (fields) => {
    const { status, body } = await suite.server.post('/urls', fields);
    expect([status, body]).toEqual([400, { error: "Missing or invalid 'original_url'" }]);
  });

  it('takes a target of 8,192 characters', async () => {
    const target = `https://example.com/${'x'.repeat(8192 - 20)}`;
    const url = await createUrl(suite.server, { original_url: target });
    expect(await click(suite.server, url.short_code)).toBe(target);
  });

  it.each([['1'], [1.5], [true], [[1]], [{}]])('refuses the user_id %j', async (userId) => {
    const { status } = await suite.server.post('/urls', {
      original_url: 'https://example.com',
      user_id: userId,
    });
    expect(status).toBe(400);
  });

  it.each([2147483646, 0, -1, 1e30])('knows no user %d', async (userId) => {
    const { status, body } = await suite.server.post('/urls', {
      original_url: 'https://example.com',
      user_id: userId,
    });
    expect([status, body]).toEqual([404, { error: 'User not found' }]);
  });

  it.each([[5], [['x']], ['x'.repeat(256)], ['a\0b']])('refuses the title %j', async (title) => {
    const { status } = await suite.server.post('/urls', { original_url: 'https://example.com', title });
    expect(status).toBe(400);
  });

  it.each([
    '',
    '{}',
    '[]',
    'null',
    '"x"',
    '{"a"',
    '\ufeff{}',
    '{"original_url":"https://example.com"} trailing',
  ])('refuses the body %j', async (text) => {
    expect(await suite.server.post('/urls', text)).toEqual({ status: 400, body: { error: 'Invalid JSON' } });
  });

  it('creates many at once, each for its own', async () => {
    const { server } = suite;
    const user = await createUser(server);
    const answers = await Promise.all(
      Array.from({ length: 200 }, (_, index) =>
        server.post('/urls', {
          original_url: `https://example.com/${index}`,
          title: `title ${index}`,
          user_id: index % 10 === 0 ? 2147483646 : user.id,
        }),
      ),
    );
    for (const [index, { status, body }] of answers.entries()) {
      if (index % 10 === 0) expect([status, body]).toEqual([404, { error: 'User not found' }]);
      else
        expect(body).toMatchObject({ original_url: `https://example.com/${index}`, title: `title ${index}` });
    }
    const codes = answers.flatMap((one) => (one.status === 201 ? [one.body.short_code] : []));
    expect(new Set(codes).size).toBe(180);
  });
});

describe('GET /urls', () => {
  it('lists the newest first, filtered by user and state', async () => {
    const { server } = suite;
    const user = await createUser(server);
    const first = await createUrl(server, { user_id: user.id });
    const second = await createUrl(server, { user_id: user.id });
    const third = await createUrl(server, { user_id: user.id });
    await server.send('PUT', `/urls/${second.id}`, { is_active: false });
    const idsOf = async (query: string): Promise<number[]> => {
      const body = await server.get(`/urls?user_id=${user.id}${query}`);
      return body.map((url) => url.id);
    };
    expect(await idsOf('')).toEqual([third.id, second.id, first.id]);
    expect(await idsOf('&is_active=true')).toEqual([third.id, first.id]);
    expect(await idsOf('&is_active=FALSE')).toEqual([second.id]);
    expect(await idsOf('&page=1&per_page=2')).toEqual([third.id, second.id]);
    expect(await idsOf('&page=2&per_page=2')).toEqual([first.id]);
    expect(await idsOf('&page=3&per_page=2')).toEqual([]);
    expect(await idsOf('&page=2')).toEqual([third.id, second.id, first.id]);
    const all = await server.get('/urls');
    expect(all.slice(0, 3).map((url) => url.id)).toEqual([third.id, second.id, first.id]);
  });

  it('finds nothing for a user who is not there', async () => {
    for (const id of ['2147483646', '99999999999999999999', '-5']) {
      expect(await suite.server.json(`/urls?user_id=${id}`)).toEqual({ status: 200, body: [] });
    }
  });

  it.each(['user_id=abc', 'user_id=1.5', 'is_active=maybe'])('refuses ?%s', async (query) => {
    expect((await suite.server.json(`/urls?${query}`)).status).toBe(400);
  });
});

describe('GET /urls/<id>', () => {
  it('gives the link, or knows none', async () => {
    const url = await createUrl(suite.server);
    expect(await suite.server.json(`/urls/${url.id}`)).toEqual({ status: 200, body: url });
    expect(await suite.server.json('/urls/2147483646')).toEqual({
      status: 404,
      body: { error: 'URL not found' },
    });
    expect(await suite.server.json('/urls/99999999999999999999')).toEqual({
      status: 404,
      body: { error: 'URL not found' },
    });
    expect((await suite.server.json('/urls/abc')).status).toBe(404);
  });
});

describe('PUT /urls/<id>', () => {
  it('changes what is given and logs an updated event', async () => {
    const { server } = suite;
    const user = await createUser(server);
    const url = await createUrl(server, { user_id: user.id, title: 'before' });
    const { status, body } = await server.send('PUT', `/urls/${url.id}`, { title: 'after' });
    expect(status).toBe(200);
    expect(body).toEqual({ ...url, title: 'after', updated_at: timestamp });
    await server.send('PUT', `/urls/${url.id}`, { is_active: false });
    const target = 'https://example.org/elsewhere';
    const changed = await server.send('PUT', `/urls/${url.id}`, { original_url: target, is_active: true });
    expect(changed.body).toMatchObject({ title: 'after', is_active: true, original_url: target });
    const events = await server.get(`/events?url_id=${url.id}&event_type=updated`);
    expect(events.map((event) => [event.user_id, event.details])).toEqual([
      [user.id, { title: 'after', is_active: true, original_url: target }],
      [user.id, { title: 'after', is_active: false }],
      [user.id, { title: 'after', is_active: true }],
    ]);
  });

  it('leaves the link alone when nothing of it is given', async () => {
    const url = await createUrl(suite.server);
    expect(await suite.server.send('PUT', `/urls/${url.id}`, { click_count: 9, id: 5 })).toEqual({
      status: 200,
      body: url,
    });
    const events = await suite.server.get(`/events?url_id=${url.id}`);
    expect(events.map((event) => event.event_type)).toEqual(['created']);
  });

  it.each([
    { title: 5 },
    { title: null },
    { title: 'x'.repeat(256) },
    { is_active: 'true' },
    { is_active: 1 },
    { is_active: null },
    { original_url: 7 },
    { original_url: 'mailto:a@example.com' },
    { original_url: 'https://example.com/\u0007' },
  ])('refuses %j', async (fields) => {
    const url = await createUrl(suite.server);
    expect((await suite.server.send('PUT', `/urls/${url.id}`, fields)).status).toBe(400);
    expect((await suite.server.json(`/urls/${url.id}`)).body).toEqual(url);
  });

  it('refuses what is no JSON object, and knows no such link', async () => {
    const url = await createUrl(suite.server);
    expect(await suite.server.send('PUT', `/urls/${url.id}`, '{}')).toEqual({
      status: 400,
      body: { error: 'Invalid JSON' },
    });
    expect(await suite.server.send('PUT', '/urls/2147483646', { title: 'x' })).toEqual({
      status: 404,
      body: { error: 'URL not found' },
    });
  });
});

describe('DELETE /urls/<id>', () => {
  it('takes its events along', async () => {
    const { server, database } = suite;
    const url = await createUrl(server);
    await click(server, url.short_code);
    expect((await server.json(`/events?url_id=${url.id}`)).body).toHaveLength(2);
    await click(server, url.short_code);
    expect((await server.fetch(`/urls/${url.id}`, { method: 'DELETE' })).status).toBe(204);
    expect(await server.json(`/urls/${url.id}`)).toEqual({ status: 404, body: { error: 'URL not found' } });
    expect((await server.fetch(`/${url.short_code}`)).status).toBe(404);
    // The click before the delete is dropped by the ingest, whichever of the two came first.
    expect((await server.json('/events?event_type=click')).status).toBe(200);
    expect(await database.query('SELECT id FROM events WHERE url_id = $1', [url.id])).toEqual([]);
    expect(await server.json(`/urls/${url.id}`, { method: 'DELETE' })).toEqual({
      status: 404,
      body: { error: 'URL not found' },
    });
  });
});
