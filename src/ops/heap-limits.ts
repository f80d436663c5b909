import type { ResourceLimits } from 'node:worker_threads';

/**
 * Limits of the threads' heaps. A young generation may take 48 MiB by default, and grows to that under load before its
 * garbage is collected: with five threads, that is most of the process's memory. Little of a request's garbage is alive
 * when it is collected; transfers allocate most, and get least.
 */
export const heapLimits = {
  gateway: { maxYoungGenerationSizeMb: 24 },
  interactive: { maxYoungGenerationSizeMb: 24 },
  ingest: { maxYoungGenerationSizeMb: 24 },
  stream: { maxYoungGenerationSizeMb: 24 },
  transfer: { maxYoungGenerationSizeMb: 6 },
} as const satisfies Record<string, ResourceLimits>;
