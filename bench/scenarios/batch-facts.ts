import type { ServerHandle } from '../arms/process.js';
import type { Fact } from '../report/results.js';

/** How many items each statement carried, by the server's own counters. */
export async function batchFact(
  server: ServerHandle | undefined,
  label: string,
  total: string,
  batches: string,
): Promise<Fact[]> {
  const metrics = await server?.metrics?.();
  const count = metrics?.get(batches) ?? 0;
  return count === 0 ? [] : [{ label, value: (metrics?.get(total) ?? 0) / count, unit: '' }];
}
