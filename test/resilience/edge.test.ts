import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib';
import { beforeAll, describe, expect, it } from 'vitest';
import { bodyOf, refusal } from '../support/clients/api-client.js';
import { askWithoutReading } from '../support/clients/unread.js';
import { connectDatabase } from '../support/database/database.js';
import { eventually } from '../support/machine/wait.js';
import { createUrl, useServer } from '../support/server/suite.js';

const suite = useServer({ GATEWAY_THREADS: '1', BODY_DEADLINE_MS: '22000' });

interface Talk {
  /** All that came back. */
  readonly text: string;
  readonly isClosed: boolean;
}

/** Sends the parts apart, and reads until the other side closes or `isEnough`. */
function talk(
  parts: readonly string[],
  { gapMs = 20, isEnough = isAnswered }: { gapMs?: number; isEnough?: (text: string) => boolean } = {},
): Promise<Talk> {
  return new Promise((resolve) => {
    const socket = connect(suite.server.port, '127.0.0.1');
    let text = '';
    const end = (isClosed: boolean): void => {
      socket.destroy();
      resolve({ text, isClosed });
    };
    socket.setNoDelay(true);
    socket.setTimeout(60_000, () => end(false));
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1');
      if (isEnough(text)) end(false);
    });
    socket.on('end', () => end(true));
    socket.on('error', () => end(true));
    void (async () => {
      for (const part of parts) {
        if (socket.destroyed) return;
        socket.write(Buffer.from(part, 'latin1'));
        await sleep(gapMs);
      }
    })();
  });
}

function isAnswered(text: string): boolean {
  const [head = '', ...rest] = text.replace(/^HTTP\/1\.1 100 Continue\r\n\r\n/, '').split('\r\n\r\n');
  const length = /^content-length: (\d+)$/im.exec(head)?.[1];
  return rest.length > 0 && length !== undefined && rest.join('\r\n\r\n').length >= Number(length);
}

function statusOf({ text }: Talk): number {
  return Number(/^HTTP\/1\.1 (\d{3}) /.exec(text)?.[1] ?? 0);
}

/** An error as JSON, with its status, at once. */
function expectError(answer: Talk, status: number, what = answer.text): void {
  expect(statusOf(answer), what).toBe(status);
  expect(answer.text).toMatch(/^content-type: application\/json$/im);
  expect(JSON.parse(answer.text.slice(answer.text.indexOf('\r\n\r\n')))).toEqual({
    error: expect.any(String),
    status,
  });
}

const head = (lines: readonly string[]): string => `${lines.join('\r\n')}\r\n\r\n`;
const get = (...headers: string[]): string => head(['GET /health HTTP/1.1', 'Host: a', ...headers]);
const event = '{"event_type":"x"}';
const post = (...headers: string[]): string =>
  head(['POST /events HTTP/1.1', 'Host: a', 'Content-Type: application/json', ...headers]);

/** Begun first, since it takes the whole of an idle time-out. */
let afterEmptyLine: Promise<Talk & { readonly seconds: number }>;

beforeAll(() => {
  const startMs = performance.now();
  afterEmptyLine = talk([`\r\n${get()}`]).then((answer) => ({
    ...answer,
    seconds: (performance.now() - startMs) / 1000,
  }));
});

describe('a request', () => {
  it('may come in two packets, cut anywhere', async () => {
    const request = get('X-Any: thing');
    const cuts = Array.from({ length: request.length - 1 }, (_, index) => index + 1);
    const answers = await Promise.all(
      cuts.map((cut) => talk([request.slice(0, cut), request.slice(cut)], { gapMs: 100 })),
    );
    expect(answers.map(statusOf)).toEqual(cuts.map(() => 200));
  });

  it('may be longer than a packet', async () => {
    const answer = await talk([`GET /health?${'x'.repeat(8000)}`, ` HTTP/1.1\r\nHost: a\r\n\r\n`]);
    expect(statusOf(answer)).toBe(200);
  });

  it('of another version or form is refused in JSON', async () => {
    for (const line of [
      'GET /health HTTP/1.0',
      'GET http://a/health HTTP/1.1',
      'OPTIONS * HTTP/1.1',
      'hello you',
    ])
      expectError(await talk([head([line, 'Host: a'])]), 505, line);
  });

  it.each([
    ['a folded header', get('X: a', ' b')],
    ['a space before the colon', get('X : a')],
    ['a NUL', get('X: a\0b')],
    ['two hosts', get('Host: b')],
    ['no host', head(['GET /health HTTP/1.1'])],
    ['a length that is no number', post('Content-Length: x')],
    ['a negative length', post('Content-Length: -1')],
    ['both a length and chunks', post('Content-Length: 5', 'Transfer-Encoding: chunked')],
  ])('with %s is 400 at once', async (_, text) => {
    expectError(await talk([text]), 400);
  });

  it('with too many headers, or too long ones, is 431 at once', async () => {
    const many = Array.from({ length: 120 }, (_, index) => `X-${index}: a`);
    expectError(await talk([get(...many)]), 431);
    expectError(await talk([get(`X: ${'y'.repeat(100_000)}`)]), 431);
  });
});

