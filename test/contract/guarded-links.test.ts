import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bodyOf } from '../support/clients/api-client.js';
import { sendRaw } from '../support/clients/raw-http.js';
import { createDatabase, type TestDatabase } from '../support/database/database.js';
import { eventually } from '../support/machine/wait.js';
import { startServer, type TestServer } from '../support/server/server.js';

let database: TestDatabase;
let server: TestServer;
let count = 0;

beforeAll(async () => {
  database = await createDatabase();
  server = await startServer({ DATABASE_URL: database.url, GATEWAY_THREADS: '2', READ_BARRIER_MS: '10000' });
});

afterAll(async () => {
  await server?.stop();
  await database?.drop();
});

interface Made {
  readonly id: number;
  readonly short_code: string;
  readonly original_url: string;
}

async function linkWith(fields: object): Promise<Made> {
  count += 1;
  const given = { original_url: `https://example.com/guarded/${count}`, ...fields };
  return bodyOf(await server.post('/urls', given), 201);
}

function visit({ short_code: code }: Made, init: RequestInit = {}): Promise<Response> {
  return server.fetch(`/${code}`, init);
}

async function clicksOf({ id }: Made): Promise<number> {
  return (await server.get(`/events?url_id=${id}&event_type=click`)).length;
}

async function claimedOf({ id }: Made): Promise<number> {
  const [row] = await database.query<{ n: number }>(
    `SELECT claimed_clicks::int AS n FROM short_urls WHERE id = ${id}`,
  );
  return row?.n ?? Number.NaN;
}

const answer = async (response: Response): Promise<[number, unknown]> => [
  response.status,
  response.status < 400 ? response.headers.get('location') : await response.json(),
];

describe('max_clicks', () => {
  it('redirects exactly so often, of many visits at once too, and counts them', async () => {
    const link = await linkWith({ max_clicks: 5, redirect_status: 301 });
    const answers = await Promise.all(Array.from({ length: 40 }, () => visit(link)));
    const redirects = answers.filter(({ status }) => status === 301);
    expect(redirects).toHaveLength(5);
    for (const { headers } of redirects) {
      expect(headers.get('location')).toBe(link.original_url);
      expect(headers.get('cache-control')).toBe('private, no-store');
    }
    const refused = answers.filter(({ status }) => status === 410);
    expect(refused).toHaveLength(35);
    expect(refused[0]?.headers.get('cache-control')).toBe('no-store');
    expect(await refused[0]?.json()).toEqual({ error: 'Click limit reached' });
    await eventually(async () => (await clicksOf(link)) === 5);
    expect(await claimedOf(link)).toBe(5);
  });

  it('used up leads to expired_url, without a click', async () => {
    const link = await linkWith({ max_clicks: 1, expired_url: 'https://example.com/over' });
    expect(await answer(await visit(link))).toEqual([302, link.original_url]);
    const over = await visit(link);
    expect(await answer(over)).toEqual([302, 'https://example.com/over']);
    expect(over.headers.get('cache-control')).toBe('no-store');
    expect(await clicksOf(link)).toBe(1);
  });

  it('is not used up by a HEAD, which gets no Location, nor by a prefetch, which gets 503', async () => {
    const link = await linkWith({ max_clicks: 1, redirect_status: 307 });
    for (let visits = 0; visits < 2; visits += 1) {
      const head = await visit(link, { method: 'HEAD' });
      expect([head.status, head.headers.get('location')]).toEqual([307, null]);
      expect(head.headers.get('cache-control')).toBe('private, no-store');
      const prefetch = await visit(link, { headers: { 'sec-purpose': 'prefetch;prerender' } });
      expect([prefetch.status, prefetch.headers.get('location')]).toEqual([503, null]);
      expect(prefetch.headers.get('cache-control')).toContain('no-store');
    }
    expect((await visit(link, { method: 'POST', body: 'x' })).status).toBe(307);
    expect((await visit(link, { method: 'HEAD' })).status).toBe(410);
    expect(await clicksOf(link)).toBe(1);
  });

  it('counts from 0 where there was none, goes on where there was one, and can be taken away', async () => {
    const link = await linkWith({});
    expect((await visit(link)).status).toBe(302);
    const set = (fields: object) => server.send('PATCH', `/urls/${link.id}`, fields);
    await set({ max_clicks: 2 });
    await visit(link);
    await visit(link);
    expect((await visit(link)).status).toBe(410);
    await set({ max_clicks: 3 });
    expect((await visit(link)).status).toBe(302);
    expect((await visit(link)).status).toBe(410);
    await set({ max_clicks: 1 });
    expect((await visit(link)).status).toBe(410);
    await set({ max_clicks: null });
    expect((await visit(link)).status).toBe(302);
    await set({ max_clicks: 1 });
    expect((await visit(link)).status).toBe(302);
    expect((await visit(link)).status).toBe(410);
  });

  it('never leads to a target that was replaced', async () => {
    const link = await linkWith({ max_clicks: 100 });
    await visit(link);
    // Behind the server's back, and without its trigger: what the cache has is out of date for certain.
    await database.query(
      `BEGIN; SET LOCAL session_replication_role = replica;
       UPDATE short_urls SET original_url = 'https://example.com/new' WHERE id = ${link.id}; COMMIT`,
    );
    expect(await answer(await visit(link))).toEqual([302, 'https://example.com/new']);
    await database.query(
      `BEGIN; SET LOCAL session_replication_role = replica;
       UPDATE short_urls SET is_active = false WHERE id = ${link.id}; COMMIT`,
    );
    expect(await answer(await visit(link))).toEqual([404, { error: 'Short URL not found' }]);
    expect(await claimedOf(link)).toBe(2);
  });

  it('holds for each of two spellings, and across gateways', async () => {
    const link = await linkWith({ max_clicks: 2, short_code: 'OnlyTwice' });
    const answers = [
      await server.fetch('/OnlyTwice'),
      await server.fetch('/onlytwice.'),
      await server.fetch('/ONLYTWICE/'),
      await server.fetch(`/urls/OnlyTwice/redirect`),
    ];
    expect(answers.map(({ status }) => status)).toEqual([302, 302, 410, 410]);
    expect(await clicksOf(link)).toBe(2);
  });
});

