import { describe, expect, it } from 'vitest';
import { uniqueName, useServer } from '../support/server/suite.js';

const suite = useServer();

const notFound = { error: 'Not found', status: 404 };
const notAllowed = { error: 'Method not allowed', status: 405 };

describe('routes', () => {
  it.each([
    '/',
    '/a/b',
    '/users/1/x',
    '/urls/abcdef/redirect/x',
    '/users/',
    '/urls//redirect',
    '//',
    '/users/abc',
    '/a/b?c=d',
  ])('has none at %s', async (path) => {
    for (const method of ['GET', 'POST', 'DELETE']) {
      expect(await suite.server.json(path, { method })).toEqual({ status: 404, body: notFound });
    }
  });

  it.each([
    ['/users', 'PUT', 'GET, HEAD, POST'],
    ['/users', 'DELETE', 'GET, HEAD, POST'],
    ['/users/1', 'POST', 'GET, HEAD, PUT, DELETE'],
    ['/users/1', 'PATCH', 'GET, HEAD, PUT, DELETE'],
    ['/users/bulk', 'GET', 'POST'],
    ['/urls', 'PATCH', 'GET, HEAD, POST'],
    ['/urls/1', 'POST', 'GET, HEAD, PUT, PATCH, DELETE'],
    ['/events', 'PUT', 'GET, HEAD, POST'],
    ['/events/1', 'PUT', 'GET, HEAD, DELETE'],
    ['/shorten', 'GET', 'POST'],
    ['/health', 'POST', 'GET, HEAD'],
    ['/metrics', 'DELETE', 'GET, HEAD'],
    ['/logs', 'PUT', 'GET, HEAD'],
    ['/chaos', 'POST', 'GET, HEAD'],
    ['/users', 'OPTIONS', 'GET, HEAD, POST'],
  ])('at %s refuse %s', async (path, method, allowed) => {
    const response = await suite.server.fetch(path, { method });
    expect(response.status).toBe(405);
    expect(response.headers.get('allow')).toBe(allowed);
    expect(response.headers.get('content-type')).toBe('application/json');
    if (method !== 'HEAD') expect(await response.json()).toEqual(notAllowed);
  });
});

describe('a request body', () => {
  const headers = { 'content-type': 'application/json' };

  it('of 1 MB is taken', async () => {
    const details = { text: 'x'.repeat(1024 * 1024 - 100) };
    const { status } = await suite.server.post('/events', { event_type: 'large', details });
    expect(status).toBe(201);
  });

  it('beyond 1 MB is refused, and the connection goes on', async () => {
    for (const path of ['/events', '/users', '/shorten', '/urls']) {
      const { status, body } = await suite.server.json(path, {
        method: 'POST',
        headers,
        body: 'x'.repeat(1024 * 1024 + 1),
      });
      expect([status, body]).toEqual([413, { error: 'Request body too large', status: 413 }]);
    }
    expect(
      (await suite.server.post('/users', { username: uniqueName(), email: 'a@example.com' })).status,
    ).toBe(201);
  });

  it('may come in pieces', async () => {
    const text = JSON.stringify({ username: uniqueName('größe'), email: 'a@example.com' });
    const pieces = [...Buffer.from(text)].map((byte) => Buffer.from([byte]));
    const body = new ReadableStream({
      async pull(stream) {
        const piece = pieces.shift();
        if (piece === undefined) stream.close();
        else stream.enqueue(piece);
      },
    });
    const response = await suite.server.fetch('/users', {
      method: 'POST',
      headers,
      body,
      duplex: 'half',
    } as RequestInit);
    expect(response.status).toBe(201);
  });

  it.each([
    'application/json',
    'application/json; charset=utf-8',
    'APPLICATION/JSON',
    'application/vnd.api+json',
  ])('is JSON as %s', async (contentType) => {
    const { status } = await suite.server.json('/users', {
      method: 'POST',
      headers: { 'content-type': contentType },
      body: JSON.stringify({ username: uniqueName(), email: 'a@example.com' }),
    });
    expect(status).toBe(201);
  });

  it.each(['', 'text/plain', 'application/x-www-form-urlencoded', 'text/json', 'application/jsonp'])(
    'is none as %j',
    async (contentType) => {
      expect(
        await suite.server.json('/users', {
          method: 'POST',
          headers: { 'content-type': contentType },
          body: Buffer.from(JSON.stringify({ username: uniqueName(), email: 'a@example.com' })),
        }),
      ).toEqual({ status: 400, body: { error: 'Invalid JSON' } });
    },
  );
});

describe('a request body that does not come', () => {
  const impatient = useServer({ BODY_DEADLINE_MS: '400' });

  it('is not waited for', async () => {
    const body = new ReadableStream({ start: (stream) => stream.enqueue(Buffer.from('{"user')) });
    const response = await impatient.server.fetch('/users', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body,
      duplex: 'half',
    } as RequestInit);
    expect(response.status).toBe(408);
    expect(await response.json()).toEqual({ error: 'Request timeout', status: 408 });
  });
});
