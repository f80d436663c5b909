import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Url } from '../support/clients/answers.js';
import { createDatabase, type TestDatabase } from '../support/database/database.js';
import { eventually } from '../support/machine/wait.js';
import { startServer, type TestServer } from '../support/server/server.js';
import { createUrl } from '../support/server/suite.js';

const chrome =
  'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36';
const iphone =
  'Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1';
const slack = 'Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)';

let database: TestDatabase;
let server: TestServer;

async function start(environment: Record<string, string>): Promise<void> {
  database = await createDatabase();
  server = await startServer({ DATABASE_URL: database.url, READ_BARRIER_MS: '10000', ...environment });
}

async function stop(): Promise<void> {
  await server?.stop();
  await database?.drop();
}

async function visit(
  url: Url,
  headers: Record<string, string>,
  method = 'GET',
  path = `/${url.short_code}`,
): Promise<void> {
  const response = await server.fetch(path, { method, headers });
  expect(response.status).toBe(302);
}

/** The events of a link but its creation, oldest first, without what every event has. */
async function eventsOf(url: Url): Promise<[type: string, details: Record<string, unknown>][]> {
  const events = await server.get(`/events?url_id=${url.id}`);
  return events
    .filter((event) => event.event_type !== 'created')
    .reverse()
    .map(({ event_type: type, details }) => {
      const { short_code: code, original_url: target, ...facts } = details;
      expect([code, target]).toEqual([url.short_code, url.original_url]);
      return [type, facts];
    });
}

describe('CLICK_DETAILS=basic', () => {
  beforeAll(() =>
    start({ CLICK_DETAILS: 'basic', COUNT_BOTS: 'false', CLICK_COUNTRY_HEADER: 'CF-IPCountry' }),
  );
  afterAll(stop);

  it('notes the referrer’s host, the browser, system, device and country', async () => {
    const url = await createUrl(server);
    await visit(url, {
      'user-agent': chrome,
      referer: 'https://user:pw@News.Example.org:8443/article?id=1#x',
      'cf-ipcountry': 'de',
    });
    await visit(url, {
      'user-agent': iphone,
      referer: 'android-app://com.example',
      'cf-ipcountry': 'not a country',
    });
    await visit(url, { 'user-agent': 'something \u00fcnusual"\\', referer: 'no url at all' });
    await visit(
      url,
      { 'user-agent': chrome, 'x-forwarded-for': '203.0.113.77' },
      'GET',
      `/urls/${url.short_code}/redirect`,
    );
    expect(await eventsOf(url)).toEqual([
      [
        'click',
        { referrer: 'news.example.org', browser: 'Chrome', os: 'Windows', device: 'desktop', country: 'DE' },
      ],
      ['click', { referrer: 'com.example', browser: 'Safari', os: 'iOS', device: 'mobile' }],
      ['click', expect.not.objectContaining({ bot: true })],
      ['click', { browser: 'Chrome', os: 'Windows', device: 'desktop' }],
    ]);
    expect((await server.json(`/urls/${url.id}`)).body).toMatchObject({ click_count: 4 });
  });

  it('makes no event of a HEAD, and no click of a link preview', async () => {
    const url = await createUrl(server);
    await visit(url, { 'user-agent': slack });
    await visit(url, { 'user-agent': chrome }, 'HEAD');
    await visit(url, { 'user-agent': chrome });
    expect(await eventsOf(url)).toEqual([
      ['preview', expect.objectContaining({ bot: true })],
      ['click', expect.objectContaining({ browser: 'Chrome' })],
    ]);
    await eventually(async () => (await server.get(`/urls/${url.id}`)).click_count === 1);
  });

  it('notes as much when the link had to be looked up, and when many wait for it', async () => {
    const url = await createUrl(server);
    await Promise.all(
      Array.from({ length: 20 }, (_, index) =>
        visit(url, { 'user-agent': chrome, referer: `https://r${index}.example/` }),
      ),
    );
    const hosts = (await eventsOf(url)).map(([, facts]) => facts.referrer);
    expect(new Set(hosts)).toEqual(new Set(Array.from({ length: 20 }, (_, index) => `r${index}.example`)));
  });
});

describe('CLICK_DETAILS=full', () => {
  beforeAll(() =>
    start({ CLICK_DETAILS: 'full', CLICK_ADDRESS_HEADER: 'X-Forwarded-For', GATEWAY_THREADS: '2' }),
  );
  afterAll(stop);

  it.each([
    ['203.0.113.77', '203.0.113.0'],
    ['198.51.100.1, 203.0.113.77', '203.0.113.0'],
    ['2001:db8:1234:5678::1', '2001:db8:1234::'],
    ['::ffff:203.0.113.77', '203.0.113.0'],
    ['::ffff:cb00:714d', '203.0.113.0'],
    ['0000:0000:0000:0000:0000:ffff:cb00:714d', '203.0.113.0'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1::'],
    ['::1', '0:0:0::'],
    ['2001:db8::1::2', undefined],
    ['2001:db8:1:2:3:4:5', undefined],
    ['2001:db8:1:2:3:4:5:6:7', undefined],
    ['2001:db8:12345::1', undefined],
    ['', undefined],
    ['not an address', undefined],
  ])('notes only the network of the address %s', async (given, noted) => {
    const url = await createUrl(server);
    await visit(url, { 'x-forwarded-for': given, 'user-agent': chrome });
    const [[, facts] = ['', {}]] = await eventsOf(url);
    expect(facts.address).toBe(noted);
  });
});

describe('without CLICK_DETAILS', () => {
  beforeAll(() => start({}));
  afterAll(stop);

  it('nothing of a visitor is noted', async () => {
    const url = await createUrl(server);
    await visit(url, {
      'user-agent': slack,
      referer: 'https://example.org/',
      'x-forwarded-for': '203.0.113.77',
    });
    await visit(url, {}, 'HEAD');
    expect(await eventsOf(url)).toEqual([['click', {}]]);
  });
});

describe('COUNT_BOTS=false without CLICK_DETAILS', () => {
  beforeAll(() => start({ COUNT_BOTS: 'false' }));
  afterAll(stop);

  it('counts no bot, and notes nothing of anyone', async () => {
    const url = await createUrl(server);
    const carrier = `${iphone} [FBAN/FBIOS;FBCR/Bot Crawler Spider Mobile;FBLC/en_US]`;
    for (const agent of [slack, 'curl/8.5.0', chrome, carrier, slack])
      await visit(url, { 'user-agent': agent });
    expect(await eventsOf(url)).toEqual([
      ['preview', {}],
      ['preview', {}],
      ['click', {}],
      ['click', {}],
      ['preview', {}],
    ]);
  });
});
