import { describe, expect, it, onTestFinished } from 'vitest';
import type { Resource } from '../../src/api/openapi/resources.js';
import { startCountedLoad } from '../support/clients/keep-alive-load.js';
import { urlOf } from '../support/database/database.js';
import { FaultProxy } from '../support/database/proxy.js';
import { eventually } from '../support/machine/wait.js';
import { startServer } from '../support/server/server.js';
import { click, createUrl, useServer } from '../support/server/suite.js';

const suite = useServer({ CHAOS_TOKEN: 'let me in', GATEWAY_THREADS: '2' });

function logs(query = ''): Promise<Resource<'Logs'>> {
  return query === '' ? suite.server.get('/logs') : suite.server.get(`/logs?${query.slice(1)}`);
}

async function metric(series: string): Promise<number> {
  const text = await (await suite.server.fetch('/metrics')).text();
  const line = text.split('\n').find((candidate) => candidate.startsWith(`${series} `));
  return line === undefined ? Number.NaN : Number(line.slice(series.length));
}

describe('GET /health', () => {
  it('says ok, exactly', async () => {
    const response = await suite.server.fetch('/health');
    expect(response.status).toBe(200);
    expect(await response.text()).toBe('{"status":"ok"}');
    expect(response.headers.get('content-type')).toBe('application/json');
  });
});

describe('GET /health/ready', () => {
  it('says that all is well', async () => {
    const response = await suite.server.fetch('/health/ready');
    expect(response.headers.get('content-type')).toBe('application/json');
    expect([response.status, await response.text()]).toEqual([
      200,
      '{"status":"ready","database":"up","journal":"ok"}',
    ]);
  });

  it('says what is wrong, and is 503 while the server stops', async () => {
    const { address } = suite.database;
    const proxy = await FaultProxy.start(address.port);
    onTestFinished(() => proxy.stop());
    const server = await startServer({
      DATABASE_URL: urlOf({ ...address, port: proxy.port }),
      GATEWAY_THREADS: '1',
      CLICK_JOURNAL_SEGMENT_BYTES: '4096',
      CLICK_JOURNAL_MAX_BYTES: '65536',
      DRAIN_LINGER_MS: '60000',
    });
    onTestFinished(() => server.kill());
    const ready = (): Promise<Resource<'Readiness'>> => server.get('/health/ready');
    const url = await createUrl(server);
    await click(server, url.short_code);
    expect(await ready()).toEqual({ status: 'ready', database: 'up', journal: 'ok' });

    proxy.freeze();
    await eventually(async () => (await ready()).database === 'down');
    expect(await ready()).toEqual({ status: 'degraded', database: 'down', journal: 'ok' });

    const load = startCountedLoad(server.port, [url.short_code], 16);
    await eventually(async () => (await ready()).journal === 'full');
    await load.stop();

    proxy.thaw();
    await eventually(async () => (await ready()).status === 'ready');

    server.signal('SIGTERM');
    const answer = await eventually(async () => {
      const { status, body } = await server.json('/health/ready');
      return status === 503 && body;
    });
    expect(answer).toEqual({ error: 'Service unavailable', status: 503 });
  });
});

describe('GET /metrics', () => {
  it('counts requests over all threads, by method, route and status', async () => {
    const series = 'http_requests_total{method="GET",route="/:short_code",status="302"}';
    const before = (await metric(series)) || 0;
    const url = await createUrl(suite.server);
    await Promise.all(
      Array.from({ length: 40 }, () =>
        // A connection each, so that both gateways get some.
        suite.server.fetch(`/${url.short_code}`, { headers: { connection: 'close' } }),
      ),
    );
    // All of one rendering, of which there is one a second.
    const [redirects, timed, created, gateways] = await Promise.all(
      [
        series,
        'http_request_duration_seconds_count{method="GET",route="/:short_code",status="302"}',
        'http_requests_total{method="POST",route="/urls",status="201"}',
        'switchyard_threads{kind="gateway"}',
      ].map(metric),
    );
    expect([(redirects ?? Number.NaN) - before, timed, gateways]).toEqual([40, redirects, 2]);
    expect(created).toBeGreaterThan(0);
  });

  it('is Prometheus text, with the process’s metrics once and no raw path', async () => {
    await suite.server.fetch('/secret-path/of/mine');
    const response = await suite.server.fetch('/metrics');
    expect(response.headers.get('content-type')).toMatch(/^text\/plain; version=0\.0\.4/);
    const text = await response.text();
    expect(text).not.toContain('secret-path');
    expect(text.match(/^process_cpu_seconds_total /gm)).toHaveLength(1);
    expect(text.match(/^switchyard_event_loop_lag_p99_seconds\{thread="gateway-1"\}/gm)).toHaveLength(1);
    for (const line of text
      .split('\n')
      .filter((candidate) => candidate !== '' && !candidate.startsWith('#'))) {
      expect(line).toMatch(/^[a-z0-9_]+(\{[^}]*\})? -?(\d|\.|e[+-]?|\+?Inf|NaN)+$/i);
    }
    const names = text.match(/^# TYPE (\S+)/gm) ?? [];
    expect(new Set(names).size).toBe(names.length);
  });

  it('is rendered once a second at most, and never shows less than what was counted before the question', async () => {
    const series = 'http_requests_total{method="GET",route="/health",status="200"}';
    const before = (await metric(series)) || 0;
    const startMs = performance.now();
    const seen: number[] = [];
    for (let round = 1; round <= 3; round += 1) {
      await suite.server.fetch('/health');
      const answers = await Promise.all(Array.from({ length: 20 }, () => metric(series)));
      seen.push(...answers.map((value) => value - before - round));
    }
    expect(seen).toEqual(seen.map(() => 0));
    // Three renderings after the first one, each a second after the one before it.
    expect(performance.now() - startMs).toBeGreaterThan(2000);
  });

  it('still has the former names of metrics that were renamed', async () => {
    const names = ['clicks_journalled_total', 'clicks_ingested_total', 'clicks_lost_total'];
    const [former, present] = await Promise.all([
      Promise.all(names.map(metric)),
      Promise.all(names.map((name) => metric(`switchyard_${name}`))),
    ]);
    expect(former).toEqual(present);
    expect(former).not.toContain(Number.NaN);
  });

  it('tells clicks and what became of them', async () => {
    const url = await createUrl(suite.server);
    const before = await metric('switchyard_clicks_ingested_total');
    for (let count = 0; count < 10; count += 1) await click(suite.server, url.short_code);
    await eventually(async () => (await metric('switchyard_clicks_ingested_total')) - before >= 10);
    await eventually(async () => (await metric('switchyard_clicks_pending')) === 0);
    const others = ['switchyard_clicks_lost_total', 'switchyard_database_up', 'switchyard_cache_coherent'];
    expect(await Promise.all(others.map(metric))).toEqual([0, 1, 1]);
  });
});

