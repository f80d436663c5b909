import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { anyRequest, encode, isDocumented, send } from '../support/clients/fuzz-requests.js';
import { createUrl, createUser, useServer } from '../support/server/suite.js';

const suite = useServer({ GATEWAY_THREADS: '2', BODY_DEADLINE_MS: '2000' });

const REQUESTS = Number(process.env.FUZZ_REQUESTS ?? 2400);

describe('no input', () => {
  it(`ends the process or makes a 5xx, in ${REQUESTS} requests to all routes`, {
    timeout: 240_000,
  }, async () => {
    const { server } = suite;
    for (let count = 0; count < 3; count += 1) {
      const user = await createUser(server);
      await createUrl(server, { user_id: user.id });
    }
    const seen = new Map<number, number>();
    await fc.assert(
      fc.asyncProperty(anyRequest, async (one) => {
        const { status, text } = await send(server.port, encode(one));
        seen.set(status, (seen.get(status) ?? 0) + 1);
        expect(status, text.slice(0, 500)).toBeGreaterThanOrEqual(200);
        expect(status, text.slice(0, 500)).toBeLessThan(500);
        const [head = ''] = text.split('\r\n\r\n');
        // What a client sent never becomes a header, and errors are those of the registry.
        expect(head).not.toMatch(/^set-cookie/im);
        expect(isDocumented({ status, text }), text.slice(0, 500)).toBe(true);
      }),
      { numRuns: REQUESTS },
    );
    expect((await server.fetch('/health')).status).toBe(200);
    // The generator reaches into the routes and not only against their walls.
    for (const status of [200, 201, 400, 404, 405])
      expect(seen.get(status) ?? 0, `status ${status}`).toBeGreaterThan(10);
    expect(
      server.logs.filter((entry) => entry.levelname === 'ERROR' || entry.levelname === 'CRITICAL'),
    ).toEqual([]);
  });

  it('goes without an answer for breaking the protocol', async () => {
    const { server } = suite;
    const broken = [
      'GET / HTTP/1.0\r\n\r\n',
      'GET http://a/users HTTP/1.1\r\nHost: a\r\n\r\n',
      'GET /users HTTP/1.1\r\n\r\n',
      'GET  HTTP/1.1\r\nHost: a\r\n\r\n',
      'POST /users HTTP/1.1\r\nHost: a\r\nContent-Length: abc\r\n\r\n',
      'POST /users HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\n',
      'POST /users HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n',
      `GET /users HTTP/1.1\r\nHost: a\r\nX: ${'y'.repeat(100_000)}\r\n\r\n`,
      `GET /${'y'.repeat(50_000)} HTTP/1.1\r\nHost: a\r\n\r\n`,
    ];
    for (const text of broken) {
      // Whatever is wrong is said, at once and in JSON.
      const answer = await send(server.port, Buffer.from(text, 'latin1'), 5000).catch(
        (error: Error) => error,
      );
      if (answer instanceof Error) throw answer;
      expect([text.slice(0, 60), answer.status]).toEqual([text.slice(0, 60), expect.any(Number)]);
      expect([400, 404, 431, 505], text.slice(0, 60)).toContain(answer.status);
      expect(answer.text.split('\r\n\r\n', 1)[0]).toMatch(/^content-type: application\/json/im);
    }
    expect((await server.fetch('/health')).status).toBe(200);
  });
});
