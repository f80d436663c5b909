import { readFileSync } from 'node:fs';

const SAMPLE_MS = 20;

/** Memory that a process occupies, all its threads together, in bytes. */
export function residentBytes(pid: number): number {
  const kibibytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return Number(kibibytes) * 1024;
}

/** Does something. @returns the most memory that the process occupied meanwhile, in bytes. */
export async function peakWhile(pid: number, act: () => Promise<void>): Promise<number> {
  let peak = residentBytes(pid);
  const timer = setInterval(() => {
    peak = Math.max(peak, residentBytes(pid));
  }, SAMPLE_MS);
  try {
    await act();
  } finally {
    clearInterval(timer);
  }
  return Math.max(peak, residentBytes(pid));
}
