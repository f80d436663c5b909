import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createDatabase, type TestDatabase } from '../support/database/database.js';
import { eventually } from '../support/machine/wait.js';
import { startServer, type TestServer } from '../support/server/server.js';

let database: TestDatabase;
let server: TestServer;
let count = 0;

beforeAll(async () => {
  database = await createDatabase();
  server = await startServer({
    DATABASE_URL: database.url,
    CALL_DEADLINE_MS: '20000',
    READ_BARRIER_MS: '10000',
  });
});

afterAll(async () => {
  await server?.stop();
  await database?.drop();
});

/** A link with these columns set, as SQL; made by hand so that only the visit is under test. */
async function linkWith(columns: Record<string, string> = {}): Promise<string> {
  count += 1;
  const code = `visit${count}`;
  const names = Object.keys(columns).map((name) => `, ${name}`);
  const values = Object.values(columns).map((value) => `, ${value}`);
  await database.query(
    `INSERT INTO short_urls (short_code, original_url${names.join('')})
     VALUES ('${code}', 'https://example.com/${code}'${values.join('')})`,
  );
  return code;
}

function visit(code: string, init: RequestInit = {}): Promise<Response> {
  return fetch(`${server.url}/${code}`, { redirect: 'manual', ...init });
}

async function clicksOf(code: string): Promise<number> {
  const events = await server.get('/events?event_type=click');
  return events.filter(({ details }) => details.short_code === code).length;
}

const inPast = `now() AT TIME ZONE 'utc' - interval '1 minute'`;
const inFuture = `now() AT TIME ZONE 'utc' + interval '1 hour'`;

describe('a link’s status', () => {
  it.each([301, 302, 307, 308])('%i is what it redirects with, from the cache too', async (status) => {
    const code = await linkWith({ redirect_status: String(status) });
    for (let visits = 0; visits < 3; visits += 1) {
      const answer = await visit(code);
      expect([answer.status, answer.headers.get('location')]).toEqual([
        status,
        `https://example.com/${code}`,
      ]);
      const isPermanent = status === 301 || status === 308;
      expect(answer.headers.get('cache-control')).toBe(isPermanent ? 'private, no-store' : null);
    }
    expect(await clicksOf(code)).toBe(3);
  });

  it('307 and 308 answer every method but OPTIONS, and all but HEAD make a click', async () => {
    const code = await linkWith({ redirect_status: '307' });
    for (const method of ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD']) {
      const init = method === 'GET' || method === 'HEAD' ? { method } : { method, body: 'x=1' };
      expect([method, (await visit(code, init)).status]).toEqual([method, 307]);
    }
    expect((await visit(code, { method: 'OPTIONS' })).status).toBe(405);
    expect(await clicksOf(code)).toBe(5);
  });

  it('301 and 302 refuse methods besides GET and HEAD; an unknown code is 404 for any', async () => {
    const code = await linkWith({ redirect_status: '301' });
    const refused = await visit(code, { method: 'POST', body: 'x' });
    expect([refused.status, refused.headers.get('allow')]).toEqual([405, 'GET, HEAD']);
    expect((await visit('nobody-has-it', { method: 'POST', body: 'x' })).status).toBe(404);
    expect(await clicksOf(code)).toBe(0);
  });
});

describe('caching', () => {
  it('says max-age, and no more than is left until the link expires', async () => {
    const kept = await linkWith({ cache_seconds: '3600', redirect_status: '301' });
    expect((await visit(kept)).headers.get('cache-control')).toBe('private, max-age=3600');
    const expiring = await linkWith({
      cache_seconds: '3600',
      expires_at: `now() AT TIME ZONE 'utc' + interval '90 seconds'`,
    });
    for (let visits = 0; visits < 2; visits += 1) {
      const [, age] =
        /^private, max-age=(\d+)$/.exec((await visit(expiring)).headers.get('cache-control') ?? '') ?? [];
      expect(Number(age)).toBeLessThanOrEqual(90);
      expect(Number(age)).toBeGreaterThan(30);
    }
  });

  it('says no-store where a code leads nowhere', async () => {
    expect((await visit('nobody-has-it')).headers.get('cache-control')).toBe('no-store');
  });
});

