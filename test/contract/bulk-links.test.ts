import { describe, expect, it } from 'vitest';
import type { AnswerTo } from '../support/clients/answers.js';
import { bodyOf } from '../support/clients/api-client.js';
import { click, createUrl, createUser, useServer } from '../support/server/suite.js';

const suite = useServer();

function send<Method extends 'POST' | 'PATCH' | 'DELETE'>(
  method: Method,
  body: unknown,
  query = '',
): Promise<AnswerTo<Method, `/urls/bulk?${string}`>> {
  return suite.server.send(method, `/urls/bulk?${query}`, body);
}

/** Also of a request of which nothing was done. */
function resultsOf<Result>({ body }: { body: { results: Result[] } | { error: string } }): Result[] {
  if ('error' in body) throw new Error(body.error);
  return body.results;
}

const target = (path: string | number): string => `https://example.com/bulk/${path}`;

async function countOf(path: string): Promise<number> {
  const body = await suite.server.get('/urls');
  return body.filter((url) => url.original_url === target(path)).length;
}

describe('POST /urls/bulk', () => {
  it('makes links as POST /urls does, in the order of the request', async () => {
    const { id: userId } = await createUser(suite.server);
    const fields = { title: 'b', tags: ['x'], redirect_status: 308, user_id: userId, short_code: 'bulk-b' };
    const urls = [
      { original_url: target('a') },
      { original_url: target('b'), ...fields },
      { original_url: target('c') },
    ];
    const body = bodyOf(await send('POST', { urls }), 200);
    expect(body).toMatchObject({ created: 3, failed: 0 });
    expect(body.results.map(({ index, status: own }) => [index, own])).toEqual([
      [0, 201],
      [1, 201],
      [2, 201],
    ]);
    for (const [index, path] of ['a', 'b', 'c'].entries()) {
      const url = body.results[index]?.url;
      if (url === undefined) throw new Error(`no link for ${path}`);
      expect(url.original_url).toBe(target(path));
      expect((await suite.server.json(`/urls/${url.id}`)).body).toEqual(url);
      const { body: events } = await suite.server.json(`/events?url_id=${url.id}`);
      expect(events).toMatchObject([
        { event_type: 'created', details: { short_code: url.short_code, original_url: target(path) } },
      ]);
    }
    expect(body.results[1]?.url).toMatchObject(fields);
  });

  it('says of each that fails what the single route says', async () => {
    await createUrl(suite.server, { original_url: target('d') });
    const good = { original_url: target('good') };
    const bad = [
      { ...good, short_code: 'a b' },
      { ...good, short_code: 'HEALTH' },
      { ...good, user_id: 987_654_321 },
      { ...good, user_id: 'x' },
      { ...good, title: 5 },
      { ...good, redirect_status: 303 },
      { ...good, expires_at: '2026-01-01', valid_since: '2026-01-02' },
      { ...good, domain: 'x.example' },
      { ...good, tags: ['a,b'] },
      { original_url: 'ftp://example.com' },
      { original_url: 'https://a..b/' },
      { title: 'without' },
      {},
      { ...good, original_url: `${suite.server.url}/abcdef` },
    ];
    const single = await Promise.all(bad.map((one) => suite.server.post('/urls', one)));
    const body = bodyOf(await send('POST', { urls: [good, ...bad, 7, null, [good]] }), 200);
    expect([body.created, body.failed]).toEqual([1, bad.length + 3]);
    const said = body.results.slice(1).map(({ status: own, error }) => [own, { error }]);
    expect(said.slice(0, bad.length)).toEqual(single.map((one) => [one.status, one.body]));
    expect(said.slice(bad.length)).toEqual(Array(3).fill([400, { error: 'Invalid JSON' }]));
  });

  it('gives a code that comes twice to the first, and says that one is taken', async () => {
    await suite.server.post('/urls', { original_url: target('e'), short_code: 'bulk-taken' });
    const codes = ['bulk-taken', 'bulk-new', 'bulk-new'];
    const urls = codes.map((code) => ({ original_url: target('e'), short_code: code }));
    const body = bodyOf(await send('POST', { urls }), 200);
    expect(body.results.map(({ status }) => status)).toEqual([409, 201, 409]);
    expect(body.results[0]?.error).toBe('Short code already taken');
    // A code that was unknown a moment ago leads somewhere now.
    expect(await click(suite.server, 'bulk-new')).toBe(target('e'));
  });

  it('finds with find_if_exists, also within one request', async () => {
    const known = await createUrl(suite.server, { original_url: target('f'), title: 'known' });
    const find = (path: string, fields = {}): object => ({
      original_url: target(path),
      find_if_exists: true,
      ...fields,
    });
    const urls = [
      find('f'),
      find('f', { title: 'other', tags: ['b', 'a'], cache_seconds: null }),
      find('f', { title: 'other', tags: ['a', 'b'] }),
      find('g'),
      find('g'),
      find('f', { password: 'x' }),
      { original_url: target('f') },
    ];
    const body = bodyOf(await send('POST', { urls }), 200);
    expect(body).toMatchObject({ created: 4, failed: 0 });
    expect(body.results.map(({ status }) => status)).toEqual([200, 201, 200, 201, 200, 201, 201]);
    expect(body.results[0]?.url?.id).toBe(known.id);
    expect(body.results[2]?.url?.id).toBe(body.results[1]?.url?.id);
    expect(body.results[4]?.url?.id).toBe(body.results[3]?.url?.id);
  });

  it('of many requests at once that look for one target makes one', async () => {
    const urls = Array.from({ length: 20 }, (_, n) => ({
      original_url: target(`h${n}`),
      find_if_exists: true,
    }));
    const answers = await Promise.all(
      Array.from({ length: 6 }, (_, n) => send('POST', { urls: n % 2 === 0 ? urls : [...urls].reverse() })),
    );
    expect(answers.reduce((sum, one) => sum + bodyOf(one, 200).created, 0)).toBe(20);
    for (const { original_url: url } of urls) expect(await countOf(url.slice(target('').length))).toBe(1);
  });

  it('takes 1 to 1,000', async () => {
    const text = { error: "'urls' must be an array of 1 to 1000 links" };
    const urls = Array.from({ length: 1001 }, (_, n) => ({ original_url: target(`many/${n}`) }));
    for (const bad of [{ urls: [] }, { urls }, { urls: { 0: urls[0] } }, { url: [] }, { urls: null }])
      expect(await send('POST', bad)).toEqual({ status: 400, body: text });
    expect(await send('POST', '[]')).toEqual({ status: 400, body: { error: 'Invalid JSON' } });
    const body = bodyOf(await send('POST', { urls: urls.slice(1) }), 200);
    expect([body.created, body.failed, body.results.length]).toEqual([1000, 0, 1000]);
    expect(body.results.map(({ url }) => url?.original_url)).toEqual(
      urls.slice(1).map((url) => url.original_url),
    );
  });

  it('is all or none with ?atomic=true', async () => {
    const good = { original_url: target('atomic') };
    const taken = { ...good, short_code: 'bulk-taken' };
    await suite.server.post('/urls', { ...taken, original_url: target('e') });
    const refused = await send('POST', { urls: [good, { ...good, title: 5 }, taken] }, 'atomic=true');
    expect(refused.status).toBe(400);
    expect(refused.body).toMatchObject({ created: 0, failed: 3 });
    expect(resultsOf(refused)[0]).toEqual({ index: 0, status: 424, error: 'Not done: another one failed' });
    expect(resultsOf(refused).map(({ status }) => status)).toEqual([424, 400, 409]);
    const conflict = await send('POST', { urls: [good, taken, good] }, 'atomic=TRUE');
    expect(conflict.status).toBe(409);
    expect(resultsOf(conflict).map(({ status }) => status)).toEqual([424, 409, 424]);
    expect(await countOf('atomic')).toBe(0);
    expect((await send('POST', { urls: [good, good] }, 'atomic=true')).body).toMatchObject({
      created: 2,
      failed: 0,
    });
    expect(await send('POST', { urls: [good] }, 'atomic=perhaps')).toEqual({
      status: 400,
      body: { error: "'atomic' must be true or false" },
    });
  });
});

