import { describe, expect, it } from 'vitest';
import { bodyOf, refusal } from '../support/clients/api-client.js';
import { ADMIN_KEY, asKey } from '../support/clients/keys.js';
import { createUrl, uniqueName, useServer } from '../support/server/suite.js';

const suite = useServer({ ADMIN_KEY });

describe('a 201', () => {
  it.each([
    ['/users', { username: uniqueName(), email: 'a@example.com' }, '/users'],
    ['/urls', { original_url: 'https://example.com' }, '/urls'],
    ['/shorten', { url: 'https://example.com' }, '/urls'],
    ['/events', { event_type: 'note' }, '/events'],
    ['/keys', { name: 'ci', scopes: ['users'] }, '/keys'],
  ] as const)('of POST %s says where the new resource is', async (path, fields, collection) => {
    const client = asKey(suite.server, ADMIN_KEY);
    const answer = await client.ask(path, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(fields),
    });
    const { id } = bodyOf(answer, 201);
    expect(answer.headers.get('location')).toBe(`${collection}/${id}`);
    expect((await client.json(`${collection}/${id}`)).status).toBe(200);
  });

  it('is the only answer that says so', async () => {
    const { id } = await createUrl(suite.server);
    expect((await suite.server.fetch(`/urls/${id}`)).headers.get('location')).toBeNull();
  });
});

describe('a query parameter that is not known', () => {
  it.each([
    ['/urls?userid=1', 'userid', 'user_id'],
    ['/urls?USER_ID=1', 'USER_ID', 'user_id'],
    ['/urls?isactive=true', 'isactive', 'is_active'],
    ['/urls?is_activ=true', 'is_activ', 'is_active'],
    ['/events?eventtype=click', 'eventtype', 'event_type'],
    ['/events?url-id=1', 'url-id', 'url_id'],
    ['/users?pages=1', 'pages', 'page'],
    ['/users?page=1&perpage=5', 'perpage', 'per_page'],
    ['/users?page=1&per_pgae=5', 'per_pgae', 'per_page'],
  ])('and resembles one of ours is refused: %s', async (path, given, known) => {
    expect(await suite.server.json(path)).toEqual({
      status: 400,
      body: { error: `Unknown parameter: '${given}'; the nearest known one is '${known}'` },
    });
  });

  it.each(['/users?short_code=abc', '/urls?shortcode=abc', '/users?user_id=1', '/events?is_active=true'])(
    'but is known elsewhere is refused: %s',
    async (path) => {
      expect(refusal(await suite.server.json(path))).toEqual([
        400,
        expect.stringMatching(/^Unknown parameter: '\w+'; the nearest known one is '\w+'$/),
      ]);
    },
  );

  it.each(['/urls?utm_source=x', '/users?x=1', '/events?_=1', '/urls?cache_bust=7', '/health?pages=1'])(
    'and is like none of ours is ignored: %s',
    async (path) => {
      expect((await suite.server.json(path)).status).toBe(200);
    },
  );
});