describe('a body', () => {
  it('may come in chunks', async () => {
    const chunks = `${event.length.toString(16)}\r\n${event}\r\n0\r\n\r\n`;
    expect(statusOf(await talk([post('Transfer-Encoding: chunked') + chunks]))).toBe(201);
    expect(statusOf(await talk([post('Transfer-Encoding: chunked'), ...chunks], { gapMs: 2 }))).toBe(201);
  });

  it('with an extension of a chunk is refused in JSON, not waited for', async () => {
    const chunks = `${event.length.toString(16)};name=value\r\n${event}\r\n0\r\n\r\n`;
    expectError(await talk([post('Transfer-Encoding: chunked') + chunks]), 400);
  });
});

describe('requests in a row', () => {
  it('are answered in order when they are answered at once', async () => {
    const url = await createUrl(suite.server);
    await suite.server.fetch(`/${url.short_code}`);
    const request = head([`GET /${url.short_code} HTTP/1.1`, 'Host: a']);
    const { text } = await talk([request.repeat(50)], {
      isEnough: (so) => so.split('HTTP/1.1 302').length > 50,
    });
    expect(text.split('HTTP/1.1 302').length).toBe(51);
  });
});

describe('a body', () => {
  it.each([
    ['two lengths', ['Content-Length: 18', 'Content-Length: 5'], event],
    ['one length twice', ['Content-Length: 18', 'Content-Length: 18'], event],
    [
      'a coding that is not ours',
      ['Transfer-Encoding: gzip, chunked'],
      '12\r\n{"event_type":"x"}\r\n0\r\n\r\n',
    ],
    [
      'two codings',
      ['Transfer-Encoding: gzip', 'Transfer-Encoding: chunked'],
      '12\r\n{"event_type":"x"}\r\n0\r\n\r\n',
    ],
  ])('with %s is 400, and the connection ends', async (_, headers, content) => {
    const answer = await talk([post(...headers) + content], { isEnough: () => false });
    expect(statusOf(answer), answer.text).toBe(400);
    expect(answer.isClosed).toBe(true);
    expect(answer.text.match(/HTTP\/1\.1/g)).toHaveLength(1);
  });

  it('may come slowly; beyond the deadline it is 408', async () => {
    const slowly = [post(`Content-Length: ${event.length}`), ...event];
    const tooSlowly = [post('Content-Length: 1000'), ...'x'.repeat(60)];
    const [slow, late] = await Promise.all([talk(slowly, { gapMs: 700 }), talk(tooSlowly, { gapMs: 500 })]);
    expect(statusOf(slow)).toBe(201);
    expectError(late, 408);
  }, 90_000);

  it('may be packed, and is bounded unpacked', async () => {
    const send = (bytes: Buffer, coding: string): Promise<Response> =>
      suite.server.fetch('/events', {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'content-encoding': coding },
        body: new Uint8Array(bytes),
      });
    expect((await send(gzipSync(event), 'gzip')).status).toBe(201);
    expect((await send(brotliCompressSync(event), 'br')).status).toBe(201);
    expect((await send(deflateSync(event), 'Deflate')).status).toBe(201);
    expect((await send(Buffer.from(event), 'gzip')).status).toBe(400);
    expect((await send(Buffer.from(event), 'zstd')).status).toBe(415);
    expect((await send(gzipSync(Buffer.alloc(50_000_000, 32)), 'gzip')).status).toBe(413);
  });

  it('in pieces of one byte costs what its bytes do', async () => {
    const text = JSON.stringify({ event_type: 'x', details: { text: 'y'.repeat(200_000) } });
    const chunks = [...text].map((byte) => `1\r\n${byte}\r\n`).join('');
    expect(statusOf(await talk([`${post('Transfer-Encoding: chunked')}${chunks}0\r\n\r\n`]))).toBe(201);
  });
});

