import { peakBytes, resetPeak, residentBytes } from './process-usage.js';

/** How much a server's memory grows during some work. */
export async function growthDuring<T>(
  pids: readonly number[],
  work: () => Promise<T>,
): Promise<{ result: T; growthBytes: number; peak: number }> {
  resetPeak(pids);
  const before = residentBytes(pids);
  const result = await work();
  const peak = peakBytes(pids);
  return { result, growthBytes: peak - before, peak };
}
