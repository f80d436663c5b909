import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { closeSync, constants, existsSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createDatabase, type TestDatabase } from '../support/database/database.js';
import { makeFolder } from '../support/machine/folders.js';
import { eventually } from '../support/machine/wait.js';
import { freePort } from '../support/server/program.js';
import { startServer } from '../support/server/server.js';

const main = fileURLToPath(new URL('../../dist/server/main.js', import.meta.url));
let database: TestDatabase;
const children = new Set<ChildProcess>();

beforeAll(async () => {
  database = await createDatabase();
});

afterEach(() => {
  for (const child of children) child.kill('SIGKILL');
  children.clear();
});

afterAll(async () => {
  await database?.drop();
});

interface Spawned {
  readonly port: number;
  readonly child: ChildProcess;
  readonly exit: Promise<number | NodeJS.Signals | null>;
}

/** A server whose output is the test's own. */
async function spawnServer(
  output: number | 'pipe',
  environment: Record<string, string> = {},
  folder = makeFolder('operator'),
): Promise<Spawned> {
  const port = Number(environment.PORT ?? (await freePort()));
  const child = spawn(process.execPath, [main], {
    cwd: folder,
    env: {
      PATH: process.env.PATH,
      HOST: '127.0.0.1',
      DATABASE_URL: database.url,
      DATA_DIR: path.join(folder, 'data'),
      SEED_ON_BOOT: 'false',
      PORT: String(port),
      ...environment,
    },
    stdio: ['ignore', output, output],
  });
  children.add(child);
  const exit = new Promise<number | NodeJS.Signals | null>((resolve) => {
    child.once('exit', (code, signal) => resolve(code ?? signal));
  });
  return { port, child, exit };
}

const get = (port: number, pathname: string): Promise<Response> =>
  fetch(`http://127.0.0.1:${port}${pathname}`);

async function answers({ port }: Spawned): Promise<void> {
  await eventually(() =>
    get(port, '/health').then(
      ({ status }) => status === 200,
      () => false,
    ),
  );
}

async function droppedLines({ port }: Spawned): Promise<number> {
  const text = await (await get(port, '/metrics')).text();
  return Number(text.match(/^switchyard_log_lines_dropped_total (\d+)$/m)?.[1]);
}

describe('an output that takes no lines', () => {
  const outputs: [name: string, open: () => number | 'pipe'][] = [
    ['is full', () => openSync('/dev/full', 'w')],
    [
      'is a pipe that nobody reads',
      () => {
        const pipe = path.join(makeFolder('pipe'), 'output');
        execFileSync('mkfifo', [pipe]);
        return openSync(pipe, constants.O_RDWR);
      },
    ],
    ['is a socket that nobody reads', () => 'pipe'],
  ];

  it.each(outputs)(
    'that %s holds neither a request nor the stop',
    { timeout: 90_000 },
    async (name, open) => {
      const output = open();
      // Each request is a line: more than a pipe holds.
      const server = await spawnServer(output, { LOG_LEVEL: 'debug', LOG_REQUESTS_PER_SECOND: '100000' });
      await answers(server);
      for (let count = 0; count < 600; count += 1) {
        const response = await get(server.port, `/urls/${count + 1_000_000}`);
        expect(response.status).toBe(404);
        await response.arrayBuffer();
      }
      if (name === 'is full') expect(await droppedLines(server)).toBeGreaterThan(500);
      else expect(await droppedLines(server)).toBe(0);
      const startMs = performance.now();
      server.child.kill('SIGTERM');
      expect(await server.exit).toBe(0);
      expect(performance.now() - startMs).toBeLessThan(5000);
      if (typeof output === 'number') closeSync(output);
    },
  );

  it('because its reader has gone costs lines, which are counted', { timeout: 60_000 }, async () => {
    const server = await spawnServer('pipe');
    await answers(server);
    server.child.stdout?.destroy();
    server.child.stderr?.destroy();
    for (let count = 0; count < 50; count += 1) await get(server.port, '/urls/1000000');
    await eventually(async () => (await droppedLines(server)) > 0);
    server.child.kill('SIGTERM');
    expect(await server.exit).toBe(0);
  });
});

describe('SIGHUP', () => {
  it('reads LOG_LEVEL again, names what needs a restart, and never ends the server', {
    timeout: 60_000,
  }, async () => {
    const folder = makeFolder('reload');
    const settings = (text: string): void => writeFileSync(path.join(folder, '.env'), text);
    settings('LOG_LEVEL=WARN\n');
    const server = await spawnServer('pipe', {}, folder);
    let output = '';
    server.child.stdout?.on('data', (text: Buffer) => {
      output += text;
    });
    server.child.stderr?.resume();
    await answers(server);
    const hup = async (expected: string): Promise<void> => {
      output = '';
      server.child.kill('SIGHUP');
      await eventually(() => output.includes(expected));
    };
    await get(server.port, '/NoSuchCode');
    settings('LOG_LEVEL=debug\nCACHE_MAX_LINKS=1000\n');
    await hup('settings read again: LOG_LEVEL');
    await eventually(() => output.includes('changed settings that need a restart: CACHE_MAX_LINKS'));
    // A line of another thread, at a level that was silent before.
    await get(server.port, '/NoSuchCode');
    await eventually(() => /"levelname":"DEBUG".*"route":"\/:short_code"/.test(output));
    settings('LOG_LEVEL=loud\n');
    await hup('the settings are unchanged: LOG_LEVEL must be one of');
    settings('LOG_LEVEL=off\n');
    server.child.kill('SIGHUP');
    await eventually(async () => {
      output = '';
      await get(server.port, '/NoSuchCode');
      await new Promise((resolve) => setTimeout(resolve, 300));
      return output === '';
    });
    expect((await get(server.port, '/health')).status).toBe(200);
    server.child.kill('SIGTERM');
    expect(await server.exit).toBe(0);
  });
});

