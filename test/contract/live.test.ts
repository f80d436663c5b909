import { once } from 'node:events';
import { describe, expect, it } from 'vitest';
import { ADMIN_KEY, asKey, makeKey } from '../support/clients/keys.js';
import { LiveListener } from '../support/clients/live.js';
import { eventually } from '../support/machine/wait.js';
import { WITH_FAULTS } from '../support/server/server.js';
import { click, createUrl, createUser, uniqueName, useServer } from '../support/server/suite.js';

const LISTENERS = 6;
const suite = useServer({
  GATEWAY_THREADS: '2',
  LIVE_LISTENERS: String(LISTENERS),
  API_AUTH: 'on',
  ADMIN_KEY,
  ...WITH_FAULTS,
});

const asAdmin = { 'X-API-Key': ADMIN_KEY };
const listen = (headers: Readonly<Record<string, string>> = asAdmin): LiveListener =>
  LiveListener.open(suite.server.port, headers);
const figures = [
  'at',
  'redirects',
  'misses',
  'not_found',
  'created',
  'clicks_pending',
  'p99_ms',
  'threads',
  'connections',
];

async function metrics(): Promise<string> {
  return (await suite.server.fetch('/metrics', { headers: asAdmin })).text();
}

/** Those of the test before have gone. */
async function nobodyListens(): Promise<void> {
  await eventually(async () => (await metrics()).includes('\nswitchyard_live_listeners 0\n'));
}

describe('GET /stats/live', () => {
  it('says every second, the first within one, what the last has brought', async () => {
    const early = listen();
    await eventually(() => early.events.length >= 1);
    const before = early.events.length;
    const listener = listen();
    await eventually(() => listener.events.length >= 3);
    expect(listener.text).toMatch(/^HTTP\/1\.1 200 OK\r\nContent-Type: text\/event-stream\r\n/);
    expect(listener.text).toMatch(/\r\nCache-Control: no-store\r\n/);
    for (const event of listener.events) {
      expect(Object.keys(event)).toEqual(figures);
      expect(Math.abs(Date.parse(`${event.at}Z`) - Date.now())).toBeLessThan(60_000);
      expect(event.connections).toBeGreaterThanOrEqual(1);
      // Two gateways and three workers.
      expect(event.threads).toBe(5);
    }
    // Its first is the next that there is, or the one after it while it was being let in.
    const [first] = listener.events;
    expect(early.events.slice(before, before + 2)).toContainEqual(first);
    const [start = 0, , end = 0] = listener.times;
    expect((end - start) / 2).toBeGreaterThan(700);
    // As close as a busy machine lets it be.
    expect((end - start) / 2).toBeLessThan(5000);
  });

  it('counts what happens on all gateways, once, and nothing of before', async () => {
    const client = asKey(suite.server, ADMIN_KEY);
    const { short_code } = await createUrl(client);
    await click(suite.server, short_code);
    // Until that is more than a second ago.
    const early = listen();
    await eventually(() => early.events.length >= 3);
    const listener = listen();
    await eventually(() => listener.events.length >= 1);
    expect(listener.sum('redirects') + listener.sum('created')).toBe(0);

    // A connection each, and so on both gateways.
    await Promise.all(Array.from({ length: 30 }, () => click(suite.server, short_code)));
    for (let count = 0; count < 3; count += 1) await suite.server.fetch(`/${uniqueName('unknown')}`);
    await createUrl(client);
    const urls = [1, 2, 3, 4].map((number) => ({ original_url: `https://example.com/${number}` }));
    await client.post('/urls/bulk', { urls });
    await client.post('/urls', { original_url: 'https://example.com', short_code });
    const form = new FormData();
    form.append('file', new Blob(['original_url\nhttps://example.com/a\nhttps://example.com/b\n']), 'a.csv');
    await client.fetch('/urls/import', { method: 'POST', body: form });
    await eventually(() => listener.sum('redirects') >= 30 && listener.sum('created') >= 7);
    const { length } = listener.events;
    await eventually(() => listener.events.length >= length + 2);
    const sums = [listener.sum('redirects'), listener.sum('not_found'), listener.sum('created')];
    expect(sums).toEqual([30, 3, 7]);
    // One for each unknown code, and those that came to a gateway before it had the link.
    expect(listener.sum('misses')).toBeGreaterThanOrEqual(3);
    expect(listener.sum('misses')).toBeLessThanOrEqual(33);
    for (const { redirects, p99_ms } of listener.events) if (redirects > 0) expect(p99_ms).toBeGreaterThan(0);
    expect(early.events).toEqual(expect.arrayContaining(listener.events.slice(0, -1)));
    expect(listener.events.at(-1)).toMatchObject({ redirects: 0, created: 0, p99_ms: null });
    await eventually(() => listener.events.at(-1)?.clicks_pending === 0);
  });

  it('wants the scope stats:read, of a key that sees all', async () => {
    const refused = listen({});
    await eventually(() => refused.status === 401);
    const { key: other } = await makeKey(suite.server, { scopes: ['links:read'] });
    const user = await createUser(asKey(suite.server, ADMIN_KEY));
    const { key: owned } = await makeKey(suite.server, { scopes: ['stats:read'], user_id: user.id });
    for (const key of [other, owned]) {
      const forbidden = listen({ 'X-API-Key': key });
      await eventually(() => forbidden.status === 403);
    }
    const { key } = await makeKey(suite.server, { scopes: ['stats:read'] });
    const allowed = listen({ Authorization: `Bearer ${key}` });
    await eventually(() => allowed.status === 200);
  });

  it('has so many listeners over all gateways, and no more', async () => {
    await nobodyListens();
    const listeners = Array.from({ length: 3 * LISTENERS }, () => listen());
    await eventually(() => listeners.every(({ status }) => status !== undefined));
    const refused = listeners.filter(({ status }) => status === 503);
    expect(refused).toHaveLength(2 * LISTENERS);
    await eventually(() => refused.every(({ text }) => text.endsWith('{"error":"Too many listeners"}')));
    expect(await metrics()).toContain(`\nswitchyard_live_listeners ${LISTENERS}\n`);
    listeners.find(({ status }) => status === 200)?.socket.destroy();
    await eventually(async () => {
      const next = listen();
      await eventually(() => next.status !== undefined);
      return next.status === 200;
    });
  });

  it('goes on after the gateways were replaced, with all its places', async () => {
    await nobodyListens();
    const before = listen();
    await eventually(() => before.events.length > 0);
    const cut = once(before.socket, 'close');
    suite.server.fault({ thread: 'gateway', action: 'throw' });
    await cut;
    let listeners: LiveListener[] = [];
    await eventually(async () => {
      for (const { socket } of listeners) socket.destroy();
      listeners = Array.from({ length: LISTENERS }, () => listen());
      await eventually(() =>
        listeners.every(({ socket, status }) => socket.destroyed || status !== undefined),
      );
      return listeners.every(({ status }) => status === 200);
    });
    await eventually(() => listeners.every(({ events }) => events.length >= 2));
    await eventually(() => listeners.every(({ events }) => events.at(-1)?.threads === 5));
  });

  // The server does not outlive this one.
  it('does not hold up a stop', async () => {
    const listener = listen();
    await eventually(() => listener.events.length > 0);
    expect(await suite.server.stop()).toBe(0);
    expect(listener.text.endsWith('\r\n0\r\n\r\n')).toBe(true);
  });
});
