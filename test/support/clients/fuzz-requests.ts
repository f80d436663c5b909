import { connect } from 'node:net';
import fc from 'fast-check';
import { methods as httpMethods } from '../../../src/api/http-series.js';
import { routes } from '../../../src/api/registry.js';
import { errorRegistry } from '../../../src/errors.js';
import { Schemas } from '../../../src/gateway/schemas.js';

const schemas = await Schemas.load();
const distinct = (words: string[]): string[] => [...new Set(words)];
const methods = [...httpMethods, 'PROPFIND', 'get'].filter((method) => method !== 'OTHER');
const templates = distinct(routes.map(({ path }) => path));
const segments = distinct(templates.flatMap((path) => path.split('/'))).filter((part) => /^\w+$/.test(part));
const queryNames = distinct(routes.flatMap((route) => schemas.namesOf(route).query));
const memberNames = distinct(routes.flatMap((route) => schemas.namesOf(route).body));
const ids = [
  '0',
  '1',
  '2',
  '-1',
  '1.5',
  '007',
  '9223372036854775807',
  '9223372036854775808',
  '9'.repeat(50),
  'abc',
  '%00',
  '%31',
  '1%20',
];

const oddText = fc.oneof(
  fc.string(),
  fc.string({ unit: 'binary' }),
  fc.string({ unit: 'grapheme' }),
  fc.constantFrom(
    '\0',
    '\ud800',
    "'; DROP TABLE users;--",
    '%',
    '\\',
    '"',
    '\r\n',
    '🚦'.repeat(60),
    'x'.repeat(300),
  ),
);
const segment = fc.oneof(
  fc.constantFrom(...segments),
  fc.constantFrom(...ids),
  oddText.map((text) => encodeURIComponent(text.toWellFormed())),
  fc.string({ maxLength: 8 }).map((text) => text.replaceAll(/[^!-~]/g, '').replaceAll(/[?#/]/g, '')),
);
/** Paths of the registry, each with ids in the place of its parameters. */
const pathname = fc.oneof(
  {
    weight: 6,
    arbitrary: fc
      .tuple(fc.constantFrom(...templates), fc.constantFrom(...ids))
      .map(([path, id]) => path.replaceAll(/:\w+/g, id)),
  },
  { weight: 3, arbitrary: fc.array(segment, { maxLength: 4 }).map((parts) => `/${parts.join('/')}`) },
);
const parameter = fc.tuple(
  fc.constantFrom(...queryNames, 'userid', 'x'),
  fc.oneof(fc.constantFrom(...ids, 'true', 'FALSE', 'click', '', 'INFO', '1e9', '99999999999'), oddText),
);
const query = fc
  .array(parameter, { maxLength: 4 })
  .map((pairs) =>
    pairs.map(([name, value]) => `${name}=${encodeURIComponent(value.toWellFormed())}`).join('&'),
  );

const member = fc.constantFrom(...memberNames, '__proto__', 'constructor');
const target = fc.oneof(
  fc.webUrl(),
  fc.constantFrom(
    'http://',
    'https://\r\nx',
    'https://x:99999/',
    'https://[::1]/',
    `https://x/${'y'.repeat(9000)}`,
  ),
  oddText,
);
const value = fc.oneof(
  oddText,
  target,
  fc.integer(),
  fc.double(),
  fc.boolean(),
  fc.constant(null),
  fc.constantFrom(1, 2, 1e300, -0, 2 ** 53),
  fc.jsonValue(),
);
const jsonText = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.dictionary(member, value, { maxKeys: 6 }).map((object) => JSON.stringify(object)),
  },
  { weight: 1, arbitrary: fc.json() },
  { weight: 1, arbitrary: fc.string() },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      '{"a":1e999}',
      '{"a":{"a":'.repeat(500),
      '[',
      '{"username":"\\ud800","email":"a@b"}',
      '﻿{}',
    ),
  },
);
const csvHeader = fc.constantFrom(
  'username,email,created_at',
  'original_url,short_code,title,tags,max_clicks',
  'address,target,password,expire_in',
  'shortCode,longUrl,domain,tags',
);
const csvText = fc
  .tuple(csvHeader, fc.array(fc.array(oddText, { maxLength: 5 }), { maxLength: 6 }))
  .map(([header, rows]) => `${header}\n${rows.map((row) => row.join(',')).join('\n')}`);
