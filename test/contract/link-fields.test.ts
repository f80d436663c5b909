import { rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { AnswerTo, Url } from '../support/clients/answers.js';
import { bodyOf, refusal } from '../support/clients/api-client.js';
import { makeFolder } from '../support/machine/folders.js';
import { createUser, uniqueName, useServer } from '../support/server/suite.js';

const folder = makeFolder('fields');
const blocked = path.join(folder, 'blocked');
writeFileSync(blocked, 'evil.example\n');
afterAll(() => rmSync(folder, { recursive: true }));

const suite = useServer({ BLOCKED_HOSTS: blocked, BLOCK_PRIVATE_TARGETS: 'true' });

let count = 0;
const targetOf = (name: string): string => {
  count += 1;
  return `https://example.com/${name}/${count}`;
};

function create(fields: object = {}): Promise<AnswerTo<'POST', '/urls'>> {
  return suite.server.post('/urls', { original_url: targetOf('made'), ...fields });
}

async function make(fields: object = {}): Promise<Url> {
  return bodyOf(await create(fields), 201);
}

function change(id: number, fields: object): Promise<AnswerTo<'PATCH', `/urls/${number}`>> {
  return suite.server.send('PATCH', `/urls/${id}`, fields);
}

async function lastUpdate(id: number): Promise<unknown> {
  const body = await suite.server.get(`/events?url_id=${id}&event_type=updated`);
  return body[0]?.details;
}

const plain = {
  redirect_status: 302,
  cache_seconds: null,
  valid_since: null,
  expires_at: null,
  expired_url: null,
  max_clicks: null,
  has_password: false,
  forward_query: false,
  tags: [],
};

const everything = {
  short_code: 'all-of-it_1',
  title: 'Everything',
  is_active: true,
  redirect_status: 308,
  cache_seconds: 60,
  valid_since: '2026-01-01T00:00:00+02:00',
  expires_at: '2099-12-31',
  expired_url: 'https://example.com/gone',
  max_clicks: 9_007_199_254_740_991,
  password: 'secret',
  forward_query: true,
  tags: [' News ', 'a', 'news', 'Ä'],
};

const shown = {
  short_code: 'all-of-it_1',
  title: 'Everything',
  redirect_status: 308,
  cache_seconds: 60,
  valid_since: '2025-12-31T22:00:00',
  expires_at: '2099-12-31T00:00:00',
  expired_url: 'https://example.com/gone',
  max_clicks: 9_007_199_254_740_991,
  has_password: true,
  forward_query: true,
  tags: ['a', 'news', 'ä'],
};

describe('a link’s fields', () => {
  it('are all there for a link that says nothing', async () => {
    const body = await make();
    expect(body).toMatchObject(plain);
    expect(body.short_url).toBe(`${suite.server.url}/${body.short_code}`);
    expect(body).not.toHaveProperty('password');
  });

  it('are kept as given, by every way of making and of reading a link', async () => {
    const body = await make(everything);
    expect(body).toMatchObject(shown);
    expect(JSON.stringify(body)).not.toContain('secret');
    expect((await suite.server.json(`/urls/${body.id}`)).body).toEqual(body);
    expect((await suite.server.get('/urls')).find(({ id }) => id === body.id)).toEqual(body);
    // What a client got it may send back.
    expect((await change(body.id, body)).body).toMatchObject(shown);
  });

  it('are the same for POST /shorten', async () => {
    const { short_code: _, ...rest } = everything;
    const body = bodyOf(await suite.server.post('/shorten', { url: targetOf('short'), ...rest }), 201);
    const { short_code: __, ...expected } = shown;
    expect((await suite.server.json(`/urls/${body.id}`)).body).toMatchObject(expected);
  });

  it('null clears what can be cleared', async () => {
    const body = await make({ ...everything, short_code: undefined });
    const cleared = await change(body.id, {
      cache_seconds: null,
      valid_since: null,
      expires_at: null,
      expired_url: null,
      max_clicks: null,
      password: null,
      redirect_status: 302,
      forward_query: false,
      tags: [],
    });
    expect([cleared.status, cleared.body]).toMatchObject([200, plain]);
    expect(await lastUpdate(body.id)).toEqual({
      title: 'Everything',
      is_active: true,
      changed: [
        'redirect_status',
        'cache_seconds',
        'valid_since',
        'expires_at',
        'expired_url',
        'max_clicks',
        'forward_query',
        'tags',
        'password',
      ],
    });
  });

  it('an update that changes none of them names none', async () => {
    const body = await make({ tags: ['x'] });
    await change(body.id, { tags: ['X '], title: 'new' });
    expect(await lastUpdate(body.id)).toEqual({ title: 'new', is_active: true });
  });

  const text = (field: string): string => `'${field}' must be`;
  it.each([
    [
      'short_code',
      ['', 'a b', 'ä', 'x'.repeat(129), 5, null, 'a/b', 'a.b'],
      "must be 1 to 128 letters, digits, '-' or '_'",
    ],
    ['code_length', [3, 33, 4.5, '6', null], 'must be'],
    ['redirect_status', [303, '302', null, 302.5, true], 'must be 301, 302, 307 or 308'],
    ['cache_seconds', [-1, 31_536_001, 1.5, '60', true], 'must be'],
    [
      'valid_since',
      ['soon', '2026-13-01', 5, true, '', '1767225600', '1767225600000', 'Thu Jan  1 00:00:00 2026'],
      'must be an ISO 8601 time',
    ],
    [
      'expires_at',
      ['never', '2026-02-30T00:00:00Z', 5, {}, '10000-01-01', 'Tue, 01 Jan 2030 03:04:05 GMT', '1 Jan 2030'],
      'must be an ISO 8601 time',
    ],
    ['expired_url', ['ftp://e.com', 'x', 5, ''], 'must be'],
    ['max_clicks', [0, -1, 1.5, '5', 9_007_199_254_740_992, true], 'must be'],
    ['password', ['', 'x'.repeat(129), 5, true], 'must be'],
    ['forward_query', ['true', 1, null], 'must be true or false'],
    ['find_if_exists', ['true', 1, null], 'must be true or false'],
    [
      'tags',
      ['x', ['a,b'], [''], [5], ['x'.repeat(51)], Array.from({ length: 21 }, (_, n) => `t${n}`), null],
      'must be',
    ],
  ] as const)('%s is refused with a text that names it', async (field, values, says) => {
    for (const value of values) {
      expect([value, ...refusal(await create({ [field]: value }))]).toEqual([
        value,
        400,
        expect.stringContaining(`'${field}' ${says}`),
      ]);
      expect(text(field)).toContain(field);
    }
  });

  it('a domain is kept for later', async () => {
    const refused = { status: 400, body: { error: "'domain' is not supported" } };
    expect(await create({ domain: 'go.example' })).toEqual(refused);
  });

  it('the end comes after the beginning, judged with what is stored', async () => {
    const wrong = { status: 400, body: { error: "'expires_at' must be after 'valid_since'" } };
    expect(await create({ valid_since: '2030-01-01', expires_at: '2030-01-01' })).toEqual(wrong);
    const body = await make({ valid_since: '2030-01-01T00:00:00' });
    expect(await change(body.id, { expires_at: '2029-12-31T23:59:59Z' })).toEqual(wrong);
    expect((await change(body.id, { expires_at: '2030-01-01T00:00:01Z' })).status).toBe(200);
    expect(await change(body.id, { valid_since: '2030-01-01T00:00:01Z' })).toEqual(wrong);
    expect((await change(body.id, { valid_since: null })).status).toBe(200);
  });
});

describe('a chosen code', () => {
  it('is taken by exactly one of fifty who ask at once', async () => {
    const answers = await Promise.all(Array.from({ length: 50 }, () => create({ short_code: 'contested' })));
    expect(answers.filter(({ status }) => status === 201)).toHaveLength(1);
    const others = answers.filter(({ status }) => status !== 201);
    expect(others).toHaveLength(49);
    for (const other of others)
      expect(other).toEqual({ status: 409, body: { error: 'Short code already taken' } });
    const events = await suite.server.get('/events?event_type=created');
    const made = events.filter(({ details }) => details.short_code === 'contested');
    expect(made).toHaveLength(1);
  });

  it('works at once, and in another letter case', async () => {
    expect((await fetch(`${suite.server.url}/Spring-Sale`, { redirect: 'manual' })).status).toBe(404);
    expect((await fetch(`${suite.server.url}/SPRING-sale`, { redirect: 'manual' })).status).toBe(404);
    await create({ short_code: 'Spring-Sale' });
    for (const code of ['Spring-Sale', 'SPRING-sale', 'spring-sale.', 'Spring-Sale)%22'])
      expect([code, (await fetch(`${suite.server.url}/${code}`, { redirect: 'manual' })).status]).toEqual([
        code,
        302,
      ]);
    await create({ short_code: 'spring-sale' });
    expect((await fetch(`${suite.server.url}/SPRING-sale`, { redirect: 'manual' })).status).toBe(404);
  });

  it.each([
    ['DELETE /urls/<id>', ({ id }: Url) => suite.server.fetch(`/urls/${id}`, { method: 'DELETE' })],
    [
      'DELETE /urls/bulk',
      ({ id }: Url) =>
        suite.server.fetch('/urls/bulk', {
          method: 'DELETE',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify({ ids: [id] }),
        }),
    ],
    [
      'DELETE /users/<id>',
      ({ user_id }: Url) => suite.server.fetch(`/users/${user_id}`, { method: 'DELETE' }),
    ],
  ])('is found in another letter case at once when the one like it is gone: %s', async (_, remove) => {
    const { server } = suite;
    const statusOf = async (code: string): Promise<number> =>
      (await fetch(`${server.url}/${code}`, { redirect: 'manual' })).status;
    const code = `Alike-${uniqueName()}`;
    const { id: user_id } = await createUser(server);
    await make({ short_code: code });
    const other = await make({ short_code: code.toUpperCase(), user_id });
    expect(await statusOf(code.toLowerCase())).toBe(404);
    expect((await remove(other)).ok).toBe(true);
    expect(await statusOf(code.toLowerCase())).toBe(302);
  });

  it.each(['health', 'Users', 'ADMIN', 'urls', 'well-known', 'logs', 'console'])(
    '%s is reserved',
    async (code) => {
      expect(await create({ short_code: code })).toEqual({
        status: 400,
        body: { error: "'short_code' is reserved" },
      });
    },
  );

  it('can’t be changed, and may be said again', async () => {
    const body = await make({ short_code: 'stays' });
    expect(await change(body.id, { short_code: 'goes' })).toEqual({
      status: 400,
      body: { error: "'short_code' can't be changed" },
    });
    expect(await change(body.id, { short_code: 'stays', title: 't' })).toMatchObject({
      status: 200,
      body: { title: 't' },
    });
  });

  it('of any length is made where a length is given', async () => {
    for (const length of [4, 10, 11, 32])
      expect((await make({ code_length: length })).short_code).toMatch(
        new RegExp(`^[A-Za-z0-9]{${length}}$`),
      );
  });
});

describe('find_if_exists', () => {
  it('gives the oldest link that is alike in all that is given', async () => {
    const original_url = targetOf('found');
    const first = await create({ original_url, title: 'one', tags: ['b', 'a'] });
    const second = await create({ original_url, title: 'two' });
    const find = { original_url, find_if_exists: true };
    expect(await create(find)).toEqual({ status: 200, body: first.body });
    expect(await create({ ...find, tags: ['A', 'b'] })).toEqual({ status: 200, body: first.body });
    expect(await create({ ...find, title: 'two' })).toEqual({ status: 200, body: second.body });
    expect((await create({ ...find, title: 'three' })).status).toBe(201);
    expect((await create({ ...find, redirect_status: 301 })).status).toBe(201);
    expect((await create({ ...find, expires_at: null, code_length: 9 })).body).toEqual(first.body);
  });

  it('looks among the links of the same owner only', async () => {
    const original_url = targetOf('owned');
    const owner = await createUser(suite.server);
    const anonymous = await create({ original_url });
    const owned = await create({ original_url, find_if_exists: true, user_id: owner.id });
    expect(owned.status).toBe(201);
    expect((await create({ original_url, find_if_exists: true, user_id: owner.id })).body).toEqual(
      owned.body,
    );
    expect((await create({ original_url, find_if_exists: true })).body).toEqual(anonymous.body);
  });

  it('does not count links that are inactive, protected or expired', async () => {
    const original_url = targetOf('uncounted');
    await create({ original_url, is_active: false });
    await create({ original_url, password: 'x' });
    await create({ original_url, expires_at: '2020-01-01' });
    const made = await create({ original_url, find_if_exists: true });
    expect(made.status).toBe(201);
    expect((await create({ original_url, find_if_exists: true, is_active: false })).status).toBe(201);
    expect((await create({ original_url, find_if_exists: true, password: 'x' })).status).toBe(201);
    expect((await create({ original_url, find_if_exists: true })).body).toEqual(made.body);
  });

  it('makes one link of twenty who ask at once', async () => {
    const original_url = targetOf('at-once');
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => create({ original_url, find_if_exists: true })),
    );
    expect(new Set(answers.map((one) => ('id' in one.body ? one.body.id : one))).size).toBe(1);
    expect(answers.filter(({ status }) => status === 201)).toHaveLength(1);
  });
});

describe('a target', () => {
  it('may not be a short link of this service', async () => {
    const { url } = suite.server;
    const forms = [
      'abc',
      'abc/',
      'abc+',
      'abc.',
      'abc)./',
      '%61bc',
      'ab%63%2e',
      'abc%2B',
      'abc?x=1',
      'abc#x',
    ];
    for (const target of [...forms.map((form) => `${url}/${form}`), `${url.toUpperCase()}/abc?x=1`])
      expect(await create({ original_url: target })).toMatchObject({
        status: 400,
        body: { error: "'original_url' must not be a short link of this service" },
      });
    const body = await make();
    expect((await change(body.id, { original_url: `${url}/abc` })).status).toBe(400);
  });

  it.each([
    'http://evil.example/',
    'https://a.EVIL.example/x',
    'http://localhost/',
    'http://10.0.0.1/',
    'http://[::1]/',
  ])('%s is not allowed', async (original_url) => {
    expect(await create({ original_url })).toEqual({
      status: 400,
      body: { error: "'original_url' is not allowed" },
    });
    expect((await suite.server.post('/shorten', { url: original_url })).status).toBe(400);
  });
});
