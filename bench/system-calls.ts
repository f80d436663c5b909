import { spawn, spawnSync } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { makeFolder } from './data/database.js';

/** Why system calls can't be counted here; `undefined` if they can. */
export function whyNotTraced(): string | undefined {
  const { error, status } = spawnSync('strace', ['-o', '/dev/null', '-c', 'true']);
  if (error !== undefined) return 'strace is not installed';
  return status === 0 ? undefined : 'strace may not trace here';
}

/** Counts one thread's system calls during `work`. */
export async function countSystemCalls(
  thread: number,
  work: () => Promise<void>,
): Promise<Map<string, number>> {
  const folder = makeFolder('strace');
  const summary = path.join(folder, 'summary');
  const child = spawn('strace', ['-c', '-o', summary, '-p', String(thread)], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const exit = new Promise((resolve) => child.once('exit', resolve));
  try {
    await new Promise<void>((resolve, reject) => {
      child.stderr.setEncoding('utf8').on('data', (text: string) => {
        if (/attached/.test(text)) resolve();
        if (/ptrace|not permitted/i.test(text)) reject(new Error(text.trim()));
      });
      child.once('error', reject);
    });
    await work();
    await sleep(20);
    child.kill('SIGINT');
    await exit;
    return parseSummary(readFileSync(summary, 'utf8'));
  } finally {
    child.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The table of `strace -c`: share, seconds, microseconds a call, calls, errors where there were any, name. */
export function parseSummary(text: string): Map<string, number> {
  const calls = new Map<string, number>();
  for (const line of text.split('\n')) {
    const match = /^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?([a-z]\w*)\s*$/.exec(line);
    if (match !== null && match[2] !== 'total') calls.set(match[2] ?? '', Number(match[1]));
  }
  return calls;
}
