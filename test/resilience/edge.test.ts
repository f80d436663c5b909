import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { createUrl, useServer } from '../support/suite.js';

const suite = useServer({ GATEWAY_THREADS: '1', BODY_DEADLINE_MS: '25000' });

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
