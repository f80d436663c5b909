import { readdirSync, readFileSync, writeFileSync } from 'node:fs';

/**
 * The cost of processes by the kernel's account (Linux). CPU time is the scheduler's own account of every
 * thread in nanoseconds: user and system together, and no load generator can distort it.
 */
export interface Usage {
  /** CPU time by thread, nanoseconds. */
  readonly threads: ReadonlyMap<string, number>;
}

function read(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}

function list(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

export function readUsage(pids: readonly number[]): Usage {
  const threads = new Map<string, number>();
  for (const pid of pids) {
    for (const thread of list(`/proc/${pid}/task`)) {
      const line = read(`/proc/${pid}/task/${thread}/schedstat`);
      if (line !== undefined) threads.set(`${pid}/${thread}`, Number(line.split(' ')[0]));
    }
  }
  return { threads };
}

export interface Spent {
  /** All threads together. */
  readonly cpuMicros: number;
  /** The busiest thread: with one gateway, usually the gateway. */
  readonly busiestMicros: number;
}

/** CPU time spent between two readings; a thread that ended in between counts as far as it was seen. */
export function spentBetween(before: Usage, after: Usage): Spent {
  let sum = 0;
  let busiest = 0;
  for (const [thread, nanos] of after.threads) {
    const spent = nanos - (before.threads.get(thread) ?? 0);
    sum += spent;
    busiest = Math.max(busiest, spent);
  }
  return { cpuMicros: sum / 1000, busiestMicros: busiest / 1000 };
}

function statusBytes(pid: number, field: 'VmRSS' | 'VmHWM'): number {
  const match = read(`/proc/${pid}/status`)?.match(new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm'));
  return Number(match?.[1] ?? 0) * 1024;
}

/** Resident memory now, bytes. */
export function residentBytes(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + statusBytes(pid, 'VmRSS'), 0);
}

/** The most that was resident since `resetPeak`, bytes. */
export function peakBytes(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + statusBytes(pid, 'VmHWM'), 0);
}

export function resetPeak(pids: readonly number[]): void {
  for (const pid of pids) {
    try {
      writeFileSync(`/proc/${pid}/clear_refs`, '5');
    } catch {
      // Gone, or not ours: the peak is then the one since it started.
    }
  }
}

/** A process and its direct children: PostgreSQL with its backends, Nginx with its workers. */
export function withChildren(parent: number): number[] {
  const children = list(`/proc/${parent}/task`).flatMap((thread) =>
    (read(`/proc/${parent}/task/${thread}/children`) ?? '').trim().split(/\s+/),
  );
  return [parent, ...children.filter((pid) => pid !== '').map(Number)];
}
