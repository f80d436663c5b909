import { type ChildProcess, spawn } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { withChildren } from '../measure/process-usage.js';

/** A server under load: its processes, where it listens, and its end. */
export interface ServerHandle {
  readonly port: number;
  /** All processes of the server, as they are now. */
  pids(): number[];
  /** An orderly stop; after a while, a hard one. */
  stop(): Promise<void>;
  /** What Switchyard counted; other servers count nothing. */
  readonly metrics?: () => Promise<ReadonlyMap<string, number>>;
  readonly dataDir?: string;
}

/** Where a process may run: pinned arms have the first core, generators the last. */
export type Placement = 'server core' | 'generator core' | 'anywhere';

const CORES = availableParallelism();

/** The command with its pinning, if there are several cores and a tool for it. */
export function placed(placement: Placement, command: string, args: readonly string[]): [string, string[]] {
  if (placement === 'anywhere' || CORES < 2 || process.platform !== 'linux') return [command, [...args]];
  const core = placement === 'server core' ? 0 : CORES - 1;
  return ['taskset', ['-c', String(core), command, ...args]];
}

export interface Launch {
  readonly command: string;
  readonly args: readonly string[];
  readonly placement: Placement;
  readonly environment?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Finds the port in what the process writes to the standard error. */
  readonly listening: RegExp;
  /** Known beforehand, for servers that do not say where they listen. */
  readonly port?: number;
}

const START_MS = 60_000;
const STOP_MS = 30_000;

/** Starts a server and waits until it reports that it listens. */
export async function launch(options: Launch): Promise<ServerHandle> {
  const [command, args] = placed(options.placement, options.command, options.args);
  const { PATH, HOME } = process.env;
  const child = spawn(command, args, {
    cwd: options.cwd,
    env: { PATH, HOME, ...options.environment },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const port = await portOf(child, options);
  return {
    port,
    pids: () => withChildren(child.pid ?? 0),
    stop: () => stop(child),
  };
}

function portOf(child: ChildProcess, { listening, port }: Launch): Promise<number> {
  return new Promise((resolve, reject) => {
    let said = '';
    const timer = setTimeout(
      () => reject(new Error(`did not listen within ${START_MS} ms: ${said}`)),
      START_MS,
    );
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      if (said.length < 10_000) said += text;
      const match = listening.exec(said);
      if (match === null) return;
      clearTimeout(timer);
      resolve(port ?? Number(match[1]));
    });
    child.once('error', reject);
    child.once('exit', (code) => {
      clearTimeout(timer);
      reject(new Error(`${child.spawnargs.join(' ')} ended with ${code}: ${said}`));
    });
  });
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  child.kill('SIGTERM');
  const isDone = await Promise.race([exit.then(() => true), sleep(STOP_MS, false, { ref: false })]);
  if (isDone) return;
  child.kill('SIGKILL');
  await exit;
}