describe('an import in pieces of one byte', () => {
  it('holds nobody up', async () => {
    const { server } = suite;
    const csv = `username,email\n${'u'.repeat(90)},${'e'.repeat(100)}@example.com\n`.padEnd(300_000, '\n');
    const form = `--b\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\n${csv}\r\n--b--\r\n`;
    const chunks = [...form].map((byte) => `1\r\n${byte}\r\n`).join('');
    const importing = Array.from({ length: 4 }, () =>
      talk([
        head([
          'POST /users/bulk HTTP/1.1',
          'Host: a',
          'Content-Type: multipart/form-data; boundary=b',
          'Transfer-Encoding: chunked',
        ]),
        `${chunks}0\r\n\r\n`,
      ]),
    );
    let slowestMs = 0;
    let isOver = false;
    const watch = (async () => {
      while (!isOver) {
        const startMs = performance.now();
        await server.fetch('/health');
        slowestMs = Math.max(slowestMs, performance.now() - startMs);
      }
    })();
    const statuses = (await Promise.all(importing)).map(statusOf);
    isOver = true;
    await watch;
    expect(statuses.filter((status) => status !== 201 && status !== 503)).toEqual([]);
    expect(statuses).toContain(201);
    expect(slowestMs).toBeLessThan(10_000);
  });
});

describe('a trailer', () => {
  it('is refused, and nothing is done', async () => {
    const name = 'with-a-trailer';
    const content = `{"event_type":"${name}"}`;
    const chunks = `${content.length.toString(16)}\r\n${content}\r\n0\r\nX-Sum: 1\r\n\r\n`;
    expectError(await talk([post('Transfer-Encoding: chunked') + chunks]), 505);
    expect((await suite.server.json(`/events?event_type=${name}`)).body).toEqual([]);
  });
});

describe('JSON', () => {
  const send = async (text: string): Promise<[number, string?]> =>
    refusal(await suite.server.post('/events', text));
  const nested = (depth: number): string =>
    `{"event_type":"x","details":{"a":${'['.repeat(depth)}${']'.repeat(depth)}}}`;

  it('is bounded in depth and in values', async () => {
    expect((await send(nested(190)))[0]).toBe(201);
    for (const depth of [300, 20_000, 500_000])
      expect(await send(nested(depth))).toEqual([400, 'JSON is nested too deeply']);
    const many = (count: number): string =>
      `{"event_type":"x","details":{"a":[${Array(count).fill('[]').join()}]}}`;
    expect((await send(many(49_000)))[0]).toBe(201);
    expect(await send(many(51_000))).toEqual([400, 'JSON has too many values']);
    expect(await send(many(300_000))).toEqual([400, 'JSON has too many values']);
  });

  it('that is large is parsed by a worker, and refused alike', async () => {
    const parsedElsewhere = async (): Promise<number> => {
      const text = await (await suite.server.fetch('/metrics')).text();
      return Number(/^switchyard_large_bodies_total (\d+)$/m.exec(text)?.[1]);
    };
    const before = await parsedElsewhere();
    const large = `"text":"${'y'.repeat(200_000)}"`;
    const exact = '{"n":12345678901234567890,"m":[1.10,1e400]}';
    const created = await suite.server.fetch('/events', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: `{"event_type":"x","details":${exact},${large}}`,
    });
    expect([created.status, (await created.text()).includes(exact)]).toEqual([201, true]);
    expect(await send(`{"event_type":5,${large}}`)).toEqual([400, "Missing or invalid 'event_type'"]);
    expect(await send(`[{${large}}]`)).toEqual([400, 'Invalid JSON']);
    expect(await send(`{"event_type":"x",${large}`)).toEqual([400, 'Invalid JSON']);
    const urls = Array.from({ length: 1000 }, () => ({
      original_url: `https://example.com/${'x'.repeat(1000)}`,
    }));
    const bulk = await suite.server.post('/urls/bulk', { urls });
    expect(bodyOf(bulk, 200).created).toBe(1000);
    expect((await parsedElsewhere()) - before).toBe(5);
  });

  it.each([
    '{"event_type":"x","details":{"a":1,"a":1234567890123456789}}',
    '{"event_type":"x","details":{"a":1},"details":{"a":1234567890123456789}}',
    '{"event_type":"x","details":{"__proto__":1234567890123456789,"__proto__":2}}',
    '{"event_type":"x","d\\u0065tails":{"\\u0061":1e999,"a":1234567890123456789}}',
    '{"__proto__":{"event_type":"y"},"event_type":"x","details":{"n":-0.1e-9999}}',
    '{"event_type":"x","details":{"a":"\\ud800","a":12345678901234567890}}',
    `{"event_type":"x","n":1234567890123456789,"details":{"a":${'['.repeat(20_000)}${']'.repeat(20_000)}}}`,
  ])('is stored or refused, whatever is in it: %#', async (text) => {
    expect([201, 400]).toContain((await send(text))[0]);
  });

  it('comes back with its numbers as they were sent', async () => {
    const details = '{"n":12345678901234567890,"m":[1.10,1e400],"t":"\\u00e9"}';
    const created = await suite.server.fetch('/events', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: `{"event_type":"x","details":${details}}`,
    });
    expect(await created.text()).toContain(details);
  });
});