const form = (fields: Record<string, string>): RequestInit => ({
  method: 'POST',
  body: new URLSearchParams(fields),
  headers: { accept: 'text/html,application/xhtml+xml' },
});

describe('a password', () => {
  it('is asked for: of a program in JSON, of a browser with a form', async () => {
    const link = await linkWith({ password: 'pässword' });
    for (let visits = 0; visits < 2; visits += 1) {
      const asked = await visit(link);
      expect(await answer(asked)).toEqual([401, { error: 'Password required' }]);
      expect(asked.headers.get('cache-control')).toBe('private, no-store');
    }
    const page = await visit(link, { headers: { accept: 'text/html' } });
    expect([page.status, page.headers.get('content-type')]).toEqual([401, 'text/html; charset=utf-8']);
    expect(page.headers.get('content-security-policy')).toContain("default-src 'none'");
    const html = await page.text();
    expect(html).toMatch(/<form method="post">/);
    expect(html).toMatch(/<label for="password">/);
    expect(html).not.toContain('<script');
    expect(html).not.toContain(link.original_url);
    for (const accept of [
      'text/html;q=0, application/json',
      'text/html-fragment',
      'application/json, Text/Html; q=0.0',
    ])
      expect(await answer(await visit(link, { headers: { accept } }))).toEqual([
        401,
        { error: 'Password required' },
      ]);
    const capital = await visit(link, { headers: { accept: 'application/json;q=0.5, Text/HTML;level=1' } });
    expect(capital.headers.get('content-type')).toBe('text/html; charset=utf-8');
    expect(await clicksOf(link)).toBe(0);
  });

  it('given by header lets in, with the status of the link', async () => {
    const link = await linkWith({ password: 'in the middle: ä!', redirect_status: 308 });
    const right = Buffer.from('in the middle: ä!').toString('latin1');
    const let1 = await visit(link, { headers: { 'x-link-password': right } });
    expect(await answer(let1)).toEqual([308, link.original_url]);
    expect(let1.headers.get('cache-control')).toBe('private, no-store');
    const post = await visit(link, {
      method: 'POST',
      body: new URLSearchParams({ other: 'x' }),
      headers: { 'x-link-password': right },
    });
    expect(await answer(post)).toEqual([308, link.original_url]);
    const wrong = await visit(link, { headers: { 'x-link-password': 'no' } });
    expect(await answer(wrong)).toEqual([401, { error: 'Wrong password' }]);
    expect(await clicksOf(link)).toBe(2);
  });

  it.each([301, 302, 307, 308])('given by form answers 303, of a link with %i', async (redirect_status) => {
    const link = await linkWith({ password: 'a b&c=ä', redirect_status });
    const empty = await visit(link, form({ other: 'x' }));
    expect([empty.status, await empty.text()]).toEqual([401, expect.not.stringContaining('role="alert"')]);
    const wrong = await visit(link, form({ password: 'a' }));
    expect([wrong.status, await wrong.text()]).toEqual([401, expect.stringContaining('Wrong password')]);
    const right = await visit(link, form({ password: 'a b&c=ä' }));
    expect(await answer(right)).toEqual([303, link.original_url]);
    expect(right.headers.get('cache-control')).toBe('private, no-store');
    expect(await clicksOf(link)).toBe(1);
  });

  it('is not asked of a link that has none any more, and a form for another link is 405 as before', async () => {
    const link = await linkWith({ password: 'secret' });
    await visit(link);
    await server.send('PATCH', `/urls/${link.id}`, { password: null });
    expect(await answer(await visit(link))).toEqual([302, link.original_url]);
    const refused = await visit(link, form({ password: 'secret' }));
    expect([refused.status, refused.headers.get('allow')]).toEqual([405, 'GET, HEAD']);
    await server.send('PATCH', `/urls/${link.id}`, { password: 'other' });
    expect((await visit(link)).status).toBe(401);
    expect((await visit(link, { method: 'PUT', body: 'x' })).status).toBe(405);
  });

  it('is not given to a HEAD, and a prefetch is 503', async () => {
    const link = await linkWith({ password: 'secret' });
    const head = await visit(link, { method: 'HEAD' });
    expect([head.status, head.headers.get('location')]).toEqual([302, null]);
    expect((await visit(link, { headers: { purpose: 'prefetch' } })).status).toBe(503);
    expect(await clicksOf(link)).toBe(0);
  });

  it('comes before the limit, which a wrong one does not use up', async () => {
    const link = await linkWith({ password: 'secret', max_clicks: 1 });
    const withPassword = (password: string) => visit(link, { headers: { 'x-link-password': password } });
    expect((await visit(link)).status).toBe(401);
    expect((await withPassword('wrong')).status).toBe(401);
    expect(await claimedOf(link)).toBe(0);
    expect(await answer(await withPassword('secret'))).toEqual([302, link.original_url]);
    expect(await answer(await withPassword('secret'))).toEqual([410, { error: 'Click limit reached' }]);
    expect((await visit(link)).status).toBe(401);
    expect(await clicksOf(link)).toBe(1);
  });

  it('can be tried ten times a minute and no more, over all gateways', async () => {
    const link = await linkWith({ password: 'secret' });
    const other = await linkWith({ password: 'secret' });
    const withPassword = (to: Made, password: string) =>
      visit(to, { headers: { 'x-link-password': password, connection: 'close' } });
    const answers = await Promise.all(Array.from({ length: 14 }, (_, n) => withPassword(link, `wrong ${n}`)));
    expect(answers.filter(({ status }) => status === 401)).toHaveLength(10);
    const refused = answers.filter(({ status }) => status === 429);
    expect(refused).toHaveLength(4);
    expect(await refused[0]?.json()).toEqual({ error: 'Too many tries' });
    const wait = Number(refused[0]?.headers.get('retry-after'));
    expect(wait).toBeGreaterThan(0);
    expect(wait).toBeLessThanOrEqual(60);
    expect((await withPassword(link, 'secret')).status).toBe(429);
    expect((await withPassword(other, 'secret')).status).toBe(302);
    const page = await visit(link, form({ password: 'secret' }));
    expect([page.status, page.headers.get('content-type')]).toEqual([429, 'text/html; charset=utf-8']);
  });

  it('is in no log line', () => {
    const lines = server.logs.map((entry) => JSON.stringify(entry)).join('\n');
    for (const secret of ['pässword', 'in the middle', 'a b&c', 'wrong 3'])
      expect(lines).not.toContain(secret);
  });

  it('of a form that is too large is 413', async () => {
    const link = await linkWith({ password: 'secret' });
    expect((await visit(link, form({ password: 'x'.repeat(20_000) }))).status).toBe(413);
  });
});