const multipart = fc
  .tuple(csvText, fc.constantFrom('file', 'other', '', 'file"x'), fc.boolean())
  .map(([text, name, closes]) => {
    const head = `--b\r\nContent-Disposition: form-data; name="${name}"; filename="u.csv"\r\n\r\n`;
    return Buffer.from(`${head}${text}${closes ? '\r\n--b--\r\n' : ''}`);
  });
const body = fc.oneof(
  { weight: 5, arbitrary: jsonText.map((text) => ({ type: 'application/json', bytes: Buffer.from(text) })) },
  { weight: 2, arbitrary: multipart.map((bytes) => ({ type: 'multipart/form-data; boundary=b', bytes })) },
  {
    weight: 1,
    arbitrary: fc
      .uint8Array({ maxLength: 200 })
      .map((bytes) => ({ type: 'application/json', bytes: Buffer.from(bytes) })),
  },
  { weight: 1, arbitrary: fc.constant({ type: 'text/plain', bytes: Buffer.from('x') }) },
  { weight: 2, arbitrary: fc.constant(undefined) },
);
const header = fc.tuple(
  fc.constantFrom(
    'x-request-id',
    'x-chaos-token',
    'x-forwarded-proto',
    'accept',
    'host',
    'user-agent',
    'range',
    'expect',
  ),
  fc.oneof(
    fc.constantFrom('https', '100-continue', 'bytes=0-1', '*/*', 'x'.repeat(300)),
    fc.string({ maxLength: 30 }).map((text) => text.replaceAll(/[^ -~]/g, '')),
  ),
);
const request = fc.record({
  method: fc.constantFrom(...methods),
  pathname,
  query,
  body,
  headers: fc.array(header, { maxLength: 3 }),
});

/** A text as a body: what JSON.stringify would never write. */
interface RawJson {
  readonly raw: string;
}
/** Names that come twice, are written with escapes or mean something to JavaScript. */
const memberName = fc.constantFrom('a', 'a', 'b', '\\u0061', '__proto__', 'constructor', 'details');
const delicateNumber = fc.constantFrom(
  '1234567890123456789',
  '-12345678901234567890.5',
  '1e999',
  '1e-999',
  '0.1',
  '1',
);
const deep = fc
  .constantFrom(1, 150, 199, 200, 201, 5000, 20_000)
  .map((depth) => `${'['.repeat(depth)}${']'.repeat(depth)}`);
const delicateMember = fc
  .tuple(memberName, fc.oneof(delicateNumber, delicateNumber, deep, fc.constant('"\\ud800"')))
  .map(([name, value]) => `"${name}":${value}`);
const delicateMembers = fc.array(delicateMember, { minLength: 1, maxLength: 4 }).map((list) => list.join());
const delicateEvent = fc
  .tuple(delicateMembers, delicateMembers)
  .map(
    ([inside, beside]) =>
      ['POST', '/events', { raw: `{"event_type":"x","details":{${inside}},${beside}}` } as RawJson] as const,
  );

