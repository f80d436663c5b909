import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Url } from '../support/clients/answers.js';
import { bodyOf } from '../support/clients/api-client.js';
import { ADMIN_KEY } from '../support/clients/keys.js';
import { sendRaw } from '../support/clients/raw-http.js';
import { createDatabase, type TestDatabase } from '../support/database/database.js';
import { describeWith } from '../support/machine/tools.js';
import { startServer, type TestServer } from '../support/server/server.js';
import { createUrl, createUser } from '../support/server/suite.js';
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

  async function make(fields: object = {}): Promise<Url> {
    count += 1;
    return createUrl(nginx, { original_url: `https://example.com/nginx/${count}`, ...fields });
  }

  describe('/urls/bulk', () => {
    const targets = (length: number): { original_url: string }[] =>
      Array.from({ length }, (_, n) => ({
        original_url: `https://example.com/bulk/${n}?${'x'.repeat(2000)}`,
      }));

    it('makes, changes and deletes a thousand at once, whose bodies are larger than others may be', async () => {
      const made = await nginx.send('POST', '/urls/bulk', { urls: targets(1000) });
      expect([made.status, made.body]).toEqual([200, expect.objectContaining({ created: 1000, failed: 0 })]);
      const ids = bodyOf(made, 200).results.map(({ url }) => url?.id);
      const changed = await nginx.send('PATCH', '/urls/bulk', { ids, set: { title: 'together' } });
      expect(changed.body).toMatchObject({ updated: 1000, failed: 0 });
      const gone = await nginx.send('DELETE', '/urls/bulk', { ids });
      expect(gone.body).toMatchObject({ deleted: 1000, failed: 0 });
    });

    it('says with ?atomic=true why none was done', async () => {
      const { short_code: taken } = await make();
      const urls = [
        { original_url: 'https://example.com' },
        { original_url: 'https://e.com', short_code: taken },
      ];
      expect(await nginx.post('/urls/bulk?atomic=true', { urls })).toMatchObject({
        status: 409,
        body: { results: [{ status: 424 }, { status: 409 }] },
      });
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
    const { status, body } = await nginx.ask('/urls/import?on_conflict=fail', { method: 'POST', body: form });
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
    const visit = await nginx.ask('/imported-2999');
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
      const asked = await nginx.ask(`/${link.short_code}`, { headers: browser });
      expect([asked.status, asked.headers.get('cache-control')]).toEqual([
        401,
        expect.stringContaining('no-store'),
      ]);
      expect(asked.body).toMatch(/<form[^>]*method="post"/i);
      const wrong = await nginx.ask(`/${link.short_code}`, form('wrong'));
      expect([wrong.status, wrong.headers.get('content-type')]).toEqual([401, 'text/html; charset=utf-8']);
      const right = await nginx.ask(`/${link.short_code}`, form('pä ss+wörd'));
      expect([right.status, right.headers.get('location')]).toEqual([303, link.original_url]);
      const behindSlash = await nginx.ask(`/${link.short_code}/`, form('pä ss+wörd'));
      expect([behindSlash.status, behindSlash.headers.get('location')]).toEqual([303, link.original_url]);
    });

    it('is taken from its header, and asked for in JSON', async () => {
      const link = await make({ password: 'secret' });
      const asked = await nginx.ask(`/urls/${link.short_code}/redirect`);
      expect([asked.status, asked.body]).toEqual([401, { error: 'Password required' }]);
      const wrong = await nginx.ask(`/${link.short_code}`, { headers: { 'x-link-password': 'wrong' } });
      expect([wrong.status, wrong.body]).toEqual([401, { error: 'Wrong password' }]);
      const right = await nginx.ask(`/${link.short_code}`, { headers: { 'x-link-password': 'secret' } });
      expect([right.status, right.headers.get('location')]).toEqual([302, link.original_url]);
    });

    it('is guessed ten times a minute from one address, as the proxy says it', async () => {
      const link = await make({ password: 'secret' });
      for (let guess = 0; guess < 10; guess += 1)
        expect(
          (await nginx.ask(`/${link.short_code}`, { headers: { 'x-link-password': 'no' } })).status,
        ).toBe(401);
      const { status, body, headers } = await nginx.ask(`/${link.short_code}`, {
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
      const { status, body } = await nginx.ask(path);
      expect([status, body]).toEqual([
        200,
        expect.objectContaining({
          short_code: link.short_code,
          original_url: link.original_url,
          title: 'Shown',
        }),
      ]);
      const page = await nginx.ask(path, { headers: { accept: 'text/html' } });
      expect([page.status, page.headers.get('content-type')]).toEqual([200, 'text/html; charset=utf-8']);
      expect(page.body).toContain('example.com');
    });

    it('of a protected link is 401, of one that is none 404', async () => {
      const { short_code: code } = await make({ password: 'secret' });
      expect((await nginx.ask(`/${code}+`)).status).toBe(401);
      expect((await nginx.ask('/none-at-all+')).status).toBe(404);
    });

    it('by a browser that loads ahead is no click', async () => {
      const link = await make();
      for (const headers of [{ 'sec-purpose': 'prefetch;prerender' }, { purpose: 'prefetch' }])
        expect((await nginx.ask(`/${link.short_code}`, { headers })).status).toBe(302);
      const events = await nginx.get(`/events?url_id=${link.id}`);
      const types = events.map(({ event_type: type }) => type);
      expect(types.filter((type) => type !== 'created')).toEqual(['preview', 'preview']);
    });
  });

  describe('a redirect', () => {
    it.each([301, 302, 307, 308])('has the link’s status %s, and the methods of it', async (status) => {
      const link = await make({ redirect_status: status, cache_seconds: 60 });
      const { status: got, headers } = await nginx.ask(`/${link.short_code}`);
      expect([got, headers.get('location'), headers.get('cache-control')]).toEqual([
        status,
        link.original_url,
        'private, max-age=60',
      ]);
      const head = await nginx.ask(`/${link.short_code}`, { method: 'HEAD' });
      expect([head.status, head.headers.get('location')]).toEqual([status, link.original_url]);
      const put = await nginx.ask(`/${link.short_code}`, { method: 'PUT', body: 'x' });
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
        expect([path, (await nginx.ask(path)).headers.get('location')]).toEqual([path, link.original_url]);
      expect([(await nginx.ask('/none-at-all/')).status, (await nginx.ask('/none-at-all/')).body]).toEqual([
        404,
        { error: 'Short URL not found' },
      ]);
    });

    it('ends with its time and its clicks', async () => {
      const over = await make({ expires_at: '2020-01-01T00:00:00Z' });
      const expired = await nginx.ask(`/${over.short_code}`);
      expect([expired.status, expired.body, expired.headers.get('cache-control')]).toEqual([
        410,
        { error: 'Link expired' },
        'no-store',
      ]);
      const once = await make({ max_clicks: 1, expired_url: 'https://example.com/over' });
      expect(
        (await nginx.ask(`/${once.short_code}`, { headers: { 'sec-purpose': 'prefetch' } })).status,
      ).toBe(503);
      expect((await nginx.ask(`/${once.short_code}`)).headers.get('location')).toBe(once.original_url);
      expect((await nginx.ask(`/${once.short_code}`)).headers.get('location')).toBe(
        'https://example.com/over',
      );
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
    const shorten = (url: string) =>
      nginx.ask('/shorten', {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'idempotency-key': 'nginx 1' },
        body: JSON.stringify({ url }),
      });
    const first = await shorten('https://example.com/once');
    const again = await shorten('https://example.com/once');
    expect([first.status, again.status, again.body]).toEqual([201, 201, first.body]);
    expect([first.headers.get('idempotent-replayed'), again.headers.get('idempotent-replayed')]).toEqual([
      null,
      'true',
    ]);
    expect(first.headers.get('location')).toMatch(/^\/urls\/\d+$|\/urls\/\d+$/);
    const other = await shorten('https://example.com/2');
    expect(other.status).toBe(422);
  });

  it('keys are taken from either header, and refused without', async () => {
    const refused = await nginx.ask('/keys');
    expect([refused.status, refused.headers.get('www-authenticate')]).toEqual([401, 'Bearer']);
    for (const headers of [{ authorization: `Bearer ${ADMIN_KEY}` }, { 'x-api-key': ADMIN_KEY }])
      expect((await nginx.ask('/keys', { headers: headers as Record<string, string> })).status).toBe(200);
  });

  it('lists have their pages, totals, orders and forms', async () => {
    const user = await createUser(server);
    for (const title of ['b', 'a', 'c']) await make({ title, user_id: user.id, tags: ['nginx'] });
    const list = `/urls?user_id=${user.id}&tag=nginx&sort=title` as const;
    const first = await nginx.ask(`${list}&limit=2&with_total=true`);
    expect(bodyOf(first, 200).map(({ title }) => title)).toEqual(['a', 'b']);
    expect(first.headers.get('x-total-count')).toBe('3');
    const next = new URL(
      /^<([^>]+)>; rel="next"$/.exec(first.headers.get('link') ?? '')?.[1] ?? '',
      nginx.url,
    );
    const second = await nginx.ask(`/urls?${next.searchParams}`);
    expect(bodyOf(second, 200).map(({ title }) => title)).toEqual(['c']);
    const csv = await nginx.fetch(list, { headers: { accept: 'text/csv' } });
    expect(csv.headers.get('content-type')).toMatch(/^text\/csv/);
    expect(csv.headers.get('content-disposition')).toContain('attachment');
    expect((await csv.text()).trim().split('\r\n')).toHaveLength(4);
    expect((await nginx.ask(`${list}&sort=-click_count`.replace('&sort=title', ''))).status).toBe(200);
  });

  it('errors are problems for who wants them so', async () => {
    const headers = { accept: 'application/problem+json' };
    const { status, body, headers: answered } = await nginx.ask('/urls/0', { headers });
    expect([status, answered.get('content-type')]).toEqual([404, 'application/problem+json']);
    expect(body).toMatchObject({ status: 404, type: expect.any(String), title: expect.any(String) });
  });
});
