import { existsSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const STOP_DEADLINE_MS = 30_000;
const POLL_MS = 10;

/** The PostgreSQL process that works on a cluster's files. */
export interface Postmaster {
  readonly pid: number;
  readonly port: number;
  /** As it reports it: `starting`, `ready`, `stopping`, `standby`; empty in its first moments. */
  readonly status: string;
}

/**
 * The living postmaster of this very folder. The pid file alone proves nothing: it is copied with the
 * folder, and its number may now belong to another process.
 */
export function runningPostmaster(cluster: string): Postmaster | undefined {
  const file = readPidFile(cluster);
  if (file === undefined || !isAlive(file.pid) || whereItWorks(file, cluster) !== 'here') return undefined;
  return { pid: file.pid, port: file.port, status: file.status };
}

/**
 * Removes a pid file whose number belongs to another process, which would make PostgreSQL refuse to start.
 * Call it only after `runningPostmaster` found none; a doubtful file stays, and PostgreSQL decides.
 */
export function removeForeignPidFile(cluster: string): void {
  const file = readPidFile(cluster);
  if (file === undefined || !isAlive(file.pid) || whereItWorks(file, cluster) !== 'elsewhere') return;
  rmSync(path.join(cluster, 'postmaster.pid'), { force: true });
}

/** Ends it: SIGINT cleanly, SIGQUIT at once (PostgreSQL then recovers from its log). */
export async function stopPostmaster(cluster: string, signal: 'SIGINT' | 'SIGQUIT'): Promise<void> {
  const postmaster = runningPostmaster(cluster);
  if (postmaster === undefined) return;
  signalIfAlive(postmaster.pid, signal);
  const deadline = Date.now() + STOP_DEADLINE_MS;
  while (isAlive(postmaster.pid)) {
    if (Date.now() > deadline) {
      signalIfAlive(postmaster.pid, 'SIGQUIT');
      return;
    }
    await sleep(POLL_MS);
  }
}

/** Whether sessions of `user` are open, found without logging in; `undefined` where there is no /proc. */
export function hasSessions({ pid }: Postmaster, user: string): boolean | undefined {
  if (!existsSync('/proc/self')) return undefined;
  return readdirSync('/proc').some((name) => {
    if (!/^\d+$/.test(name)) return false;
    const parent = /^PPid:\s+(\d+)$/m.exec(readProc(Number(name), 'status') ?? '')?.[1];
    if (Number(parent) !== pid) return false;
    return readProc(Number(name), 'cmdline')?.startsWith(`postgres: ${user} `) === true;
  });
}

interface PidFile extends Postmaster {
  /** Where the postmaster said that its files are. */
  readonly folder: string;
}

function readPidFile(cluster: string): PidFile | undefined {
  let lines: string[];
  try {
    lines = readFileSync(path.join(cluster, 'postmaster.pid'), 'utf8').split('\n');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  const [pid, folder, , port, , , , status] = lines;
  if (!/^-?\d+$/.test(pid ?? '') || Number(pid) <= 1) return undefined;
  return { pid: Number(pid), folder: folder ?? '', port: Number(port ?? 0), status: (status ?? '').trim() };
}

/**
 * PostgreSQL works in its data folder, which Linux shows even after a rename. If that is not visible (root
 * without CAP_SYS_PTRACE), its arguments have to do; on other systems, the pid file's own word.
 */
function whereItWorks({ pid, folder }: PidFile, cluster: string): 'here' | 'elsewhere' | 'unknown' {
  if (!existsSync('/proc/self')) return isSameFolder(folder, cluster) ? 'here' : 'unknown';
  try {
    return isSameFolder(`/proc/${pid}/cwd`, cluster) ? 'here' : 'elsewhere';
  } catch {
    const [program, ...args] = (readProc(pid, 'cmdline') ?? '').split('\0');
    if (path.basename(program ?? '') !== 'postgres') return program ? 'elsewhere' : 'unknown';
    return isSameFolder(args[args.indexOf('-D') + 1] ?? '', cluster) ? 'here' : 'unknown';
  }
}

function isSameFolder(one: string, other: string): boolean {
  const [a, b] = [one, other].map((folder) => statSync(folder, { bigint: true, throwIfNoEntry: false }));
  return a !== undefined && b !== undefined && a.dev === b.dev && a.ino === b.ino;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
  // A zombie is dead.
  return !/^State:\s+[ZX]/m.test(readProc(pid, 'status') ?? '');
}

function readProc(pid: number, file: 'status' | 'cmdline'): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8');
  } catch {
    return undefined;
  }
}

function signalIfAlive(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // Gone meanwhile.
  }
}
