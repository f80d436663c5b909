import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { type RawAnswer, sendRaw } from '../support/clients/raw-http.js';
import { createDatabase, type TestDatabase } from '../support/database/database.js';
import { describeWith } from '../support/machine/tools.js';
import { eventually } from '../support/machine/wait.js';
import { freePort } from '../support/server/program.js';
import { startServer, type TestServer } from '../support/server/server.js';
import { createUrl } from '../support/server/suite.js';
import { untilEnd } from '../support/server/until-end.js';
import { Nginx } from '../support/stack/nginx.js';

describeWith('nginx')('every error, through a real Nginx', () => {
  let database: TestDatabase;
  let server: TestServer;
  let nginx: Nginx;

  beforeAll(async () => {
    database = await createDatabase();
    server = await startServer({ DATABASE_URL: database.url, BODY_DEADLINE_MS: '500' });
    nginx = await Nginx.start([server.port]);
  });

  afterAll(async () => {
    await nginx?.stop();
    await server?.stop();
    await database?.drop();
  });

  /** A whole request; lines are separated as HTTP wants it. */
  const request = (...lines: string[]): string => `${lines.join('\r\n')}\r\n\r\n`;
  const jsonPost = (path: string, ...headers: string[]): string[] => [
    `POST ${path} HTTP/1.1`,
    'Host: a',
    'Content-Type: application/json',
    ...headers,
  ];

  const expectError = (answer: RawAnswer, status: number, error: string): void => {
    expect(answer.body).toBe(JSON.stringify({ error, status }));
    expect(answer.status).toBe(status);
    expect(answer.headers.get('content-type')).toBe('application/json');
    expect(answer.headers.get('x-request-id')).toMatch(/^[\w-]{16,}$/);
  };

  describe('made by Nginx itself', () => {
    it.each([
      ['no HTTP at all', '\u0001\u0002\u0003\r\n\r\n'],
      ['a request line of one word', 'GET\r\n\r\n'],
      ['no Host', request('GET / HTTP/1.1')],
      ['two Hosts', request('GET / HTTP/1.1', 'Host: a', 'Host: b')],
      ['a path that leaves the root', request('GET /../x HTTP/1.1', 'Host: a')],
      ['a control character in the path', request('GET /a\u0001b HTTP/1.1', 'Host: a')],
      ['a length that is none', request(...jsonPost('/urls', 'Content-Length: many'))],
      [
        'a length and chunks',
        request(...jsonPost('/urls', 'Content-Length: 5', 'Transfer-Encoding: chunked')),
      ],
      ['a chunk that is none', `${request(...jsonPost('/urls', 'Transfer-Encoding: chunked'))}zzz\r\n`],
      [
        'a chunk that is none, of an import',
        `${request(...jsonPost('/users/bulk', 'Transfer-Encoding: chunked'))}zzz\r\n`,
      ],
    ])('400 for %s', async (_, bytes) => {
      expectError(await sendRaw(nginx.port, bytes), 400, 'Bad request');
    });

    it.each([
      '/metrics',
      '/metrics?x=1',
      '//metrics',
      '/./metrics',
      '/x/../metrics',
      '/%6Detrics',
      '/metrics#x',
    ])('403 for %s', async (path) => {
      expectError(await sendRaw(nginx.port, request(`GET ${path} HTTP/1.1`, 'Host: a')), 403, 'Forbidden');
    });

    it.each(['TRACE', 'CONNECT'])('405 for %s', async (method) => {
      const target = method === 'CONNECT' ? 'a:443' : '/';
      const answer = await sendRaw(nginx.port, request(`${method} ${target} HTTP/1.1`, 'Host: a'));
      // An authority for a path is a bad request to versions that know CONNECT only as another method.
      if (method === 'CONNECT' && answer.status === 400) expectError(answer, 400, 'Bad request');
      else expectError(answer, 405, 'Method not allowed');
    });

    it('413 for a body whose length is too large', async () => {
      const bytes = request(...jsonPost('/urls', 'Content-Length: 10485761'));
      expectError(await sendRaw(nginx.port, bytes), 413, 'Request body too large');
    });

    it('413 for chunks that are too many', async () => {
      const chunk = `100000\r\n${'x'.repeat(0x100000)}\r\n`;
      const bytes = request(...jsonPost('/urls', 'Transfer-Encoding: chunked')) + chunk.repeat(11);
      expectError(await sendRaw(nginx.port, bytes, 10_000), 413, 'Request body too large');
    });

    it.each([8190, 20_000])('414 for a path of %i characters', async (length) => {
      const bytes = request(`GET /${'a'.repeat(length)} HTTP/1.1`, 'Host: a');
      expectError(await sendRaw(nginx.port, bytes), 414, 'URI too long');
    });

    it.each([
      ['one header of 8 kB', [`Cookie: ${'c'.repeat(8200)}`]],
      ['headers of 80 kB', Array.from({ length: 10 }, (_, index) => `X-${index}: ${'c'.repeat(8000)}`)],
    ])('431 for %s', async (_, headers) => {
      const answer = await sendRaw(nginx.port, request('GET /health HTTP/1.1', 'Host: a', ...headers));
      expectError(answer, 431, 'Request header fields too large');
    });

    it('501 for an unknown transfer coding', async () => {
      const answer = await sendRaw(nginx.port, request(...jsonPost('/urls', 'Transfer-Encoding: zip')));
      expectError(answer, 501, 'Not implemented');
    });

    it('505 for a version that is none', async () => {
      const answer = await sendRaw(nginx.port, request('GET / HTTP/3.7', 'Host: a'));
      expectError(answer, 505, 'HTTP version not supported');
    });

    it('404 for the address of its own error bodies', async () => {
      const answer = await sendRaw(nginx.port, request('GET /_errors/json HTTP/1.1', 'Host: a'));
      expectError(answer, 404, 'Not found');
    });

    it('429 beyond the limit of an address, when there is one', async () => {
      const variables = { NGINX_RATE_LIMIT: 'on', NGINX_RATE: '1r/m', NGINX_RATE_BURST: '2' } as const;
      const limited = untilEnd(await Nginx.start([server.port], variables));
      const answers: RawAnswer[] = [];
      for (let count = 0; count < 4; count += 1) {
        answers.push(await sendRaw(limited.port, request('GET /health HTTP/1.1', 'Host: a')));
      }
      expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 429]);
      expectError(answers[3] as RawAnswer, 429, 'Too many requests');
    });

    it('502 when no gateway listens', async () => {
      const alone = untilEnd(await Nginx.start([await freePort()]));
      for (const path of ['/abcdef', '/health', '/users/bulk']) {
        const answer = await sendRaw(alone.port, request(`GET ${path} HTTP/1.1`, 'Host: a'));
        expectError(answer, 502, 'Service temporarily unavailable');
      }
    });

    it('504 when a gateway does not answer', async () => {
      const frozen = untilEnd(await startServer({ DATABASE_URL: database.url }));
      const variables = { NGINX_READ_TIMEOUT: '1s', NGINX_REDIRECT_TIMEOUT: '1s' } as const;
      const impatient = untilEnd(await Nginx.start([frozen.port], variables));
      frozen.signal('SIGSTOP');
      onTestFinished(() => frozen.signal('SIGCONT'));
      for (const path of ['/abcdef', '/health']) {
        const answer = await sendRaw(impatient.port, request(`GET ${path} HTTP/1.1`, 'Host: a'), 20_000);
        expectError(answer, 504, 'Gateway timeout');
      }
      frozen.signal('SIGCONT');
      // Nginx leaves a server alone for a while that let it wait.
      await eventually(async () => (await impatient.fetch('/health')).status === 200);
    });
  });

  describe('made by the gateway', () => {
    const json = { 'content-type': 'application/json' };
    const cases: readonly (readonly [name: string, path: string, init: RequestInit])[] = [
      ['400 of a call', '/urls', { method: 'POST', headers: json, body: '{"original_url":7}' }],
      ['400 of a body that is no JSON', '/shorten', { method: 'POST', headers: json, body: '{' }],
      ['401', '/chaos', {}],
      ['404 of a route', '/a/b/c', {}],
      ['404 of a link', '/NoSuchCode', {}],
      ['404 of a row', '/users/123456789', {}],
      ['405', '/urls', { method: 'PATCH' }],
      ['405 of a link', '/NoSuchCode', { method: 'POST' }],
      ['an unknown method', '/urls', { method: 'PROPFIND' }],
      ['HEAD of what is not there', '/NoSuchCode', { method: 'HEAD' }],
      ['400 of an import', '/users/bulk', { method: 'POST', headers: json, body: '{}' }],
    ];

    it.each(cases)('%s passes unchanged', async (_, path, init) => {
      const [direct, through] = await Promise.all([server.fetch(path, init), nginx.fetch(path, init)]);
      expect(through.status).toBe(direct.status);
      expect(await through.text()).toBe(await direct.text());
      for (const name of ['content-type', 'content-length', 'allow', 'retry-after']) {
        expect([name, through.headers.get(name)]).toEqual([name, direct.headers.get(name)]);
      }
    });

    it('408 passes unchanged: a body that does not come', async () => {
      const bytes = `${request(...jsonPost('/urls', 'Content-Length: 100'))}{"original_url"`;
      expectError(await sendRaw(nginx.port, bytes, 10_000), 408, 'Request timeout');
    });

    it('409 passes unchanged', async () => {
      const body = JSON.stringify({ username: 'nginx-twice', email: 'a@example.com' });
      const init = { method: 'POST', headers: json, body };
      expect((await nginx.fetch('/users', init)).status).toBe(201);
      const again = await nginx.fetch('/users', init);
      expect([again.status, await again.text()]).toEqual([409, '{"error":"Username already exists"}']);
    });

    it('503 passes unchanged when the database is away, Retry-After with it', async () => {
      const url = `postgresql://nobody:none@127.0.0.1:${await freePort()}/none`;
      const lonely = untilEnd(await startServer({ DATABASE_URL: url }));
      const before = untilEnd(await Nginx.start([lonely.port]));
      const answer = await before.fetch('/users');
      expect([answer.status, await answer.text()]).toEqual([
        503,
        '{"error":"Service unavailable","status":503}',
      ]);
      expect(answer.headers.get('retry-after')).toBe('1');
      expect((await before.fetch('/health')).status).toBe(200);
    });
  });

  it('never shows an HTML page, whatever is sent', { timeout: 120_000 }, async () => {
    const { short_code: code } = await createUrl(server);
    const word = fc.string({ unit: fc.constantFrom(...'abcXYZ019-_.%/?&=+~:'), maxLength: 40 });
    const long = fc.tuple(word, fc.constantFrom(1, 50, 200)).map(([text, times]) => text.repeat(times));
    const path = fc.oneof(
      fc.constantFrom(
        '/',
        `/${code}`,
        '/urls',
        '/users/bulk',
        '/health',
        '*',
        '',
        'http://b/urls',
        '/é',
        '/%ff',
      ),
      long.map((text) => `/${text}`),
    );
    const header = fc.tuple(
      fc.constantFrom('X-A', 'Cookie', 'Host', 'Content-Type', 'X-Request-ID', 'X-Chaos-Token', 'Expect'),
      fc.oneof(long, fc.constantFrom('', '100-continue', 'application/json', 'chunked')),
    );
    const shape = fc.record({
      method: fc.constantFrom('GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'M-SEARCH', 'get', 'X', ''),
      path,
      version: fc.constantFrom('HTTP/1.1', 'HTTP/1.1', 'HTTP/1.1', 'HTTP/1.0', 'HTTP/2.0', 'HTTP/9', ''),
      headers: fc.array(header, { maxLength: 6 }),
      count: fc.constantFrom(0, 0, 0, 150),
    });
    await fc.assert(
      fc.asyncProperty(shape, async ({ method, path: target, version, headers, count }) => {
        const many = Array.from({ length: count }, (_, index) => `X-Many-${index}: x`);
        const answer = await sendRaw(
          nginx.port,
          request(
            `${method} ${target} ${version}`,
            'Host: a',
            'Connection: close',
            ...headers.map(([name, value]) => `${name}: ${value}`),
            ...many,
          ),
          1500,
        );
        expect(answer.body).not.toContain('<');
        if (answer.status >= 400) expect(answer.headers.get('content-type')).toBe('application/json');
        expect([0, 204, 200, 302, 400, 401, 404, 405, 408, 413, 414, 431, 501, 505]).toContain(answer.status);
      }),
      { numRuns: 1000 },
    );
  });
});