describe('the time in which a link holds', () => {
  it('before it begins the code is unknown, and afterwards it is not', async () => {
    const code = await linkWith({ valid_since: `now() AT TIME ZONE 'utc' + interval '3 seconds'` });
    const early = await visit(code);
    expect([early.status, await early.json()]).toEqual([404, { error: 'Short URL not found' }]);
    await eventually(async () => (await visit(code)).status === 302);
  });

  it('after it ends the answer is 410', async () => {
    const code = await linkWith({ expires_at: inPast });
    for (let visits = 0; visits < 2; visits += 1) {
      const answer = await visit(code);
      expect([answer.status, await answer.json()]).toEqual([410, { error: 'Link expired' }]);
      expect(answer.headers.get('cache-control')).toBe('no-store');
    }
    expect(await clicksOf(code)).toBe(0);
  });

  it('or it leads elsewhere, with 302 and without a click', async () => {
    const code = await linkWith({
      expires_at: inPast,
      expired_url: `'https://example.com/gone/ä'`,
      redirect_status: '308',
    });
    const answer = await visit(code);
    expect([answer.status, answer.headers.get('location')]).toEqual([302, 'https://example.com/gone/%C3%A4']);
    expect(answer.headers.get('cache-control')).toBe('no-store');
    expect(await clicksOf(code)).toBe(0);
  });

  it('ends for a cached link at its second', async () => {
    const code = await linkWith({ expires_at: `now() AT TIME ZONE 'utc' + interval '3 seconds'` });
    expect((await visit(code)).status).toBe(302);
    expect((await visit(code)).status).toBe(302);
    await eventually(async () => (await visit(code)).status === 410);
  });

  it('is changed by hand like any other part of a link', async () => {
    const code = await linkWith({ expires_at: inFuture });
    expect((await visit(code)).status).toBe(302);
    await database.query(`UPDATE short_urls SET expires_at = ${inPast} WHERE short_code = '${code}'`);
    await eventually(async () => (await visit(code)).status === 410);
    await database.query(`UPDATE short_urls SET expires_at = NULL WHERE short_code = '${code}'`);
    await eventually(async () => (await visit(code)).status === 302);
  });
});

describe('a prefetch', () => {
  it('redirects and is no click', async () => {
    const code = await linkWith();
    for (const headers of [{ 'Sec-Purpose': 'prefetch;prerender' }, { Purpose: 'prefetch' }]) {
      for (let visits = 0; visits < 2; visits += 1) expect((await visit(code, { headers })).status).toBe(302);
    }
    expect((await visit(code)).status).toBe(302);
    expect(await clicksOf(code)).toBe(1);
  });
});

describe('a slash behind a code', () => {
  it('is forgiven, with punctuation before it too', async () => {
    const code = await linkWith();
    for (const path of [`${code}/`, `${code}./`, `${code}/`]) {
      const answer = await visit(path);
      expect([path, answer.status, answer.headers.get('location')]).toEqual([
        path,
        302,
        `https://example.com/${code}`,
      ]);
    }
    expect((await visit(`${code}/?x=1`, { method: 'HEAD' })).status).toBe(302);
    expect(await clicksOf(code)).toBe(3);
  });

  it('behind no code is 404 of a link, behind a reserved word of a route', async () => {
    const unknown = await visit('nobody-has-it/');
    expect([unknown.status, await unknown.json()]).toEqual([404, { error: 'Short URL not found' }]);
    for (const word of ['users/', 'Admin/', 'health/']) {
      const reserved = await visit(word);
      expect([reserved.status, await reserved.json()]).toEqual([404, { error: 'Not found', status: 404 }]);
    }
  });
});

describe('a plus behind a code', () => {
  it('shows where the link leads, without an event', async () => {
    const code = await linkWith({ title: `'A <b>title</b>'`, expires_at: `'2099-01-02 03:04:05'` });
    for (const path of [`${code}+`, `${code}%2B`]) {
      const answer = await visit(path);
      expect([answer.status, await answer.json()]).toEqual([
        200,
        {
          short_code: code,
          short_url: `${server.url}/${code}`,
          original_url: `https://example.com/${code}`,
          title: 'A <b>title</b>',
          created_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$/),
          expires_at: '2099-01-02T03:04:05',
        },
      ]);
    }
    const page = await visit(`${code}+`, { headers: { accept: 'text/html' } });
    expect(page.headers.get('content-type')).toBe('text/html; charset=utf-8');
    const html = await page.text();
    expect(html).toContain('<p class="host">example.com</p>');
    expect(html).toContain('A &lt;b&gt;title&lt;/b&gt;');
    expect(await clicksOf(code)).toBe(0);
    const [row] = await database.query(
      `SELECT count(*)::int AS n FROM events JOIN short_urls ON short_urls.id = url_id WHERE short_code = '${code}'`,
    );
    expect(row).toEqual({ n: 0 });
  });

  it.each<[string, Record<string, string>]>([
    ['inactive', { is_active: 'false' }],
    ['expired', { expires_at: inPast }],
    ['not yet valid', { valid_since: inFuture }],
    ['used up', { max_clicks: '3', claimed_clicks: '3' }],
  ])('is 404 where the link is %s', async (_, columns) => {
    const code = await linkWith(columns);
    const answer = await visit(`${code}+`);
    expect([answer.status, await answer.json()]).toEqual([404, { error: 'Short URL not found' }]);
  });

  it('is 401 where there is a password, and 404 where there is no link', async () => {
    const code = await linkWith({ password_hash: `'scrypt$x'` });
    const answer = await visit(`${code}+`);
    expect([answer.status, await answer.json()]).toEqual([401, { error: 'Password required' }]);
    expect((await visit('nobody-has-it+')).status).toBe(404);
  });

  it('is part of a code that ends so', async () => {
    const code = await linkWith();
    await database.query(
      `INSERT INTO short_urls (short_code, original_url) VALUES ('${code}+', 'https://example.com/plus')`,
    );
    await eventually(
      async () => (await visit(`${code}+`)).headers.get('location') === 'https://example.com/plus',
    );
    await database.query(`UPDATE short_urls SET is_active = false WHERE short_code = '${code}+'`);
    await eventually(async () => (await visit(`${code}+`)).status === 404);
  });
});
