import { describe, expect, it } from 'vitest';
import { ADMIN_KEY, asKey, makeKey } from '../support/clients/keys.js';
import { openApiDocument } from '../support/clients/openapi-document.js';
import { createUrl, useServer } from '../support/server/suite.js';

const LIMIT = 12;
const suite = useServer({
  API_AUTH: 'on',
  ADMIN_KEY,
  GATEWAY_THREADS: '2',
  API_RATE_PER_MINUTE: String(LIMIT),
  CHAOS_TOKEN: 'let me in',
  CALL_DEADLINE_MS: '10000',
});

/** From an address, as the proxy that is trusted says; a connection of its own each time, to any of the gateways. */
function from(address: string, pathname = '/urls', headers: Record<string, string> = {}) {
  return suite.server.fetch(pathname, {
    headers: { ...headers, 'x-forwarded-for': address, connection: 'close' },
  });
}

async function statuses(requests: number, ask: (index: number) => Promise<Response>): Promise<number[]> {
  const found: number[] = [];
  for (let index = 0; index < requests; index += 1) {
    const response = await ask(index);
    await response.arrayBuffer();
    found.push(response.status);
  }
  return found;
}

function times(status: number, count: number): number[] {
  return Array.from({ length: count }, () => status);
}

describe('API_RATE_PER_MINUTE', () => {
  it('limits an address over all gateways, and no other address', async () => {
    expect(await statuses(LIMIT + 3, () => from('203.0.113.1'))).toEqual([
      ...times(401, LIMIT),
      ...times(429, 3),
    ]);
    expect((await from('203.0.113.2')).status).toBe(401);
  });

  it('counts many at once exactly', async () => {
    const answers = await Promise.all(Array.from({ length: 3 * LIMIT }, () => from('203.0.113.3')));
    expect(answers.filter(({ status }) => status === 401)).toHaveLength(LIMIT);
    expect(answers.filter(({ status }) => status === 429)).toHaveLength(2 * LIMIT);
  });

  it('takes a /64 of IPv6 for one client', async () => {
    const found = await statuses(LIMIT + 1, (index) => from(`2001:db8:1:2::${index + 1}`));
    expect(found).toEqual([...times(401, LIMIT), 429]);
    expect((await from('2001:db8:1:3::1')).status).toBe(401);
  });

  it('limits a key wherever it comes from, and says on every answer what is left', async () => {
    const { key } = await makeKey(suite.server, { scopes: ['links:read'] });
    const authorization = `Bearer ${key}`;
    let lastSeconds = 60;
    for (let index = 0; index < LIMIT; index += 1) {
      // The last one asks for what the key may not do.
      const pathname = index === LIMIT - 1 ? '/users' : '/urls';
      const response = await from(`198.51.100.${index}`, pathname, { authorization });
      expect(response.status).toBe(pathname === '/urls' ? 200 : 403);
      expect(response.headers.get('ratelimit-policy')).toBe(`"default";q=${LIMIT};w=60`);
      const [, left, seconds] =
        /^"default";r=(\d+);t=(\d+)$/.exec(response.headers.get('ratelimit') ?? '') ?? [];
      expect(Number(left)).toBe(LIMIT - 1 - index);
      expect(Number(seconds)).toBeGreaterThan(0);
      expect(Number(seconds)).toBeLessThanOrEqual(lastSeconds);
      lastSeconds = Number(seconds);
    }
    const refused = await from('198.51.100.200', '/urls', { authorization });
    expect([refused.status, await refused.json()]).toEqual([429, { error: 'Too many requests' }]);
    const wait = refused.headers.get('retry-after');
    expect(Number(wait)).toBeGreaterThan(0);
    expect(refused.headers.get('ratelimit')).toBe(`"default";r=0;t=${wait}`);
    expect(refused.headers.get('ratelimit-policy')).toBe(`"default";q=${LIMIT};w=60`);
  });

  it('charges a key that is none to its address, and leaves good keys from there alone', async () => {
    const guess = (index: number) =>
      from('203.0.113.4', '/urls', { 'x-api-key': `sw_${String(index).padStart(43, 'x')}` });
    expect(await statuses(LIMIT + 1, guess)).toEqual([...times(401, LIMIT), 429]);
    const { key } = await makeKey(suite.server, { scopes: ['links:read'] });
    expect((await from('203.0.113.4', '/urls', { 'x-api-key': key })).status).toBe(200);
  });

  it('refuses what has a body, and an upload', async () => {
    await statuses(LIMIT, () => from('203.0.113.5'));
    const post = (pathname: string, body: string | FormData, headers: Record<string, string>) =>
      suite.server.fetch(pathname, {
        method: 'POST',
        body,
        headers: { ...headers, 'x-forwarded-for': '203.0.113.5', 'x-api-key': `sw_${'y'.repeat(43)}` },
      });
    const json = await post('/urls', '{"original_url":"https://example.com"}', {
      'content-type': 'application/json',
    });
    const form = new FormData();
    form.set('file', new Blob(['original_url\nhttps://example.com\n']), 'links.csv');
    const upload = await post('/urls/import', form, {});
    expect([json.status, upload.status]).toEqual([429, 429]);
  });

  it('says the same as the document, and counts what is refused for its Idempotency-Key', async () => {
    const { paths } = await openApiDocument(suite.server);
    const { key } = await makeKey(suite.server, { scopes: ['links:read'] });
    const headers = { authorization: `Bearer ${key}` };
    for (const [status, more] of [
      [200, {}],
      [400, { 'idempotency-key': 'x' }],
      ...times(200, LIMIT - 2).map((one) => [one, {}] as const),
      [429, {}],
    ] as const) {
      const response = await from('203.0.113.9', '/urls', { ...headers, ...more });
      expect(response.status).toBe(status);
      const described = paths['/urls']?.get?.responses[status]?.headers ?? {};
      for (const name of ['RateLimit', 'RateLimit-Policy'])
        expect(response.headers.get(name)).toMatch(new RegExp(described[name]?.schema.pattern ?? '-'));
    }
    expect(paths['/health']?.get?.responses[200]?.headers).not.toHaveProperty('RateLimit');
    const guess = await from('203.0.113.10', '/urls', { 'idempotency-key': 'x' });
    expect([guess.status, guess.headers.has('ratelimit')]).toEqual([401, true]);
  });

  it('never limits redirects and public routes', async () => {
    const { short_code } = await createUrl(asKey(suite.server, ADMIN_KEY));
    await statuses(LIMIT + 1, () => from('203.0.113.6'));
    expect((await from('203.0.113.6')).status).toBe(429);
    for (const pathname of ['/health', '/health/ready', '/openapi.json', '/robots.txt', `/${short_code}`]) {
      const found = await suite.server.fetch(pathname, { headers: { 'x-forwarded-for': '203.0.113.6' } });
      expect([pathname, found.status]).toEqual([pathname, pathname === `/${short_code}` ? 302 : 200]);
      expect(found.headers.get('ratelimit')).toBeNull();
    }
    const redirect = `/urls/${short_code}/redirect`;
    expect(await statuses(LIMIT + 1, () => from('203.0.113.6', redirect))).toEqual(times(302, LIMIT + 1));
  });
});

describe('guesses at the token of /chaos', () => {
  it('are ten a minute from one address, over all gateways', async () => {
    const guess = () => from('203.0.113.7', '/chaos', { 'x-chaos-token': 'let me' });
    const answers = await Promise.all(Array.from({ length: 40 }, guess));
    const wrong = answers.filter(({ status }) => status === 401);
    // One that comes while the tenth is being compared is refused too.
    expect(wrong.length).toBe(10);
    expect(answers.filter(({ status }) => status === 429)).toHaveLength(30);
    const right = await from('203.0.113.7', '/chaos', { 'x-chaos-token': 'let me in' });
    expect(right.status).toBe(429);
    expect(Number(right.headers.get('retry-after'))).toBeGreaterThan(0);
    expect((await from('203.0.113.8', '/chaos', { 'x-chaos-token': 'let me' })).status).toBe(401);
  });
});
