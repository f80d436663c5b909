import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { openapiDocument } from '../../src/api/openapi/document.js';
import { ADMIN_KEY, asKey } from '../support/clients/keys.js';
import { startServer } from '../support/server/server.js';
import { createUrl, useServer } from '../support/server/suite.js';

const APP = 'https://app.example.com';
const suite = useServer({
  CORS_ORIGINS: `${APP}, http://localhost:5173`,
  API_AUTH: 'on',
  API_RATE_PER_MINUTE: '1000',
  ADMIN_KEY,
});

const key = { 'x-api-key': ADMIN_KEY };
const ask = (path: string, headers: Record<string, string> = {}, method = 'GET') =>
  suite.server.fetch(path, { method, headers: { origin: APP, ...headers } });
const preflight = (path: string, method = 'PATCH', origin = APP) =>
  ask(
    path,
    { origin, 'access-control-request-method': method, 'access-control-request-headers': 'x-api-key' },
    'OPTIONS',
  );

/** The headers of the protocol that an answer has. */
function ofCors({ headers }: Response): Record<string, string> {
  return Object.fromEntries([...headers].filter(([name]) => name.startsWith('access-control-')));
}

/** Whether the answer says that it is another one for pages of other origins. */
function varies({ headers }: Response): boolean {
  return (headers.get('vary') ?? '').split(', ').includes('Origin');
}