describe('GET /logs', () => {
  it('has the entries of all threads, the newest last, with their call sites', async () => {
    const id = `log-test-${Date.now()}`;
    await suite.server.fetch('/users?page=1&per_page=1', { headers: { 'x-request-id': id } });
    const found = await eventually(async () => {
      const answer = await logs(`?filter=${id}`);
      return answer.count > 0 && answer;
    });
    expect(found.count).toBe(1);
    expect(found.logs[0]).toMatchObject({
      asctime: expect.stringMatching(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}$/),
      name: expect.stringMatching(/^gateway-[01]$/),
      levelname: 'INFO',
      message: 'GET /users 200',
      pathname: 'src/gateway/http/request-log.ts',
      lineno: expect.any(Number),
      method: 'GET',
      route: '/users',
      status: 200,
      request_id: id,
    });
    const all = await logs('?limit=200');
    expect(all.logs.some((entry) => entry.name === 'supervisor')).toBe(true);
    const times = all.logs.map((entry) => entry.asctime as string);
    expect(times.at(-1)).toBe([...times].sort().at(-1));
  });

  it('keeps the limit within 1 to 200, and takes bad values for 50', async () => {
    for (let count = 0; count < 210; count += 1) await suite.server.fetch('/urls/999999');
    await eventually(async () => (await logs('?limit=200')).count === 200);
    expect((await logs()).count).toBe(50);
    expect((await logs('?limit=3')).count).toBe(3);
    expect((await logs('?limit=0')).count).toBe(1);
    expect((await logs('?limit=-7')).count).toBe(1);
    expect((await logs('?limit=100000')).count).toBe(200);
    for (const bad of ['abc', '', '1.5', 'NaN', '%00']) {
      expect((await logs(`?limit=${bad}`)).count).toBe(50);
    }
  });

  it('filters by level and text, in any case', async () => {
    const infos = await logs('?level=info&limit=200');
    expect(infos.count).toBeGreaterThan(0);
    expect(infos.logs.every((entry) => entry.levelname === 'INFO')).toBe(true);
    expect((await logs('?level=ERROR')).count).toBe(0);
    const listening = await logs('?filter=LISTENING&limit=200');
    expect(listening.logs.map((entry) => entry.message)).toEqual([expect.stringContaining('listening on')]);
    expect((await logs('?filter=no-such-text-anywhere')).logs).toEqual([]);
  });
});

describe('X-Request-ID', () => {
  it('is taken where it is plausible, and made otherwise', async () => {
    const given = await suite.server.fetch('/health', { headers: { 'x-request-id': 'abc-123/x' } });
    expect(given.headers.get('x-request-id')).toBe('abc-123/x');
    for (const id of ['', 'x'.repeat(200), 'a b', 'a"b']) {
      const made = await suite.server.fetch('/health', { headers: { 'x-request-id': id } });
      expect(made.headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/);
    }
  });
});

describe('GET /chaos', () => {
  it('is refused without the token', async () => {
    const unauthorized = { status: 401, body: { error: 'Unauthorized' } };
    expect(await suite.server.json('/chaos')).toEqual(unauthorized);
    for (const token of ['', 'let me', 'LET ME IN'])
      expect(await suite.server.json('/chaos', { headers: { 'x-chaos-token': token } })).toEqual(
        unauthorized,
      );
  });

  it('stops the server gracefully with it', async () => {
    const url = await createUrl(suite.server);
    await click(suite.server, url.short_code);
    const response = await suite.server.fetch('/chaos', { headers: { 'x-chaos-token': 'let me in' } });
    expect([response.status, await response.text()]).toEqual([204, '']);
    expect(await suite.server.exit).toBe(0);
    const clicks = await suite.database.query('SELECT click_count FROM short_urls WHERE id = $1', [url.id]);
    expect(clicks).toEqual([{ click_count: '1' }]);
  });
});