describe('forward_query', () => {
  it('puts the visitor’s query behind the target’s, before its fragment', async () => {
    const link = await linkWith({ original_url: 'https://example.com/q?a=1#part', forward_query: true });
    for (let visits = 0; visits < 2; visits += 1) {
      const forwarded = await server.fetch(`/${link.short_code}?a=2&b=%20%C3%A4&b=x[]`);
      expect(forwarded.headers.get('location')).toBe('https://example.com/q?a=1&a=2&b=%20%C3%A4&b=x[]#part');
      const plain = await visit(link);
      expect(plain.headers.get('location')).toBe(link.original_url);
    }
    const off = await linkWith({});
    expect((await server.fetch(`/${off.short_code}?x=1`)).headers.get('location')).toBe(off.original_url);
    const details = await server.json(`/events?url_id=${link.id}&event_type=click`);
    expect(JSON.stringify(details.body)).not.toContain('a=2');
  });

  it.each([
    ['no UTF-8', [0xff], '%EF%BF%BD'],
    ['a character that was cut off', [0xe2, 0x82], '%EF%BF%BD'],
    ['UTF-8 of more bytes than it needs', [0xc0, 0xaf], '%EF%BF%BD%EF%BF%BD'],
    ['half of a pair', [0xed, 0xa0, 0x80], '%EF%BF%BD%EF%BF%BD%EF%BF%BD'],
    ['what was encoded, whatever it is', [...Buffer.from('%ff%0d%0a')], '%ff%0d%0a'],
    ['text', [...Buffer.from('ü€😀')], '%C3%BC%E2%82%AC%F0%9F%98%80'],
  ])('is ASCII where the query has %s, and its neighbours stay as they are', async (_, bytes, shown) => {
    const link = await linkWith({ original_url: 'https://example.com/q#part', forward_query: true });
    for (const cached of [false, true]) {
      const { status, headers } = await sendRaw(
        server.port,
        Buffer.concat([
          Buffer.from(`GET /${link.short_code}?a=%20&b=`),
          Buffer.from(bytes),
          Buffer.from('&c=[1] HTTP/1.1\r\nHost: a\r\n\r\n'),
        ]),
      );
      expect([cached, status, headers.get('location')]).toEqual([
        cached,
        302,
        `https://example.com/q?a=%20&b=${shown}&c=[1]#part`,
      ]);
    }
  });
});