describe('requests in a row', () => {
  it('that have to wait are answered in order when they come one by one', async () => {
    const { database } = suite;
    const locker = await connectDatabase(database.address);
    await locker.query('BEGIN');
    await locker.query('LOCK TABLE users');
    const request = (id: number): string =>
      head([`GET /users/${id} HTTP/1.1`, 'Host: a', `X-Request-ID: r${id}`]);
    const answers = talk([request(1_000_001), request(1_000_002)], {
      gapMs: 200,
      isEnough: (text) => text.split('User not found').length > 2,
    });
    await sleep(600);
    await locker.drop();
    const { text } = await answers;
    expect([...text.matchAll(/^x-request-id: (r\d+)/gim)].map(([, id]) => id)).toEqual([
      'r1000001',
      'r1000002',
    ]);
  });

  it('in one packet behind one that has to wait end the connection: no answer is ever another’s', async () => {
    const request = (id: number): string => head([`GET /users/${id} HTTP/1.1`, 'Host: a']);
    expect(await talk([request(1_000_003) + request(1_000_004)])).toEqual({ text: '', isClosed: true });
  });

  it('whose answers nobody reads end the connection, and count no further', async () => {
    const { server } = suite;
    const url = await createUrl(server, { original_url: `https://example.com/${'x'.repeat(8000)}` });
    await (await server.fetch(`/${url.short_code}`, { redirect: 'manual' })).arrayBuffer();
    const asked = 60_000;
    const socket = askWithoutReading(server.port, url.short_code, asked);
    await eventually(async () => {
      expect((await server.fetch('/health')).status).toBe(200);
      const text = await (await server.fetch('/metrics')).text();
      return Number(/^switchyard_connections_unread_total (\d+)$/m.exec(text)?.[1]) > 0;
    });
    socket.destroy();
    const body = await server.get(`/urls/${url.id}`);
    // What the kernel holds for two sockets is some megabytes, at 8 kB each.
    expect(body.click_count).toBeLessThan(asked / 10);
  });
});

describe('what only a proxy may say', () => {
  it('is believed of a trusted one', async () => {
    const headers = { 'x-request-id': 'from-the-proxy', 'x-forwarded-proto': 'https' };
    const answer = await suite.server.ask('/shorten', {
      method: 'POST',
      headers: { ...headers, 'content-type': 'application/json' },
      body: '{"url":"https://example.com"}',
    });
    expect(answer.headers.get('x-request-id')).toBe('from-the-proxy');
    expect(bodyOf(answer, 201).short_url).toMatch(/^https:/);
  });
});

describe('a request', () => {
  it('after an empty line is not waited for longer than for any other', async () => {
    const { text, isClosed, seconds } = await afterEmptyLine;
    expect([text, isClosed]).toEqual(['', true]);
    // The library's clock ticks every 4 s.
    expect(seconds).toBeGreaterThan(8);
    expect(seconds).toBeLessThan(40);
  });
});

describe('GET /chaos', () => {
  it('takes ten wrong tokens a minute from one address', async () => {
    const guess = async (client: string, token?: string): Promise<Response> =>
      suite.server.fetch('/chaos', {
        headers: { 'x-forwarded-for': client, ...(token === undefined ? {} : { 'x-chaos-token': token }) },
      });
    for (let count = 0; count < 10; count += 1)
      expect((await guess('2001:db8:1:2::1', `wrong-${count}`)).status).toBe(401);
    const refused = await guess('2001:db8:1:2:ffff::9', 'wrong');
    expect(refused.status).toBe(429);
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(await refused.json()).toEqual({ error: 'Too many tries' });
    expect((await guess('2001:db8:1:2::1')).status).toBe(401);
    expect((await guess('2001:db8:1:3::1', 'wrong')).status).toBe(401);
  });
});
