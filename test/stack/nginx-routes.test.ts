import { createServer, type IncomingHttpHeaders, request, type Server } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { describeWith } from '../support/machine/tools.js';
import { eventually } from '../support/machine/wait.js';
import { untilEnd } from '../support/server/until-end.js';
import { Nginx } from '../support/stack/nginx.js';

interface Arrival {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
}

/** What arrives is to be seen, whatever the gateway makes of it: a listener that answers all with one status. */
describeWith('nginx')('what Nginx sends to a gateway', () => {
  const arrivals: Arrival[] = [];
  let status = 200;
  let gateway: Server;
  let nginx: Nginx;

  beforeAll(async () => {
    gateway = createServer({ maxHeaderSize: 16_384 }, ({ method = '', url = '', headers }, answer) => {
      arrivals.push({ method, url, headers });
      answer.writeHead(status).end();
    });
    await new Promise<void>((resolve) => gateway.listen(0, '127.0.0.1', resolve));
    nginx = await Nginx.start([port()]);
  });
  afterAll(async () => {
    await nginx?.stop();
    await new Promise((resolve) => gateway.close(resolve));
  });
  beforeEach(() => {
    arrivals.length = 0;
    status = 200;
  });

  const port = (): number => (gateway.address() as AddressInfo).port;

  function send(
    path: string,
    method = 'GET',
    headers: Record<string, string> = {},
    to = nginx,
  ): Promise<number> {
    return new Promise((resolve, reject) => {
      const sent = request({ host: '127.0.0.1', port: to.port, path, method, headers }, (answer) => {
        answer.resume().on('end', () => resolve(answer.statusCode ?? 0));
      });
      sent.on('error', reject).end();
    });
  }

  const needed: Readonly<Record<string, string>> = {
    accept: 'application/problem+json',
    'accept-encoding': 'br, gzip',
    authorization: 'Bearer sy_0123456789',
    'access-control-request-headers': 'x-api-key, content-type',
    'access-control-request-method': 'PATCH',
    'content-encoding': 'gzip',
    'content-type': 'application/json',
    host: 'links.example.com',
    'idempotency-key': 'a key, of 1 to 255 characters',
    'if-none-match': 'W/"abc"',
    'last-event-id': '17',
    origin: 'https://app.example.com',
    purpose: 'prefetch',
    referer: 'https://news.example.com/',
    'sec-purpose': 'prefetch;prerender',
    'user-agent': 'agent/1.0',
    'x-api-key': 'sy_0123456789',
    'x-chaos-token': 'token',
    'x-link-password': 'päss wörd',
    'x-request-id': 'request-1',
  };
  const asBytes = Object.fromEntries(
    Object.entries(needed).map(([name, value]) => [name, Buffer.from(value).toString('latin1')]),
  );

  it.each(['/abcdef', '/urls', '/users/bulk', '/stats/live'])(
    '%s: every header that clients need',
    async (path) => {
      await send(path, 'POST', { ...asBytes, cookie: 'not=needed' });
      expect(arrivals[0]?.headers).toMatchObject(asBytes);
      expect(arrivals[0]?.headers).not.toHaveProperty('cookie');
    },
  );

  it('nothing of a header that did not come', async () => {
    await send('/abcdef', 'GET', { host: 'a' });
    const names = Object.keys(arrivals[0]?.headers ?? {});
    // Nginx's own: the connection is kept, and Connection is not said.
    expect(names.sort()).toEqual(['host', 'x-forwarded-for', 'x-forwarded-proto', 'x-request-id']);
  });

  it('a key that is too long, still too long', async () => {
    await send('/urls', 'POST', { 'idempotency-key': 'k'.repeat(300), authorization: 'x'.repeat(6000) });
    expect(arrivals[0]?.headers['idempotency-key']).toHaveLength(256);
    expect(arrivals[0]?.headers.authorization).toHaveLength(512);
  });

  it('together never more than the gateway takes', async () => {
    const longest = Object.fromEntries(Object.keys(needed).map((name) => [name, 'x'.repeat(2000)]));
    const code = 'c'.repeat(128);
    const query = 'q'.repeat(8192 - 'GET / HTTP/1.1\r\n'.length - code.length - 1);
    const { 'idempotency-key': _, ...most } = longest;
    expect(await send(`/${code}?${query}`, 'GET', { ...most, host: 'h'.repeat(255) })).toBe(200);
    expect(arrivals[0]?.url).toBe(`/${code}?${query}`);
  });

  describe('an address of a link', () => {
    // A 503 shows it: another replica is asked where a redirect is, and only there.
    const timesAsked = async (path: string, method = 'GET'): Promise<number> => {
      status = 503;
      arrivals.length = 0;
      expect(await send(path, method)).toBe(503);
      return arrivals.length;
    };
    const code = 'Ab_-9'.padEnd(128, 'x');

    it.each([
      ['/a'],
      ['/urlsx'],
      ['/URLS'],
      ['/my-link_2'],
      [`/${code}`],
      [`/${code}/`],
      [`/${code}+`],
      [`/${code}.`],
      [`/${code},;:!)]}>'"`],
      [`/${code}%3F%22%5D`],
      [`/${code}.)/`],
      [`/${code}?a=b/c`],
      [`/urls/${code}/redirect`],
    ])('is %s', async (path) => {
      expect(await timesAsked(path)).toBe(2);
      expect(await timesAsked(path, 'HEAD')).toBe(2);
      expect(await timesAsked(path, 'POST')).toBe(1);
      expect(await timesAsked(path, 'DELETE')).toBe(1);
    });

    it.each([
      '/urls',
      '/urls/',
      '/urls/5',
      '/users',
      '/users/bulk',
      '/events',
      '/shorten',
      '/health',
      '/health/ready',
      '/chaos',
      '/keys',
      '/a/b',
      '/',
    ])('is not %s', async (path) => {
      expect(await timesAsked(path)).toBe(1);
    });
  });

  it('a body for a link only when it is complete; any other as it comes', async () => {
    const begin = (path: string): Socket => {
      const socket = connect(nginx.port, '127.0.0.1');
      onTestFinished(() => void socket.destroy());
      socket.write(`POST ${path} HTTP/1.1\r\nHost: a\r\nContent-Length: 12\r\n\r\npassword`);
      return socket;
    };
    const toLink = begin('/abcdef');
    begin('/urls');
    await eventually(() => arrivals.length > 0);
    await send('/health');
    expect(arrivals.map(({ url }) => url)).toEqual(['/urls', '/health']);
    toLink.write('=abc');
    await eventually(() => arrivals.length === 3);
    expect(arrivals[2]).toMatchObject({ url: '/abcdef', headers: { 'content-length': '12' } });
  });

  describe('/logs', () => {
    it.each(['/logs', '/logs?lines=5', '//logs', '/./logs', '/x/../logs', '/%6Cogs'])(
      '%s is closed',
      async (path) => {
        expect(await send(path)).toBe(403);
        expect(arrivals).toEqual([]);
      },
    );

    it('says so in JSON', async () => {
      const answer = await nginx.fetch('/logs');
      expect([answer.status, await answer.text()]).toEqual([403, '{"error":"Forbidden","status":403}']);
    });

    it('is open where NGINX_LOGS is', async () => {
      const open = untilEnd(await Nginx.start([port()], { NGINX_LOGS: 'open' }));
      expect(await send('/logs?lines=5', 'GET', {}, open)).toBe(200);
      expect(arrivals[0]?.url).toBe('/logs?lines=5');
    });
  });
});