describe('two servers that are started together on one port', () => {
  it.each(['1', '2'])(
    'with GATEWAY_THREADS=%s: one runs, the other ends with 4',
    { timeout: 90_000 },
    async (threads) => {
      const port = await freePort();
      const environment = { PORT: String(port), GATEWAY_THREADS: threads };
      const both = await Promise.all([spawnServer('pipe', environment), spawnServer('pipe', environment)]);
      for (const { child } of both) for (const stream of [child.stdout, child.stderr]) stream?.resume();
      const loser = await Promise.race(both.map(async (server) => ({ server, code: await server.exit })));
      expect(loser.code).toBe(4);
      const winner = both.find((server) => server !== loser.server) as Spawned;
      await answers(winner);
      // What dies by force leaves no claim behind.
      winner.child.kill('SIGKILL');
      await winner.exit;
      const next = await spawnServer('pipe', environment);
      await answers(next);
      next.child.kill('SIGTERM');
      expect(await next.exit).toBe(0);
    },
  );
});

/** The process that a chain of processes with one child each ends in. */
function lastDescendant(pid: number): number {
  const [child] = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean);
  return child === undefined ? pid : lastDescendant(Number(child));
}

describe.runIf(process.platform === 'linux')('log lines', () => {
  /** Starts a server whose output is a terminal, or a pipe, and gives what both its streams say until it has started. */
  async function firstLines(isTerminal: boolean, environment: Record<string, string> = {}): Promise<string> {
    const folder = makeFolder('operator');
    const command = isTerminal
      ? ['script', '-qec', `"${process.execPath}" "${main}"`, '/dev/null']
      : [process.execPath, main];
    const child = spawn(command[0] as string, command.slice(1), {
      cwd: folder,
      env: {
        PATH: process.env.PATH,
        HOST: '127.0.0.1',
        PORT: '0',
        DATABASE_URL: database.url,
        DATA_DIR: path.join(folder, 'data'),
        SEED_ON_BOOT: 'false',
        ...environment,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    children.add(child);
    let said = '';
    for (const stream of [child.stdout, child.stderr])
      stream?.setEncoding('utf8').on('data', (text: string) => {
        said += text;
      });
    await eventually(() => said.includes('listening on') && said.includes('before their redirects'));
    const lines = said.slice(0, said.lastIndexOf('\n')).replaceAll('\r', '');
    const ended = new Promise((resolve) => child.once('exit', resolve));
    // `script` would leave behind what runs in its terminal.
    process.kill(lastDescendant(child.pid as number), 'SIGTERM');
    await ended;
    return lines;
  }

  const short =
    /^\d\d:\d\d:\d\d INFO: supervisor: listening on 127\.0\.0\.1:\d+ \{"port":\d+,"started_ms":\d+\}$/m;
  const banner = /^Switchyard \S+ serves http:\/\/127\.0\.0\.1:\d+ after \d+ ms$/m;

  it('are short on a terminal, below a banner', async () => {
    const said = await firstLines(true, { NO_COLOR: '1' });
    expect(said).toMatch(short);
    expect(said).toMatch(banner);
    expect(said).not.toContain('"message"');
  });

  it('are JSON in a pipe, the banner’s too', async () => {
    const lines = (await firstLines(false)).split('\n');
    const messages = lines.map((line) => (JSON.parse(line) as { message: string }).message);
    expect(messages.some((message) => banner.test(message))).toBe(true);
    expect(messages.some((message) => message.startsWith('listening on'))).toBe(true);
  });

  it('are as LOG_FORMAT says, wherever they go', async () => {
    const pretty = await firstLines(false, { LOG_FORMAT: 'pretty' });
    expect(pretty).toMatch(short);
    expect(pretty).toMatch(banner);
    const json = (await firstLines(true, { LOG_FORMAT: 'json' })).split('\n');
    for (const line of json) expect(JSON.parse(line)).toMatchObject({ name: expect.any(String) });
  });
});

describe('an API that other machines reach', () => {
  it.each([
    ['0.0.0.0', true],
    ['127.0.0.1', false],
  ])('on %s is warned about: %s', async (host, isWarned) => {
    const server = await startServer({ DATABASE_URL: database.url, HOST: host });
    await eventually(() => server.banner().includes('serves http'));
    // What follows the banner has been said by the time that the server has ended.
    const isSaid = (): boolean => server.banner().includes('the API asks nobody for a password');
    if (isWarned) await eventually(isSaid);
    expect(server.logs.some(({ message }) => message.startsWith('the API asks nobody'))).toBe(isWarned);
    await server.stop();
    expect(isSaid()).toBe(isWarned);
  });
});

it('a misspelt setting is warned about, with the one that was meant', async () => {
  const server = await startServer({
    DATABASE_URL: database.url,
    GATEWAY_THREDS: '2',
    PROT: '1',
    OTHER: 'x',
  });
  await eventually(() => server.banner().includes('PROT'));
  const warning = (given: string, meant: string): string =>
    `${given} is no setting and has no effect; the nearest one is ${meant}`;
  const expected = [warning('GATEWAY_THREDS', 'GATEWAY_THREADS'), warning('PROT', 'PORT')];
  expect([...server.banner().matchAll(/warning: (.*)$/gm)].map(([, text]) => text)).toEqual(expected);
  expect(
    server.logs.map(({ message }) => message).filter((message) => message.includes('no setting')),
  ).toEqual(expected);
  await server.stop();
});

it('the test has a full device', () => expect(existsSync('/dev/full')).toBe(true));
