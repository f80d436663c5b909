import { request } from 'node:http';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { LiveListener } from '../support/clients/live.js';
import { startLoad } from '../support/clients/load.js';
import { readPng, scanQr } from '../support/clients/qr.js';
import { CountingProxy } from '../support/database/counting-proxy.js';
import { createDatabase, type TestDatabase } from '../support/database/database.js';
import { describeWith, toolPath } from '../support/machine/tools.js';
import { eventually } from '../support/machine/wait.js';
import { run } from '../support/server/program.js';
import { startServer, type TestServer } from '../support/server/server.js';
import { createUrl, uniqueName } from '../support/server/suite.js';
import { untilEnd } from '../support/server/until-end.js';
import { environmentOf } from '../support/stack/compose.js';
import { Nginx } from '../support/stack/nginx.js';

describeWith('nginx')('Nginx in front of a gateway', () => {
  let database: TestDatabase;
  let server: TestServer;
  let nginx: Nginx;

  beforeAll(async () => {
    database = await createDatabase();
    server = await startServer({ DATABASE_URL: database.url, CORS_ORIGINS: 'https://app.example' });
    nginx = await Nginx.start([server.port], { NGINX_TRUSTED_PROXY: '127.0.0.1/32' });
  });

  afterAll(async () => {
    await nginx?.stop();
    await server?.stop();
    await database?.drop();
  });

  it('keeps its connections to the gateway', async () => {
    const counting = untilEnd(await CountingProxy.start(server.port));
    const inFront = untilEnd(await Nginx.start([counting.port]));
    const { short_code: code } = await createUrl(server);
    const load = startLoad(inFront.port, [code], 8);
    await eventually(() => load.total() >= 2000);
    await load.stop();
    // A connection for each visitor that waits at one time, in each of Nginx's processes at most.
    expect(counting.connections).toBeLessThanOrEqual(16);
    expect([...load.statuses.keys()]).toEqual([302]);
  });

  it('passes a redirect on byte for byte, and its query with the request', async () => {
    const target = 'https://example.com/%7Ea/?q=a%20b&c=%C3%BC&a[1]=<\'">#!frag';
    const { short_code: code } = await createUrl(server, { original_url: target });
    const answer = await fetchRaw(nginx.port, `/${code}?utm_source=x`, { cookie: 'c'.repeat(6000) });
    expect(answer.status).toBe(302);
    expect(answer.headers.location).toBe(target);
    expect(answer.headers['content-length']).toBe('0');
    expect(answer.headers.server).toBe('nginx');
  });

  it('lets the runbook through that alerts link to, as it does the console', async () => {
    const { status, headers, body } = await fetchRaw(nginx.port, '/ui/runbook', {});
    expect([status, headers['content-type']]).toEqual([200, 'text/html; charset=utf-8']);
    expect(body).toContain('<h2 id="servicedown">');
  });

  it('passes live figures on as they come', async () => {
    const listener = LiveListener.open(nginx.port);
    await eventually(() => listener.events.length >= 3);
    expect(listener.text).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
    const [first = 0, , third = 0] = listener.times;
    // Held back, they would come together.
    expect(third - first).toBeGreaterThan(1000);
  });

  it('passes a preflight on, and what is said of it', async () => {
    const headers = { origin: 'https://app.example', 'access-control-request-method': 'PATCH' };
    const asked = await nginx.fetch('/urls/1', { method: 'OPTIONS', headers });
    expect([asked.status, asked.headers.get('access-control-allow-origin')]).toEqual([204, headers.origin]);
    expect(asked.headers.get('access-control-allow-methods')).toContain('PATCH');
    const answer = await nginx.fetch('/urls/999999999', { headers });
    expect([answer.status, answer.headers.get('access-control-allow-origin')]).toEqual([404, headers.origin]);
  });

  it('passes QR codes on, which differ by the host name that the visitor used', async () => {
    const { id, short_code } = await createUrl(server);
    const path = `/urls/${id}/qr`;
    const { headers } = await fetchRaw(nginx.port, path, { host: 'links.example' });
    const tag = String(headers.etag);
    const again = (host: string) => fetchRaw(nginx.port, path, { host, 'if-none-match': tag });
    expect([(await again('links.example')).status, (await again('other.example')).status]).toEqual([
      304, 200,
    ]);
    const png = await nginx.fetch(`${path}?format=png`);
    expect(scanQr(readPng(new Uint8Array(await png.arrayBuffer())))).toBe(`${nginx.url}/${short_code}`);
  });

  it('takes every header at its longest without meeting the gateway’s limit', async () => {
    const { short_code: code } = await createUrl(server);
    const answer = await fetchRaw(nginx.port, `/${code}?${'q'.repeat(8170 - code.length - 2)}`, {
      host: 'h'.repeat(255),
      'content-type': 'c'.repeat(128),
      'content-length': '0',
      'x-chaos-token': 't'.repeat(128),
      ...Object.fromEntries(otherHeaders.map((name) => [name, 'o'.repeat(1000)])),
      'x-request-id': 'r'.repeat(128),
      'x-forwarded-proto': 'https',
      'x-forwarded-for': '2001:0db8:1111:2222:3333:4444:5555:6666',
      'x-country': 'de',
      'user-agent': 'u'.repeat(6000),
      referer: `https://${'r'.repeat(6000)}`,
    });
    expect(answer.status).toBe(302);
  });

  it('tells the gateway what it may note of a visit', async () => {
    const { CLICK_ADDRESS_HEADER, CLICK_COUNTRY_HEADER } = environmentOf('app');
    const headers = { CLICK_ADDRESS_HEADER, CLICK_COUNTRY_HEADER };
    const noting = untilEnd(
      await startServer({ DATABASE_URL: database.url, CLICK_DETAILS: 'full', ...headers }),
    );
    const inFront = untilEnd(await Nginx.start([noting.port]));
    const { id, short_code: code } = await createUrl(noting);
    await fetchRaw(inFront.port, `/${code}`, {
      'user-agent': 'Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0',
      referer: 'https://news.example.org/today?id=7',
      'x-forwarded-for': '203.0.113.77',
      'x-country': 'ch',
    });
    const body = await noting.get(`/events?url_id=${id}&event_type=click`);
    const [click] = body;
    expect(JSON.stringify(click?.details)).toMatch(/news\.example\.org.*Firefox|Firefox.*news\.example\.org/);
    expect(JSON.stringify(click?.details)).toContain('"CH"');
    expect(JSON.stringify(click?.details)).toContain('203.0.113.0');
  });

  it('gives every answer one request id: the client’s where it is plausible', async () => {
    const { short_code: code } = await createUrl(server);
    for (const path of [`/${code}`, '/health', '/nothing/here', '/metrics']) {
      const given = await fetchRaw(nginx.port, path, { 'x-request-id': 'from-client:1' });
      expect(given.all['x-request-id']).toEqual(['from-client:1']);
      const made = await fetchRaw(nginx.port, path, { 'x-request-id': 'not plausible' });
      expect(made.all['x-request-id']).toEqual([expect.stringMatching(/^[0-9a-f]{32}$/)]);
    }
    const id = `log-${uniqueName()}`;
    await fetchRaw(nginx.port, '/users?page=1&per_page=1', { 'x-request-id': id });
    const logged = await eventually(async () => {
      const body = await server.get(`/logs?filter=${id}`);
      return body.count === 1;
    });
    expect(logged).toBe(true);
  });

  it('logs each request as JSON, with the visitor’s address when a trusted proxy tells it', async () => {
    const { short_code: code } = await createUrl(server);
    const id = uniqueName('json-log');
    await fetchRaw(nginx.port, `/${code}?a=b`, {
      'x-request-id': id,
      'x-forwarded-for': '198.51.100.1, 203.0.113.7',
      'user-agent': 'a "quoted" \\ agent',
    });
    const entry = await eventually(() => nginx.log().find((one) => one.request_id === id));
    expect(entry).toMatchObject({
      remote_addr: '203.0.113.7',
      method: 'GET',
      uri: `/${code}?a=b`,
      status: 302,
      upstream: `127.0.0.1:${server.port}`,
      upstream_status: '302',
      user_agent: 'a "quoted" \\ agent',
    });
    const distrustful = untilEnd(await Nginx.start([server.port], { NGINX_TRUSTED_PROXY: '10.9.8.7/32' }));
    await fetchRaw(distrustful.port, '/health', { 'x-request-id': id, 'x-forwarded-for': '203.0.113.7' });
    const other = await eventually(() => distrustful.log().find((one) => one.request_id === id));
    expect(other.remote_addr).toBe('127.0.0.1');
  });

  it('tells the gateway the scheme and the host that the visitor used', async () => {
    const body = JSON.stringify({ url: 'https://example.com' });
    const headers = { 'content-type': 'application/json', host: 'links.example.com:8443' };
    const plain = await fetchRaw(nginx.port, '/shorten', headers, 'POST', body);
    expect(JSON.parse(plain.body).short_url).toMatch(/^http:\/\/links\.example\.com:8443\/\w{6}$/);
    const secure = { ...headers, 'x-forwarded-proto': 'https' };
    const behindTls = await fetchRaw(nginx.port, '/shorten', secure, 'POST', body);
    expect(JSON.parse(behindTls.body).short_url).toMatch(/^https:\/\/links\.example\.com:8443\/\w{6}$/);
  });

  it('lets imports and lists of more than 10 MB through', async () => {
    const rows = Array.from({ length: 120_000 }, (_, index) => `${uniqueName('bulk')},${index}@example.com`);
    const body = new FormData();
    const padding = 'x'.repeat(70);
    const csv = `username,email,note\n${rows.map((row) => `${row},${padding}`).join('\n')}\n`;
    expect(csv.length).toBeGreaterThan(10 * 1024 * 1024);
    body.set('file', new Blob([csv]), 'users.csv');
    const imported = await nginx.fetch('/users/bulk', { method: 'POST', body });
    expect([imported.status, await imported.json()]).toEqual([201, { imported: rows.length }]);
    const listed = await nginx.get('/users');
    expect(listed.length).toBeGreaterThanOrEqual(rows.length);
  });

  it('has counters for the metrics exporter, on the port inside only', async () => {
    const status = await (await fetch(nginx.statusUrl)).text();
    expect(status).toMatch(/^Active connections: \d+/);
    // On the port outside, it is a code like any other.
    expect((await nginx.fetch('/nginx_status')).status).toBe(404);
  });

  it('takes a new configuration without an error', async () => {
    const { short_code: code } = await createUrl(server);
    const load = startLoad(nginx.port, [code], 4);
    await eventually(() => load.total() > 200);
    const { code: exit } = await run(toolPath('nginx'), [
      ...['-e', 'stderr', '-p', nginx.folder, '-c', `${nginx.folder}/nginx.conf`],
      ...['-g', `daemon off; pid ${nginx.folder}/nginx.pid;`, '-s', 'reload'],
    ]);
    expect(exit).toBe(0);
    const before = load.total();
    await eventually(() => load.total() > before + 500);
    await load.stop();
    // A visitor may find its kept connection closed (0), and opens another one.
    expect([...load.statuses.keys()].filter((status) => status !== 0)).toEqual([302]);
  });
});

/** Headers that are passed on besides those of an ordinary visit. */
const otherHeaders = [
  ...['accept', 'accept-encoding', 'authorization', 'content-encoding', 'idempotency-key', 'if-none-match'],
  ...['origin', 'purpose', 'sec-purpose', 'x-api-key', 'x-link-password'],
];

interface Answer {
  readonly status: number;
  readonly headers: Record<string, string | undefined>;
  /** Every value of each header. */
  readonly all: Record<string, string[] | undefined>;
  readonly body: string;
}

/** A request whose every header is the test's own choice. */
function fetchRaw(
  port: number,
  path: string,
  headers: Record<string, string>,
  method = 'GET',
  body = '',
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = request({ host: '127.0.0.1', port, path, method, headers }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
      });
      response.on('end', () =>
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers as Record<string, string>,
          all: response.headersDistinct as Record<string, string[]>,
          body: text,
        }),
      );
    });
    sent.on('error', reject);
    sent.end(body);
  });
}