/** Nearly right: passes the first check and reaches the second. */
const good = fc.string({ minLength: 1, maxLength: 12 });
const likely = fc.oneof(
  fc
    .record({ username: good, email: good.map((text) => `${text}@example.com`) })
    .map((json) => ['POST', '/users', json] as const),
  fc
    .record({ original_url: fc.webUrl(), title: good, user_id: fc.constantFrom(null, 1, 2, 99) })
    .map((json) => ['POST', '/urls', json] as const),
  fc
    .record({ url: fc.webUrl({ withFragments: true, withQueryParameters: true }) })
    .map((json) => ['POST', '/shorten', json] as const),
  fc
    .record({
      event_type: good,
      url_id: fc.constantFrom(null, 1, 2, 99),
      details: fc.dictionary(good, fc.jsonValue()),
    })
    .map((json) => ['POST', '/events', json] as const),
  delicateEvent,
  fc.record({ title: good, is_active: fc.boolean() }).map((json) => ['PUT', '/urls/1', json] as const),
  fc.record({ username: good }).map((json) => ['PUT', '/users/1', json] as const),
);
const likelyRequest = likely.map(([method, path, json]) => ({
  method,
  pathname: path,
  query: '',
  headers: [] as [string, string][],
  body: { type: 'application/json', bytes: Buffer.from('raw' in json ? json.raw : JSON.stringify(json)) },
}));
export interface FuzzedRequest {
  readonly method: string;
  readonly pathname: string;
  readonly query: string;
  readonly headers: [string, string][];
  readonly body: { type: string; bytes: Uint8Array } | undefined;
}

/** A request to any route, or to none: from wild to nearly right. */
export const anyRequest: fc.Arbitrary<FuzzedRequest> = fc.oneof(
  { weight: 4, arbitrary: request },
  { weight: 1, arbitrary: likelyRequest },
);

export interface Answer {
  readonly status: number;
  readonly text: string;
}

/** A hand-written request, because `fetch` would correct or refuse most of these. */
export function send(port: number, raw: Buffer, patienceMs = 15_000): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(raw));
    const chunks: Buffer[] = [];
    const finish = (): void => {
      const text = Buffer.concat(chunks).toString('latin1');
      socket.destroy();
      resolve({ status: Number(text.match(/^HTTP\/1\.1 (\d{3})/)?.[1] ?? 0), text });
    };
    socket.setTimeout(patienceMs, () => {
      socket.destroy();
      reject(new Error(`no answer to ${raw.toString('latin1').slice(0, 300)}`));
    });
    socket.on('data', (chunk) => {
      chunks.push(chunk);
      // Live figures have no end.
      if (/^content-type: text\/event-stream\r$/im.test(chunk.toString('latin1'))) finish();
    });
    socket.on('end', finish);
    socket.on('error', (error) => (chunks.length > 0 ? finish() : reject(error)));
  });
}

export function encode(one: FuzzedRequest): Buffer {
  const path = one.query === '' ? one.pathname : `${one.pathname}?${one.query}`;
  const lines = [`${one.method} ${path} HTTP/1.1`, 'Connection: close'];
  if (!one.headers.some(([name]) => name === 'host')) lines.push('Host: example.com');
  for (const [name, text] of one.headers) if (name !== 'expect') lines.push(`${name}: ${text}`);
  if (one.body !== undefined)
    lines.push(`Content-Type: ${one.body.type}`, `Content-Length: ${one.body.bytes.length}`);
  return Buffer.concat([
    Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1'),
    one.body?.bytes ?? Buffer.alloc(0),
  ]);
}

/** Whether an answer belongs to the API: an error must be in the registry, with its status and its text. */
export function isDocumented({ status, text }: Answer): boolean {
  if (status >= 200 && status < 400) return true;
  const content = text.slice(text.indexOf('\r\n\r\n') + 4);
  // What a HEAD is answered is its status.
  if (content === '') return errors.some((known) => known.status === status);
  const { error } = JSON.parse(content) as { error: string };
  return errors.some((known) => known.status === status && isText(error, known.text));
}

const errors: readonly { status: number; text: string }[] = [
  ...Object.values(errorRegistry),
  // The library's own.
  { status: 431, text: 'Request header too large' },
  { status: 505, text: 'HTTP version or form of request not supported' },
];

/** An error has its text, and some append a detail. */
function isText(said: string, text: string): boolean {
  return said === text || said.startsWith(`${text}: `);
}
