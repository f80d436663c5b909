import { type ChildProcess, spawn } from 'node:child_process';
import { rmSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { ApiClient } from '../clients/api-client.js';
import { makeFolder } from '../machine/folders.js';
import type { Host } from '../machine/network.js';
import { toolPath } from '../machine/tools.js';
import { noteOpened } from '../run/opened.js';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../..');

export interface LogEntry {
  readonly levelname: string;
  readonly name: string;
  readonly message: string;
  readonly [field: string]: unknown;
}

/** The server as a child process on a free port. */
export class TestServer extends ApiClient {
  readonly port: number;
  readonly url: string;
  readonly dataDir: string;
  readonly logs: LogEntry[];
  /** What it wrote to the standard error: the messages, where it wrote log lines. */
  readonly banner: () => string;
  readonly #child: ChildProcess;
  readonly #exit: Promise<number | NodeJS.Signals>;
  readonly #ownsDataDir: boolean;

  constructor(started: Started, port: number, host = '127.0.0.1') {
    const url = `http://${host}:${port}`;
    super((pathname, init) => fetch(url + pathname, init));
    this.#child = started.child;
    this.#exit = started.exit;
    this.#ownsDataDir = started.ownsDataDir;
    this.dataDir = started.dataDir;
    this.logs = started.logs;
    this.banner = () => messagesOf(started.stderr());
    this.port = port;
    this.url = url;
  }

  get pid(): number {
    return this.#child.pid as number;
  }

  /** Ends or blocks one of the server's threads; needs `WITH_FAULTS` in the environment it was started with. */
  fault(fault: Fault): void {
    this.#child.send(fault);
  }

  /** From now on nobody reads what it writes to the standard output. */
  stopReading(): void {
    this.#child.stdout?.destroy();
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** What it ends, or ended, with. */
  get exit(): Promise<number | NodeJS.Signals> {
    return this.#exit;
  }

  async kill(): Promise<void> {
    this.signal('SIGKILL');
    await this.#exit;
  }

  /** A graceful stop. @returns its exit code. */
  async stop(): Promise<number | NodeJS.Signals> {
    this.signal('SIGTERM');
    const code = await this.#exit;
    if (this.#ownsDataDir) rmSync(this.dataDir, { recursive: true, force: true });
    return code;
  }
}

export interface Fault {
  readonly thread: 'supervisor' | 'gateway' | 'interactive' | 'transfer' | 'ingest';
  readonly action: 'throw' | 'exit' | 'abort' | 'block';
  readonly milliseconds?: number;
}

/** To be spread into a server's environment. */
export const WITH_FAULTS = { TEST_FAULTS: '1' } as const;

/** To be spread into a server's environment: a file in the place of each package, or `null` for none. */
export function withPackages(packages: Readonly<Record<string, string | null>>): ServerEnvironment {
  return { TEST_PACKAGES: JSON.stringify(packages) };
}

export type ServerEnvironment = Readonly<Record<string, string | undefined>>;

/** To be spread into a server's environment: how many descriptors it may have open. */
export function withDescriptors(count: number): ServerEnvironment {
  return { TEST_DESCRIPTORS: String(count) };
}

/** To be spread into a server's environment: it runs on a host of its own, and is asked there. */
export function onHost({ namespace, address }: Host): ServerEnvironment {
  return { TEST_NAMESPACE: namespace, TEST_ADDRESS: address, HOST: '0.0.0.0' };
}

interface Started {
  readonly child: ChildProcess;
  readonly exit: Promise<number | NodeJS.Signals>;
  readonly logs: LogEntry[];
  readonly dataDir: string;
  readonly ownsDataDir: boolean;
  readonly stderr: () => string;
  readonly listening: Promise<number>;
}

/** Starts a server and waits until it listens. */
export async function startServer(environment: ServerEnvironment): Promise<TestServer> {
  const started = launch(environment);
  const port = await Promise.race([
    started.listening,
    started.exit.then((code) => {
      throw new Error(`the server ended with ${code}: ${started.stderr()}`);
    }),
  ]);
  return new TestServer(started, port, environment.TEST_ADDRESS);
}

/** Starts a server that is expected to end by itself. */
export async function runServer(
  environment: ServerEnvironment,
): Promise<{ code: number | NodeJS.Signals; stderr: string }> {
  const started = launch(environment);
  const code = await started.exit;
  if (started.ownsDataDir) rmSync(started.dataDir, { recursive: true, force: true });
  return { code, stderr: started.stderr() };
}

function launch(environment: ServerEnvironment): Started {
  const ownsDataDir = environment.DATA_DIR === undefined;
  const dataDir = environment.DATA_DIR ?? makeFolder('data');
  const { PATH, HOME, NODE_V8_COVERAGE } = process.env;
  const hasFaults = environment.TEST_FAULTS !== undefined;
  const preloads = [
    ...(hasFaults ? ['faults.mjs'] : []),
    ...(environment.TEST_PACKAGES === undefined ? [] : ['packages.mjs']),
  ];
  const preload = preloads.flatMap((file) => ['--import', path.join(root, 'test/support/server', file)]);
  // As it is shipped; where coverage is counted, as it was compiled, for it is counted file by file.
  const main = NODE_V8_COVERAGE === undefined ? 'dist/server/main.js' : 'dist/src/main.js';
  const entry = path.join(environment.TEST_RELEASE ?? root, main);
  const args = ['--enable-source-maps', ...preload, entry];
  const { TEST_DESCRIPTORS: descriptors, TEST_NAMESPACE: namespace } = environment;
  const node = [process.execPath, ...args] as [string, ...string[]];
  const [program, ...programArgs] =
    descriptors !== undefined
      ? ['sh', '-c', `ulimit -n ${descriptors} && exec "$0" "$@"`, ...node]
      : namespace !== undefined
        ? [toolPath('ip'), 'netns', 'exec', namespace, ...node]
        : node;
  const child = spawn(program, programArgs, {
    // A folder without a .env file of the developer's.
    cwd: path.join(root, 'test/support'),
    env: {
      PATH,
      HOME,
      ...(NODE_V8_COVERAGE === undefined ? {} : { NODE_V8_COVERAGE }),
      HOST: '127.0.0.1',
      PORT: '0',
      SEED_ON_BOOT: 'false',
      ...environment,
      DATA_DIR: dataDir,
    } as NodeJS.ProcessEnv,
    stdio: hasFaults ? ['ignore', 'pipe', 'pipe', 'ipc'] : ['ignore', 'pipe', 'pipe'],
  });
  const closed = noteOpened(`server ${child.pid}`, () => child.kill('SIGKILL'));
  const logs: LogEntry[] = [];
  let stderr = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const listening = new Promise<number>((resolve) => {
    createInterface({ input: child.stdout as NodeJS.ReadableStream }).on('line', (line) => {
      const entry = parseLine(line);
      if (entry === undefined) return;
      logs.push(entry);
      if (entry.message.startsWith('listening on')) resolve(Number(entry.port));
    });
  });
  const exit = new Promise<number | NodeJS.Signals>((resolve) => {
    child.once('close', (code, signal) => {
      closed();
      resolve(code ?? signal ?? 0);
    });
  });
  return { child, exit, logs, dataDir, ownsDataDir, stderr: () => stderr, listening };
}

function messagesOf(text: string): string {
  return text
    .split('\n')
    .map((line) => parseLine(line)?.message ?? line)
    .join('\n');
}

function parseLine(line: string): LogEntry | undefined {
  try {
    return JSON.parse(line) as LogEntry;
  } catch {
    return undefined;
  }
}