describe('with CORS_ORIGINS', () => {
  it('answers a preflight without a key, for each path of the API by its own methods', async () => {
    for (const [path, methods] of [
      ['/urls', 'GET, HEAD, POST'],
      ['/urls/1', 'GET, HEAD, PUT, PATCH, DELETE'],
      ['/urls/bulk', 'POST, PATCH, DELETE'],
      ['/urls/1/qr', 'GET, HEAD'],
      ['/shorten', 'POST'],
      ['/stats/live', 'GET, HEAD'],
      ['/health', 'GET, HEAD'],
    ] as const) {
      const answer = await preflight(path);
      expect([path, answer.status, await answer.text()]).toEqual([path, 204, '']);
      expect(ofCors(answer)).toEqual({
        'access-control-allow-origin': APP,
        'access-control-allow-methods': methods,
        'access-control-allow-headers': expect.stringMatching(/^[a-z, -]+$/) as string,
        'access-control-expose-headers': expect.any(String) as string,
        'access-control-max-age': '600',
      });
      expect([answer.headers.get('vary'), answer.headers.get('allow')]).toEqual([
        'Origin',
        `${methods}, OPTIONS`,
      ]);
      expect(answer.headers.get('ratelimit')).toBeNull();
    }
  });

  it('lets a page send what the API reads, and read what it says', async () => {
    const { headers } = await preflight('/urls');
    const sent = headers.get('access-control-allow-headers')?.split(', ');
    for (const name of [
      'authorization',
      'x-api-key',
      'content-type',
      'idempotency-key',
      'if-none-match',
      'accept',
    ])
      expect(sent).toContain(name);
    expect(sent).not.toContain('x-link-password');
    const read = (await ask('/urls', key)).headers
      .get('access-control-expose-headers')
      ?.toLowerCase()
      .split(', ');
    // All that the document names, but for those that any page may read, or that are for no page.
    const { paths } = openapiDocument(z, '1') as {
      paths: Record<string, Record<string, { responses: Record<string, { headers: object }> }>>;
    };
    const operations = Object.values(paths).flatMap((item) => Object.values(item));
    const answers = operations.flatMap(({ responses }) => Object.values(responses));
    const names = new Set(answers.flatMap(({ headers: one }) => Object.keys(one)));
    names.delete('Cache-Control');
    names.delete('Allow');
    expect(names.size).toBeGreaterThan(5);
    for (const name of names) expect(read).toContain(name.toLowerCase());
  });

  it('says so on every answer of the API: refusals, unknown paths and methods, 304 and lists too', async () => {
    const { id } = await createUrl(asKey(suite.server, ADMIN_KEY));
    const tag = (await ask(`/urls/${id}/qr`, key)).headers.get('etag') ?? '';
    for (const [status, path, headers, method] of [
      [200, '/urls', key],
      [200, '/urls', key, 'HEAD'],
      [200, '/health', {}],
      [304, `/urls/${id}/qr`, { ...key, 'if-none-match': tag }],
      [400, '/urls?page=x', key],
      [400, '/urls', { ...key, 'idempotency-key': 'x' }],
      [401, '/urls', {}],
      [404, '/urls/999999999', key],
      [404, '/urls/abc', {}, 'POST'],
      [404, '/nothing/here', {}],
      [405, '/urls', key, 'PUT'],
      [405, '/shorten', key],
    ] as [number, string, Record<string, string>, string?][]) {
      const answer = await ask(path, headers, method);
      expect([path, answer.status]).toEqual([path, status]);
      expect(answer.headers.get('access-control-allow-origin')).toBe(APP);
      expect(varies(answer)).toBe(true);
    }
    expect((await ask('/shorten', key)).headers.get('allow')).toBe('POST, OPTIONS');
  });

  it('knows an origin by each of its letters, and says nothing to others but that it depends', async () => {
    const local = await ask('/health', { origin: 'http://localhost:5173' });
    expect(local.headers.get('access-control-allow-origin')).toBe('http://localhost:5173');
    for (const origin of [
      'https://app.example.com.evil.example',
      'https://evil.example',
      'http://app.example.com',
      'https://app.example.com:8443',
      'https://app.example.co',
      'null',
      '',
    ]) {
      for (const answer of [await ask('/health', { origin }), await preflight('/urls', 'POST', origin)]) {
        expect([origin, ofCors(answer)]).toEqual([origin, {}]);
        expect(varies(answer)).toBe(true);
      }
    }
  });

  it('never says so of redirects, whatever becomes of them', async () => {
    const { short_code } = await createUrl(asKey(suite.server, ADMIN_KEY));
    for (const [status, path] of [
      [302, `/${short_code}`],
      [302, `/${short_code}/`],
      [302, `/urls/${short_code}/redirect`],
      [200, `/${short_code}+`],
      [404, '/unknown-code'],
    ] as const) {
      for (const answer of [await ask(path), await ask(path, {}, 'HEAD')]) {
        expect([path, answer.status]).toEqual([path, status]);
        expect([ofCors(answer), varies(answer)]).toEqual([{}, false]);
      }
      const refused = await preflight(path, 'GET');
      expect([path, refused.status, ofCors(refused)]).toEqual([path, 405, {}]);
    }
  });
});

describe('CORS_ORIGINS', () => {
  it('lets pages of every origin where it is *', async () => {
    const server = await startServer({ DATABASE_URL: suite.database.url, CORS_ORIGINS: '*' });
    for (const origin of [APP, 'null', '']) {
      const answer = await server.fetch('/urls?limit=1', { headers: { origin } });
      expect(answer.headers.get('access-control-allow-origin')).toBe('*');
      expect(varies(answer)).toBe(false);
    }
    const asked = await server.fetch('/users/5', { method: 'OPTIONS', headers: { origin: APP } });
    expect([asked.status, asked.headers.get('access-control-allow-methods')]).toEqual([
      204,
      'GET, HEAD, PUT, DELETE',
    ]);
    await server.stop();
  });

  it('is off where it is not set: nothing is said, and OPTIONS is no method', async () => {
    const server = await startServer({ DATABASE_URL: suite.database.url });
    const answer = await server.fetch('/urls', { headers: { origin: APP } });
    expect([ofCors(answer), varies(answer)]).toEqual([{}, false]);
    const refused = await server.fetch('/urls', { method: 'OPTIONS', headers: { origin: APP } });
    expect([refused.status, refused.headers.get('allow'), ofCors(refused)]).toEqual([
      405,
      'GET, HEAD, POST',
      {},
    ]);
    await server.stop();
  });
});