describe('PATCH /urls/bulk', () => {
  it('changes many as the single route does, and each is followed at once', async () => {
    const made = await Promise.all(
      [1, 2, 3].map(() => createUrl(suite.server, { original_url: target('old') })),
    );
    for (const { short_code: code } of made) await click(suite.server, code);
    const ids = made.map(({ id }) => id).reverse();
    const set = { original_url: target('new'), title: 'changed', tags: ['B', 'a'], max_clicks: 5 };
    const body = bodyOf(await send('PATCH', { ids, set }), 200);
    expect([body.updated, body.failed]).toEqual([3, 0]);
    for (const [index, id] of ids.entries()) {
      expect(body.results[index]).toMatchObject({ index, id, status: 200 });
      expect(body.results[index]?.url).toMatchObject({ ...set, id, tags: ['a', 'b'] });
      // Clicks answered before are counted by now.
      const { body: shown } = await suite.server.json(`/urls/${id}`);
      expect(shown).toEqual({ ...body.results[index]?.url, click_count: 1 });
      const events = await suite.server.get(`/events?url_id=${id}&event_type=updated`);
      expect(events.map(({ details }) => details)).toEqual([
        { title: 'changed', is_active: true, original_url: target('new'), changed: ['max_clicks', 'tags'] },
      ]);
    }
    for (const { short_code: code } of made) expect(await click(suite.server, code)).toBe(target('new'));
  });

  it('says of each what it came to', async () => {
    const a = await createUrl(suite.server);
    const later = { original_url: target('x'), valid_since: '2030-01-01' };
    const b = bodyOf(await suite.server.post('/urls', later), 201);
    const ids = [987_654_321, a.id, b.id, 0, -1, 2 ** 60];
    const body = bodyOf(await send('PATCH', { ids, set: { expires_at: '2029-01-01' } }), 200);
    expect([body.updated, body.failed]).toEqual([1, 5]);
    expect(body.results.map((one) => [one.index, one.id, one.status, one.error])).toEqual([
      [0, ids[0], 404, 'URL not found'],
      [1, ids[1], 200, undefined],
      [2, ids[2], 400, "'expires_at' must be after 'valid_since'"],
      [3, 0, 404, 'URL not found'],
      [4, -1, 404, 'URL not found'],
      [5, 2 ** 60, 404, 'URL not found'],
    ]);
    const own = await send('PATCH', { ids: [a.id, b.id], set: { short_code: a.short_code } });
    expect(resultsOf(own).map(({ status: one }) => one)).toEqual([200, 400]);
  });

  it.each([
    [{ ids: [1, 2, 1], set: { title: 'x' } }, "'ids' must not name one twice"],
    [{ ids: [], set: { title: 'x' } }, "'ids' must be an array of 1 to 1000 integers"],
    [{ ids: ['1'], set: { title: 'x' } }, "'ids' must be an array of 1 to 1000 integers"],
    [{ ids: [1.5], set: { title: 'x' } }, "'ids' must be an array of 1 to 1000 integers"],
    [
      { ids: Array.from({ length: 1001 }, (_, n) => n + 1), set: {} },
      "'ids' must be an array of 1 to 1000 integers",
    ],
    [{ ids: [1], set: {} }, "'set' must be an object with at least one member"],
    [{ ids: [1] }, "'set' must be an object with at least one member"],
    [{ ids: [1], set: [1] }, "'set' must be an object with at least one member"],
    [{ ids: [1], set: { title: 5 } }, "'title' must be a string of at most 255 characters"],
    [{ ids: [1], set: { domain: 'x' } }, "'domain' is not supported"],
  ])('refuses %j', async (body, error) => {
    expect(await send('PATCH', body)).toEqual({ status: 400, body: { error } });
  });

  it('is all or none with ?atomic=true', async () => {
    const { id, title } = await createUrl(suite.server);
    const { status, body } = await send(
      'PATCH',
      { ids: [id, 987_654_321], set: { title: 'x' } },
      'atomic=true',
    );
    expect([status, body]).toMatchObject([400, { updated: 0, failed: 2 }]);
    expect(resultsOf({ body })).toEqual([
      { index: 0, id, status: 424, error: 'Not done: another one failed' },
      { index: 1, id: 987_654_321, status: 404, error: 'URL not found' },
    ]);
    expect((await suite.server.json(`/urls/${id}`)).body).toMatchObject({ title });
  });
});

