import { describe, expect, it } from 'vitest';
import { refusal } from '../support/clients/api-client.js';
import { drawSvg, isDark, readPng, scanQr } from '../support/clients/qr.js';
import { sendRaw } from '../support/clients/raw-http.js';
import { createUrl, uniqueName, useServer } from '../support/server/suite.js';

const suite = useServer();

async function png(path: string): Promise<ReturnType<typeof readPng>> {
  const response = await suite.server.fetch(path);
  expect([response.status, response.headers.get('content-type')]).toEqual([200, 'image/png']);
  return readPng(new Uint8Array(await response.arrayBuffer()));
}

describe('GET /urls/<id>/qr', () => {
  it('is an SVG of 256 pixels with a margin of 4 modules', async () => {
    const { id, short_url } = await createUrl(suite.server);
    const response = await suite.server.fetch(`/urls/${id}/qr`);
    expect([response.status, response.headers.get('content-type')]).toEqual([200, 'image/svg+xml']);
    const picture = drawSvg(await response.text());
    expect([picture.width, picture.height, scanQr(picture)]).toEqual([256, 256, short_url]);
    const module = 256 / picture.side;
    expect(isDark(picture, Math.floor(3.5 * module), Math.floor(4.5 * module))).toBe(false);
    expect(isDark(picture, Math.floor(4.5 * module), Math.floor(4.5 * module))).toBe(true);
  });

  it.each([64, 101, 500])('is a PNG of exactly %i pixels', async (size) => {
    const { id, short_url } = await createUrl(suite.server);
    const picture = await png(`/urls/${id}/qr?format=png&size=${size}&margin=1&level=H`);
    expect([picture.width, picture.height, scanQr(picture)]).toEqual([size, size, short_url]);
  });

  it('has its margin in modules', async () => {
    const { id } = await createUrl(suite.server);
    const none = drawSvg(await (await suite.server.fetch(`/urls/${id}/qr?margin=0`)).text());
    const wide = drawSvg(await (await suite.server.fetch(`/urls/${id}/qr?margin=16&size=2048`)).text());
    expect(isDark(none, 0, 0)).toBe(true);
    expect(wide.side - none.side).toBe(32);
  });

  it.each([
    ['format', "'format' must be svg or png", ['gif', 'PNG', 'image/png']],
    [
      'size',
      "'size' must be an integer from 64 to 2048",
      ['63', '2049', '-64', '64.5', '1e2', 'big', '0x80'],
    ],
    ['margin', "'margin' must be an integer from 0 to 16", ['17', '-1', '1.5', 'none']],
    ['level', "'level' must be L, M, Q or H", ['l', 'X', 'LM', '1']],
  ])('refuses other values of %s', async (name, error, values) => {
    const { id } = await createUrl(suite.server);
    for (const value of values) {
      const found = await suite.server.json(`/urls/${id}/qr?${name}=${encodeURIComponent(value)}`);
      expect([value, found]).toEqual([value, { status: 400, body: { error } }]);
    }
  });

  it('refuses a size of less than one pixel a module, in both formats', async () => {
    const { id } = await createUrl(suite.server, { short_code: uniqueName().padEnd(128, 'x') });
    for (const format of ['svg', 'png']) {
      const path = `/urls/${id}/qr?format=${format}&margin=16&level=H&size=`;
      const [status, error = ''] = refusal(await suite.server.json(`${path}64`));
      expect(status).toBe(400);
      const [, least] = /^'size' must be at least one pixel for each module: (\d+)$/.exec(error) ?? [];
      expect((await suite.server.json(`${path}${Number(least) - 1}`)).status).toBe(400);
      expect((await suite.server.fetch(path + least)).status).toBe(200);
    }
  });

  it('is there for links that lead nowhere now', async () => {
    const inactive = await createUrl(suite.server, { is_active: false });
    const expired = await createUrl(suite.server, { expires_at: '2001-01-01T00:00:00Z' });
    for (const { id, short_url } of [inactive, expired])
      expect(scanQr(await png(`/urls/${id}/qr?format=png`))).toBe(short_url);
  });

  it('is 404 for what is no link', async () => {
    const unknown = { status: 404, body: { error: 'URL not found' } };
    for (const id of ['999999999', '9'.repeat(30)])
      expect(await suite.server.json(`/urls/${id}/qr?size=100`)).toEqual(unknown);
    const noRoute = { status: 404, body: { error: 'Not found', status: 404 } };
    expect(await suite.server.json('/urls/abc/qr')).toEqual(noRoute);
    expect(await suite.server.send('POST', '/urls/abc/qr', {})).toEqual(noRoute);
    const { id } = await createUrl(suite.server);
    const refused = await suite.server.fetch(`/urls/${id}/qr`, { method: 'POST' });
    expect([refused.status, refused.headers.get('allow')]).toEqual([405, 'GET, HEAD']);
  });

  it('is read as the client’s address of the server says', async () => {
    const { id, short_url } = await createUrl(suite.server);
    const code = new URL(short_url).pathname;
    const read = async (host: string): Promise<string | undefined> => {
      const request = `GET /urls/${id}/qr HTTP/1.1\r\nHost: ${host}\r\n\r\n`;
      const { body } = await sendRaw(suite.server.port, request);
      return scanQr(drawSvg(body));
    };
    expect(await read('a.example')).toBe(`http://a.example${code}`);
    expect(await read('b.example:8080')).toBe(`http://b.example:8080${code}`);
  });
});

