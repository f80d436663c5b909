import { connect, type Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { startLoad } from '../support/clients/load.js';
import { sendRaw } from '../support/clients/raw-http.js';
import { createDatabase, type TestDatabase, urlOf } from '../support/database/database.js';
import { FaultProxy } from '../support/database/proxy.js';
import { describeWith } from '../support/machine/tools.js';
import { eventually } from '../support/machine/wait.js';
import { type ServerEnvironment, startServer, type TestServer } from '../support/server/server.js';
import { createUrl } from '../support/server/suite.js';
import { untilEnd } from '../support/server/until-end.js';
import { Nginx } from '../support/stack/nginx.js';

describeWith('nginx')('what one link or one client can’t do behind Nginx', () => {
  let database: TestDatabase;

  beforeAll(async () => {
    database = await createDatabase();
  });
  afterAll(async () => {
    await database?.drop();
  });

  async function startReplicas(
    environment: ServerEnvironment = {},
  ): Promise<{ replicas: [TestServer, TestServer]; nginx: Nginx }> {
    const start = async (): Promise<TestServer> =>
      untilEnd(await startServer({ DATABASE_URL: database.url, ...environment }));
    const replicas: [TestServer, TestServer] = [await start(), await start()];
    return { replicas, nginx: untilEnd(await Nginx.start(replicas.map(({ port }) => port))) };
  }

  describe('a long link', () => {
    it.each([
      ['8,192 characters', `https://example.com/${'x'.repeat(8172)}`],
      ['15,000 bytes of Location', `https://example.com/${'路'.repeat(1664)}`],
    ])('redirects: %s', async (_, target) => {
      const { replicas, nginx } = await startReplicas();
      const { short_code: code } = await createUrl(replicas[0], { original_url: target });
      for (const path of [`/${code}`, `/urls/${code}/redirect`]) {
        for (const method of ['GET', 'HEAD', 'GET', 'GET']) {
          const answer = await nginx.fetch(path, { method });
          expect([answer.status, answer.headers.get('location')]).toEqual([302, new URL(target).href]);
        }
      }
    });

    it('redirects though no such link can be made any more: the longest of all rows', async () => {
      const { nginx } = await startReplicas();
      const target = `https://example.com/${'🚦'.repeat(8172)}`;
      await database.query('INSERT INTO short_urls (short_code, original_url, title) VALUES ($1, $2, $3)', [
        'longest',
        target,
        '',
      ]);
      for (let visit = 0; visit < 4; visit += 1) {
        // fetch takes no head of this length.
        const answer = await sendRaw(nginx.port, 'GET /longest HTTP/1.1\r\nHost: a\r\n\r\n');
        expect(answer.status).toBe(302);
        expect(answer.headers.get('location') === new URL(target).href).toBe(true);
      }
      expect(nginx.errors).not.toContain('too big header');
    });
  });

  it('slow uploads, cut or not, fail no redirect', { timeout: 90_000 }, async () => {
    // The gateway's library gives a body that comes this slowly about 10 s; its own deadline is later.
    const { replicas, nginx } = await startReplicas({ BODY_DEADLINE_MS: '14000' });
    const { short_code: code } = await createUrl(replicas[0]);
    const load = untilEnd(startLoad(nginx.port, [code], 4, 5));
    const uploads = Array.from({ length: 16 }, () => untilEnd(new SlowUpload(nginx.port)));
    await eventually(() => uploads.every(({ hasEnded }) => hasEnded), 60_000, 'the end of every upload');
    await load.stop();
    expect([...load.statuses.keys()]).toEqual([302]);
    expect(load.total()).toBeGreaterThan(100);
  });
});

describeWith('nginx')('two replicas and a frozen database', () => {
  it('redirects what either has in its cache, whoever asks for what besides', {
    timeout: 180_000,
  }, async () => {
    const database = await createDatabase();
    onTestFinished(() => database.drop());
    const proxy = untilEnd(await FaultProxy.start(database.address.port));
    const url = urlOf({ ...database.address, host: '127.0.0.1', port: proxy.port });
    const start = async (port = 0): Promise<TestServer> =>
      untilEnd(await startServer({ DATABASE_URL: url, PORT: String(port) }));
    const [warm, restarted] = [await start(), await start()];
    const nginx = untilEnd(await Nginx.start([warm.port, restarted.port]));
    const hot: string[] = [];
    for (let count = 0; count < 5; count += 1) hot.push((await createUrl(warm)).short_code);
    for (const code of hot) expect((await warm.fetch(`/${code}`)).status).toBe(302);

    proxy.freeze();
    await restarted.kill();
    await start(restarted.port);
    // Nobody has these, and every replica says 503: it must not be left alone for that.
    const cold = Promise.all(Array.from({ length: 20 }, (_, index) => nginx.fetch(`/cold${index}`)));
    const visits = Promise.all(Array.from({ length: 40 }, (_, index) => nginx.fetch(`/${hot[index % 5]}`)));
    expect(new Set((await visits).map(({ status }) => status))).toEqual(new Set([302]));
    const refused = await Promise.all(
      (await cold).map(async (answer) => [
        answer.status,
        await answer.text(),
        answer.headers.get('retry-after'),
      ]),
    );
    const unavailable = [503, '{"error":"Service unavailable","status":503}', '1'];
    expect(refused).toEqual(refused.map(() => unavailable));
    const entries = nginx.log().filter(({ uri }) => hot.includes(uri.slice(1)));
    expect(entries.some(({ upstream_status: statuses }) => statuses.includes('503'))).toBe(true);
  });
});

/** A body of which a byte comes every half second. */
class SlowUpload {
  readonly #socket: Socket;
  readonly #timer: NodeJS.Timeout;
  hasEnded = false;

  constructor(port: number) {
    this.#socket = connect(port, '127.0.0.1');
    const head = ['Host: a', 'Content-Type: application/json', 'Content-Length: 100000'];
    this.#socket.write(['POST /urls HTTP/1.1', ...head, '', '{'].join('\r\n'));
    this.#socket.on('data', () => this.stop());
    this.#socket.on('error', () => undefined);
    this.#socket.on('close', () => this.stop());
    this.#timer = setInterval(() => this.#socket.write(' '), 500);
  }

  stop(): void {
    this.hasEnded = true;
    clearInterval(this.#timer);
    this.#socket.destroy();
  }
}