describe('DELETE /urls/bulk', () => {
  it('deletes links with their events; an unknown one is 404 in its place', async () => {
    const made = await Promise.all([1, 2].map(() => createUrl(suite.server)));
    for (const { short_code: code } of made) await click(suite.server, code);
    const ids = [made[0]?.id, 987_654_321, made[1]?.id] as number[];
    const { status, body } = await send('DELETE', { ids });
    expect(status).toBe(200);
    expect(body).toEqual({
      deleted: 2,
      failed: 1,
      results: [
        { index: 0, id: ids[0], status: 204 },
        { index: 1, id: ids[1], status: 404, error: 'URL not found' },
        { index: 2, id: ids[2], status: 204 },
      ],
    });
    for (const { id, short_code: code } of made) {
      expect((await suite.server.json(`/urls/${id}`)).status).toBe(404);
      expect((await suite.server.fetch(`/${code}`)).status).toBe(404);
      expect((await suite.server.json(`/events?url_id=${id}`)).body).toEqual([]);
    }
  });

  it('is all or none with ?atomic=true', async () => {
    const { id } = await createUrl(suite.server);
    const { status, body } = await send('DELETE', { ids: [987_654_321, id] }, 'atomic=true');
    expect([status, body]).toMatchObject([400, { deleted: 0, failed: 2 }]);
    expect(resultsOf({ body }).map((one) => one.status)).toEqual([404, 424]);
    expect((await suite.server.json(`/urls/${id}`)).status).toBe(200);
    expect((await send('DELETE', { ids: [id] }, 'atomic=true')).body).toMatchObject({
      deleted: 1,
      failed: 0,
    });
  });

  it.each([
    [[1, 1], "'ids' must not name one twice"],
    [[], "'ids' must be an array of 1 to 1000 integers"],
  ])('refuses the ids %j', async (ids, error) => {
    expect(await send('DELETE', { ids })).toEqual({ status: 400, body: { error } });
  });
});

it('other methods of /urls/bulk and /users/bulk are refused as such', async () => {
  for (const [path, allow] of [
    ['/urls/bulk', 'POST, PATCH, DELETE'],
    ['/users/bulk', 'POST'],
  ] as const) {
    for (const method of ['GET', 'PUT', ...(path === '/users/bulk' ? ['DELETE', 'PATCH'] : [])]) {
      const response = await suite.server.fetch(path, { method });
      expect([path, method, response.status, response.headers.get('allow')]).toEqual([
        path,
        method,
        405,
        allow,
      ]);
    }
  }
});
