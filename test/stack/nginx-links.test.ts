import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ADMIN_KEY } from '../support/clients/keys.js';
import { sendRaw } from '../support/clients/raw-http.js';
import { createDatabase, type TestDatabase } from '../support/database/database.js';
import { describeWith } from '../support/machine/tools.js';
import { startServer, type TestServer } from '../support/server/server.js';
import { createUser, type Url } from '../support/server/suite.js';
import { Nginx } from '../support/stack/nginx.js';

describeWith('nginx')('links through the shipped Nginx', () => {
  let database: TestDatabase;
  let server: TestServer;
  let nginx: Nginx;
  let count = 0;

  beforeAll(async () => {
    database = await createDatabase();
    server = await startServer({ DATABASE_URL: database.url, ADMIN_KEY });
    nginx = await Nginx.start([server.port]);
  });
  afterAll(async () => {
    await nginx?.stop();
    await server?.stop();
    await database?.drop();
  });

  type Answer = { status: number; body: unknown; headers: Headers };

  async function ask(path: string, init: RequestInit = {}): Promise<Answer> {
    const response = await nginx.fetch(path, init);
    const text = await response.text();
    const isJson = response.headers.get('content-type')?.includes('json') === true && text !== '';
    return { status: response.status, body: isJson ? JSON.parse(text) : text, headers: response.headers };
  }

  function send(method: string, path: string, body: unknown, headers: object = {}): Promise<Answer> {
    return ask(path, {
      method,
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify(body),
    });
  }

  async function make(fields: object = {}): Promise<Url> {
    count += 1;
    const { status, body } = await send('POST', '/urls', {
      original_url: `https://example.com/nginx/${count}`,
      ...fields,
    });
    expect(status).toBe(201);
    return body as Url;
  }

  describe('/urls/bulk', () => {
    const targets = (length: number): { original_url: string }[] =>
      Array.from({ length }, (_, n) => ({
        original_url: `https://example.com/bulk/${n}?${'x'.repeat(2000)}`,
      }));

    it('makes, changes and deletes a thousand at once, whose bodies are larger than others may be', async () => {
      const made = await send('POST', '/urls/bulk', { urls: targets(1000) });
      expect([made.status, made.body]).toEqual([200, expect.objectContaining({ created: 1000, failed: 0 })]);
      const ids = (made.body as { results: { url: Url }[] }).results.map(({ url }) => url.id);
      const changed = await send('PATCH', '/urls/bulk', { ids, set: { title: 'together' } });
      expect(changed.body).toMatchObject({ updated: 1000, failed: 0 });
      const gone = await send('DELETE', '/urls/bulk', { ids });
      expect(gone.body).toMatchObject({ deleted: 1000, failed: 0 });
    });

    it('says with ?atomic=true why none was done', async () => {
      const { short_code: taken } = await make();
      const urls = [
        { original_url: 'https://example.com' },
        { original_url: 'https://e.com', short_code: taken },
      ];
      const { status, body } = await send('POST', '/urls/bulk?atomic=true', { urls });
      expect(status).toBe(409);
      expect((body as { results: { status: number }[] }).results.map((result) => result.status)).toEqual([
        424, 409,
      ]);
    });
  });

  it('/urls/import takes a file with options, and says what became of each row', async () => {
    const rows = Array.from({ length: 3000 }, (_, n) => `https://example.com/import/${n},imported-${n}`);
    const form = new FormData();
    form.append(
      'file',
      new Blob([['original_url,short_code', ...rows, 'no target,x'].join('\n')]),
      'links.csv',
    );
    const { status, body } = await ask('/urls/import?on_conflict=fail', { method: 'POST', body: form });
    expect([status, body]).toEqual([
      201,
      {
        imported: 3000,
        updated: 0,
        skipped: 0,
        failed: 1,
        errors: [{ line: 3002, error: expect.stringContaining("'original_url'") }],
      },
    ]);
    const visit = await ask('/imported-2999');
    expect([visit.status, visit.headers.get('location')]).toEqual([302, 'https://example.com/import/2999']);
  });

  describe('a password', () => {
    const browser = { accept: 'text/html,application/xhtml+xml' };
    const form = (password: string): RequestInit => ({
      method: 'POST',
      headers: { ...browser, 'content-type': 'application/x-www-form-urlencoded' },
      body: new URLSearchParams({ password }),
    });

    it('is asked for by a form, whose answer leads to the target', async () => {
      const link = await make({ password: 'pä ss+wörd', redirect_status: 307 });
      const asked = await ask(`/${link.short_code}`, { headers: browser });
      expect([asked.status, asked.headers.get('cache-control')]).toEqual([
        401,
        expect.stringContaining('no-store'),
      ]);
      expect(asked.body).toMatch(/<form[^>]*method="post"/i);
      const wrong = await ask(`/${link.short_code}`, form('wrong'));
      expect([wrong.status, wrong.headers.get('content-type')]).toEqual([401, 'text/html; charset=utf-8']);
      const right = await ask(`/${link.short_code}`, form('pä ss+wörd'));
      expect([right.status, right.headers.get('location')]).toEqual([303, link.original_url]);
      const behindSlash = await ask(`/${link.short_code}/`, form('pä ss+wörd'));
      expect([behindSlash.status, behindSlash.headers.get('location')]).toEqual([303, link.original_url]);
    });

    it('is taken from its header, and asked for in JSON', async () => {
      const link = await make({ password: 'secret' });
      const asked = await ask(`/urls/${link.short_code}/redirect`);
      expect([asked.status, asked.body]).toEqual([401, { error: 'Password required' }]);
      const wrong = await ask(`/${link.short_code}`, { headers: { 'x-link-password': 'wrong' } });
      expect([wrong.status, wrong.body]).toEqual([401, { error: 'Wrong password' }]);
      const right = await ask(`/${link.short_code}`, { headers: { 'x-link-password': 'secret' } });
      expect([right.status, right.headers.get('location')]).toEqual([302, link.original_url]);
    });

    it('is guessed ten times a minute from one address, as the proxy says it', async () => {
      const link = await make({ password: 'secret' });
      for (let guess = 0; guess < 10; guess += 1)
        expect((await ask(`/${link.short_code}`, { headers: { 'x-link-password': 'no' } })).status).toBe(401);
      const { status, body, headers } = await ask(`/${link.short_code}`, {
        headers: { 'x-link-password': 'no' },
      });
      expect([status, body]).toEqual([429, { error: 'Too many tries' }]);
      expect(Number(headers.get('retry-after'))).toBeGreaterThan(0);
    });
  });

  describe('a preview', () => {
    it('says where a link leads, in JSON and as a page', async () => {
      const link = await make({ title: 'Shown' });
      const path = `/${link.short_code}+`;
      const { status, body } = await ask(path);
      expect([status, body]).toEqual([
        200,
        expect.objectContaining({
          short_code: link.short_code,
          original_url: link.original_url,
          title: 'Shown',
        }),
      ]);
      const page = await ask(path, { headers: { accept: 'text/html' } });
      expect([page.status, page.headers.get('content-type')]).toEqual([200, 'text/html; charset=utf-8']);
      expect(page.body).toContain('example.com');
    });

    it('of a protected link is 401, of one that is none 404', async () => {
      const { short_code: code } = await make({ password: 'secret' });
      expect((await ask(`/${code}+`)).status).toBe(401);
      expect((await ask('/none-at-all+')).status).toBe(404);
    });

    it('by a browser that loads ahead is no click', async () => {
      const link = await make();
      for (const headers of [{ 'sec-purpose': 'prefetch;prerender' }, { purpose: 'prefetch' }])
        expect((await ask(`/${link.short_code}`, { headers })).status).toBe(302);
      const { body } = await ask(`/events?url_id=${link.id}`);
      const types = (body as { event_type: string }[]).map(({ event_type: type }) => type);
      expect(types.filter((type) => type !== 'created')).toEqual(['preview', 'preview']);
    });
  });

  describe('a redirect', () => {
    it.each([301, 302, 307, 308])('has the link’s status %s, and the methods of it', async (status) => {
      const link = await make({ redirect_status: status, cache_seconds: 60 });
      const { status: got, headers } = await ask(`/${link.short_code}`);
      expect([got, headers.get('location'), headers.get('cache-control')]).toEqual([
        status,
        link.original_url,
        'private, max-age=60',
      ]);
      const head = await ask(`/${link.short_code}`, { method: 'HEAD' });
      expect([head.status, head.headers.get('location')]).toEqual([status, link.original_url]);
      const put = await ask(`/${link.short_code}`, { method: 'PUT', body: 'x' });
      expect(put.status).toBe(status >= 307 ? status : 405);
      if (status < 307) expect(put.headers.get('allow')).toBe('GET, HEAD');
    });

    it('forgives a slash, punctuation and another letter case', async () => {
      const link = await make({ short_code: 'Through-Nginx' });
      for (const path of [
        '/Through-Nginx/',
        '/Through-Nginx.',
        '/Through-Nginx%22)',
        '/through-nginx',
        '/THROUGH-NGINX!/',
      ])
        expect([path, (await ask(path)).headers.get('location')]).toEqual([path, link.original_url]);
      expect([(await ask('/none-at-all/')).status, (await ask('/none-at-all/')).body]).toEqual([
        404,
        { error: 'Short URL not found' },
      ]);
    });

    it('ends with its time and its clicks', async () => {
      const over = await make({ expires_at: '2020-01-01T00:00:00Z' });
      const expired = await ask(`/${over.short_code}`);
      expect([expired.status, expired.body, expired.headers.get('cache-control')]).toEqual([
        410,
        { error: 'Link expired' },
        'no-store',
      ]);
      const once = await make({ max_clicks: 1, expired_url: 'https://example.com/over' });
      expect((await ask(`/${once.short_code}`, { headers: { 'sec-purpose': 'prefetch' } })).status).toBe(503);
      expect((await ask(`/${once.short_code}`)).headers.get('location')).toBe(once.original_url);
      expect((await ask(`/${once.short_code}`)).headers.get('location')).toBe('https://example.com/over');
    });

    it('forwards the visitor’s query, whatever its bytes are', async () => {
      const link = await make({ original_url: 'https://example.com/?a=1#part', forward_query: true });
      const answer = await sendRaw(
        nginx.port,
        Buffer.concat([
          Buffer.from(`GET /${link.short_code}?b=ü&a=%ff&c=`),
          Buffer.from([0xff]),
          Buffer.from(' HTTP/1.1\r\nHost: a\r\n\r\n'),
        ]),
      );
      expect([answer.status, answer.headers.get('location')]).toEqual([
        302,
        'https://example.com/?a=1&b=%C3%BC&a=%ff&c=%EF%BF%BD#part',
      ]);
    });
  });

  it('a repeated create gets the first answer again', async () => {
    const body = { original_url: 'https://example.com/once' };
    const first = await send(
      'POST',
      '/shorten',
      { url: body.original_url },
      { 'idempotency-key': 'nginx 1' },
    );
    const again = await send(
      'POST',
      '/shorten',
      { url: body.original_url },
      { 'idempotency-key': 'nginx 1' },
    );
    expect([first.status, again.status, again.body]).toEqual([201, 201, first.body]);
    expect([first.headers.get('idempotent-replayed'), again.headers.get('idempotent-replayed')]).toEqual([
      null,
      'true',
    ]);
    expect(first.headers.get('location')).toMatch(/^\/urls\/\d+$|\/urls\/\d+$/);
    const other = await send(
      'POST',
      '/shorten',
      { url: 'https://example.com/2' },
      { 'idempotency-key': 'nginx 1' },
    );
    expect(other.status).toBe(422);
  });

  it('keys are taken from either header, and refused without', async () => {
    const refused = await ask('/keys');
    expect([refused.status, refused.headers.get('www-authenticate')]).toEqual([401, 'Bearer']);
    for (const headers of [{ authorization: `Bearer ${ADMIN_KEY}` }, { 'x-api-key': ADMIN_KEY }])
      expect((await ask('/keys', { headers: headers as Record<string, string> })).status).toBe(200);
  });

  it('lists have their pages, totals, orders and forms', async () => {
    const user = await createUser(server);
    for (const title of ['b', 'a', 'c']) await make({ title, user_id: user.id, tags: ['nginx'] });
    const list = `/urls?user_id=${user.id}&tag=nginx&sort=title`;
    const first = await ask(`${list}&limit=2&with_total=true`);
    expect((first.body as Url[]).map(({ title }) => title)).toEqual(['a', 'b']);
    expect(first.headers.get('x-total-count')).toBe('3');
    const next = new URL(
      /^<([^>]+)>; rel="next"$/.exec(first.headers.get('link') ?? '')?.[1] ?? '',
      nginx.url,
    );
    const second = await ask(next.pathname + next.search);
    expect((second.body as Url[]).map(({ title }) => title)).toEqual(['c']);
    const csv = await ask(list, { headers: { accept: 'text/csv' } });
    expect(csv.headers.get('content-type')).toMatch(/^text\/csv/);
    expect(csv.headers.get('content-disposition')).toContain('attachment');
    expect((csv.body as string).trim().split('\r\n')).toHaveLength(4);
    expect((await ask(`${list}&sort=-click_count`.replace('&sort=title', ''))).status).toBe(200);
  });

  it('errors are problems for who wants them so', async () => {
    const headers = { accept: 'application/problem+json' };
    const { status, body, headers: answered } = await ask('/urls/0', { headers });
    expect([status, answered.get('content-type')]).toEqual([404, 'application/problem+json']);
    expect(body).toMatchObject({ status: 404, type: expect.any(String), title: expect.any(String) });
  });
});