describe('the ETag of a QR code', () => {
  const get = (path: string, headers: Record<string, string> = {}, method = 'GET') =>
    sendRaw(
      suite.server.port,
      [
        `${method} ${path} HTTP/1.1`,
        ...Object.entries({ host: 'a.example', connection: 'close', ...headers }).map((one) =>
          one.join(': '),
        ),
      ]
        .join('\r\n')
        .concat('\r\n\r\n'),
    );
  const tagOf = async (path: string, headers?: Record<string, string>): Promise<string> => {
    const answer = await get(path, headers);
    expect([answer.status, answer.headers.get('cache-control')]).toEqual([200, 'private, no-cache']);
    return answer.headers.get('etag') ?? '';
  };

  it('differs by link, look and host name, and is the same for the same', async () => {
    const { id } = await createUrl(suite.server);
    const path = `/urls/${id}/qr`;
    const tags = [
      await tagOf(path),
      await tagOf(path, { host: 'b.example' }),
      await tagOf(path, { 'x-forwarded-proto': 'https' }),
      await tagOf(`/urls/${(await createUrl(suite.server)).id}/qr`),
      ...(await Promise.all(
        ['format=png', 'size=257', 'margin=5', 'level=Q'].map((one) => tagOf(`${path}?${one}`)),
      )),
    ];
    expect(new Set(tags).size).toBe(tags.length);
    for (const tag of tags) expect(tag).toMatch(/^"[\w-]{22}"$/);
    expect(await tagOf(`${path}?format=svg&size=256&margin=4&level=M`)).toBe(tags[0]);
  });

  it.each(['svg', 'png'])('makes a 304 of a request that names it: %s', async (format) => {
    const { id } = await createUrl(suite.server);
    const path = `/urls/${id}/qr?format=${format}`;
    const tag = await tagOf(path);
    for (const known of [tag, `W/${tag}`, `"other", ${tag}`, '*']) {
      for (const method of ['GET', 'HEAD']) {
        const answer = await get(path, { 'if-none-match': known }, method);
        expect([known, answer.status, answer.body]).toEqual([known, 304, '']);
        expect(answer.headers.get('etag')).toBe(tag);
        expect(answer.headers.has('content-length')).toBe(false);
      }
    }
    for (const known of ['"other"', tag.slice(1, -1), ''])
      expect((await get(path, { 'if-none-match': known })).status).toBe(200);
    expect((await get(path, { 'if-none-match': tag, host: 'b.example' })).status).toBe(200);
    expect((await get('/urls/999999999/qr', { 'if-none-match': tag })).status).toBe(404);
  });

  it('comes with a HEAD, as do type and length', async () => {
    const { id } = await createUrl(suite.server);
    const whole = await suite.server.fetch(`/urls/${id}/qr?format=png&size=2048`);
    const head = await suite.server.fetch(`/urls/${id}/qr?format=png&size=2048`, { method: 'HEAD' });
    const bytes = await whole.arrayBuffer();
    for (const name of ['etag', 'content-type', 'content-length'])
      expect(head.headers.get(name)).toBe(whole.headers.get(name));
    expect(head.headers.get('content-length')).toBe(String(bytes.byteLength));
  });
});

describe('many QR codes at a time', () => {
  it('are all drawn', async () => {
    const { id } = await createUrl(suite.server);
    const answers = await Promise.all(
      Array.from({ length: 40 }, (_, index) =>
        suite.server.fetch(`/urls/${id}/qr?format=png&size=${2048 - index}`),
      ),
    );
    // The width, in the first chunk.
    for (const [index, answer] of answers.entries())
      expect(new DataView(await answer.arrayBuffer()).getUint32(16)).toBe(2048 - index);
  });
});
