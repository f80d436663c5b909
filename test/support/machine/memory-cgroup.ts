import { mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

/** A control group in which the kernel kills processes that take too much memory. */
export interface MemoryCgroup {
  /** Moves a process into it and takes its memory away. @returns whether the kernel has killed it. */
  endByMemory(pid: number): Promise<boolean>;
}

const WAIT_MS = 20_000;

/** @returns `undefined`, with a message, if this machine allows none. */
export function memoryCgroup(): MemoryCgroup | undefined {
  const version2 = '/sys/fs/cgroup';
  const version1 = '/sys/fs/cgroup/memory';
  for (const [root, limit] of [
    [version1, 'memory.limit_in_bytes'],
    [version2, 'memory.max'],
  ] as const) {
    const folder = `${root}/switchyard-test-${process.pid}`;
    try {
      mkdirSync(folder);
      readFileSync(`${folder}/${limit}`);
      rmdirSync(folder);
      return { endByMemory: (pid) => end(folder, limit, pid) };
    } catch {
      try {
        rmdirSync(folder);
      } catch {
        // There is none.
      }
    }
  }
  console.warn('kills by the kernel for memory are left out: no control group can be made here');
  return undefined;
}

async function end(folder: string, limit: string, pid: number): Promise<boolean> {
  mkdirSync(folder, { recursive: true });
  writeFileSync(`${folder}/cgroup.procs`, String(pid));
  const until = Date.now() + WAIT_MS;
  for (let megabytes = 64; Date.now() < until; megabytes = Math.max(1, Math.floor(megabytes / 2))) {
    try {
      writeFileSync(`${folder}/${limit}`, String(megabytes * 1024 * 1024));
    } catch {
      // More is in use than can be reclaimed at once.
    }
    await sleep(50);
    if (isGone(pid)) {
      await sleep(50);
      try {
        rmdirSync(folder);
      } catch {
        // Its last process is being ended.
      }
      return true;
    }
  }
  return false;
}

function isGone(pid: number): boolean {
  try {
    return /^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return true;
  }
}
