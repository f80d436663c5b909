import { type IncomingHttpHeaders, request } from 'node:http';
import { brotliDecompressSync, gunzipSync } from 'node:zlib';
import { afterAll, describe, expect, it } from 'vitest';
import { startServer } from '../support/server/server.js';
import { useServer } from '../support/server/suite.js';
import { anchorsOf, readDocument } from '../support/stack/documents.js';
import { allRules } from '../support/stack/rules.js';

const suite = useServer();
const JAVASCRIPT_MAX = 122_880;

interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/** As it is sent: fetch would unpack it. */
function get(path: string, encoding = 'identity', method = 'GET'): Promise<Answer> {
  const { port } = suite.server;
  return new Promise((resolve, reject) => {
    const sent = request({ host: '127.0.0.1', port, path, method, headers: { 'accept-encoding': encoding } });
    sent.on('error', reject).on('response', (answer) => {
      const parts: Buffer[] = [];
      answer
        .on('data', (part: Buffer) => parts.push(part))
        .on('end', () => {
          resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body: Buffer.concat(parts) });
        });
    });
    sent.end();
  });
}

/** Addresses of the files that the page and its scripts name. */
async function files(): Promise<string[]> {
  const page = (await get('/ui/')).body.toString();
  const first = [...page.matchAll(/(?:src|href)="(\/ui\/[^"]+)"/g)].map(([, name = '']) => name);
  const scripts = first.filter((name) => name.endsWith('.js'));
  const texts = await Promise.all(scripts.map(async (name) => (await get(name)).body.toString()));
  const later = texts.flatMap((text) => [
    ...text.matchAll(/["'`](?:\.\/)?([\w-]+-[\w-]{8}\.(?:js|css))["'`]/g),
  ]);
  return [...new Set([...first, ...later.map(([, name]) => `/ui/${name}`)])];
}

describe('the page', () => {
  it('is asked for each time, and allows nothing but files of this server', async () => {
    const { status, headers, body } = await get('/ui/');
    expect(status).toBe(200);
    expect(headers['content-type']).toBe('text/html; charset=utf-8');
    expect(headers['cache-control']).toBe('no-cache');
    expect(headers['content-security-policy']).toMatch(/^default-src 'self';/);
    expect(headers['content-security-policy']).not.toMatch(/unsafe|https?:|\*/);
    expect(body.toString()).not.toMatch(/<script(?![^>]*src=)|<style|\sstyle=|\son\w+=|https?:\/\//);
  });

  it('is where a browser is led to that asks for nothing; programs find nothing there', async () => {
    const { server } = suite;
    const browser = await server.fetch('/', { headers: { accept: 'text/html,application/xhtml+xml;q=0.9' } });
    expect([browser.status, browser.headers.get('location')]).toEqual([302, '/ui/']);
    const head = await server.fetch('/', { method: 'HEAD', headers: { accept: 'text/html' } });
    expect([head.status, head.headers.get('location')]).toEqual([302, '/ui/']);
    const entry = await server.fetch('/ui');
    expect([entry.status, entry.headers.get('location')]).toEqual([302, '/ui/']);
    for (const method of ['GET', 'POST', 'DELETE'])
      expect(await server.json('/', { method })).toEqual({
        status: 404,
        body: { error: 'Not found', status: 404 },
      });
  });
});

describe('the runbook', () => {
  const read = async (): Promise<string> => (await get('/ui/runbook')).body.toString();

  it('has a section for each alert, at the anchor that the alert links to', async () => {
    const page = await read();
    const alerts = allRules().flatMap(({ alert, annotations }) =>
      alert === undefined ? [] : [[alert, annotations?.runbook?.split('#')[1]]],
    );
    expect(alerts.length).toBeGreaterThan(20);
    for (const [alert, anchor] of alerts) expect(page).toContain(`<h2 id="${anchor}">${alert}</h2>`);
  });

  it('has the anchors that GitHub gives the document, and its links lead to them', async () => {
    const page = await read();
    const ids = [...page.matchAll(/<h\d id="([^"]+)"/g)].map(([, id]) => id);
    expect(ids).toEqual([...anchorsOf(readDocument('Docs/OPERATIONAL_RUNBOOK.md'))]);
    const links = [...page.matchAll(/<a href="([^"]*)"/g)].map(([, link = '']) => link);
    expect(links.length).toBeGreaterThan(20);
    expect(links.filter((link) => !ids.includes(link.slice(1)))).toEqual([]);
  });

  it('needs no script, and nothing of other servers', async () => {
    const { status, headers, body } = await get('/ui/runbook');
    expect([status, headers['content-type']]).toEqual([200, 'text/html; charset=utf-8']);
    expect(headers['cache-control']).toBe('no-cache');
    expect(headers['content-security-policy']).toMatch(/^default-src 'self';/);
    const page = body.toString();
    expect(page).not.toMatch(/<script|<style|\sstyle=|\son\w+=/);
    const named = [...page.matchAll(/(?:src|href)="([^#"][^"]*)"/g)].map(([, name = '']) => name);
    expect(named.map((name) => name.replace(/-[\w-]{8}\./, '.')).sort()).toEqual([
      '/ui/icon.svg',
      '/ui/runbook.css',
    ]);
    for (const name of named) expect((await get(name)).status).toBe(200);
  });
});

describe('its files', () => {
  it('are kept for a year, since their names change with them', async () => {
    const all = await files();
    expect(all.length).toBeGreaterThan(4);
    for (const name of all) {
      const { status, headers } = await get(name);
      expect([name, status]).toEqual([name, 200]);
      expect(name).toMatch(/-[\w-]{8}\.(js|css|svg)$/);
      expect(headers['cache-control']).toBe('public, max-age=31536000, immutable');
    }
  });

  it('come packed for who takes it, and their head says the same', async () => {
    for (const name of ['/ui/', ...(await files())]) {
      const plain = await get(name);
      const brotli = await get(name, 'gzip, br');
      const gzip = await get(name, 'gzip;q=1.0, br;q=0');
      expect([plain.headers['content-encoding'], brotli.headers['content-encoding']]).toEqual([
        undefined,
        'br',
      ]);
      expect(gzip.headers['content-encoding']).toBe('gzip');
      expect(brotliDecompressSync(brotli.body).equals(plain.body)).toBe(true);
      expect(gunzipSync(gzip.body).equals(plain.body)).toBe(true);
      const head = await get(name, 'br', 'HEAD');
      expect(head.status).toBe(200);
      expect(head.headers['content-length']).toBe(String(brotli.body.length));
      expect(head.headers.vary).toBe('Accept-Encoding');
    }
  });

  it(`have at most ${JAVASCRIPT_MAX} bytes of JavaScript, packed`, async () => {
    const scripts = (await files()).filter((name) => name.endsWith('.js'));
    expect(scripts.length).toBeGreaterThan(1);
    const sizes = await Promise.all(scripts.map(async (name) => (await get(name, 'br')).body.length));
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThanOrEqual(JAVASCRIPT_MAX);
  });

  it('are not there under other names', async () => {
    for (const name of [
      'index.html',
      'runbook.html',
      'nothing.js',
      'a/b',
      '..%2fpackage.json',
      'index.html.br',
      '%00',
    ])
      expect([name, (await get(`/ui/${name}`)).status]).toEqual([name, 404]);
    expect((await suite.server.send('POST', '/ui/', {})).status).toBe(405);
  });
});

it('a code can not be called as its address is', async () => {
  const { status, body } = await suite.server.post('/urls', {
    original_url: 'https://example.com/',
    short_code: 'UI',
  });
  expect([status, body]).toEqual([400, { error: "'short_code' is reserved" }]);
});

describe('the start', () => {
  it('says where the console is', () => {
    expect(suite.server.banner()).toContain(`http://127.0.0.1:${suite.server.port}/ui/`);
  });
});

describe('CONSOLE=off', () => {
  const stops: (() => Promise<unknown>)[] = [];
  afterAll(() => Promise.all(stops.map((stop) => stop())));

  it('takes all of it away', async () => {
    const name = (await files())[0] ?? '';
    const off = await startServer({ DATABASE_URL: suite.database.url, CONSOLE: 'off' });
    stops.push(() => off.stop());
    const html = { headers: { accept: 'text/html' } };
    for (const pathname of ['/', '/ui', '/ui/', '/ui/runbook', name])
      expect((await off.fetch(pathname, html)).status).toBe(404);
    expect(off.banner()).not.toContain('/ui/');
  });
});
