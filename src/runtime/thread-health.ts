import { monitorEventLoopDelay, performance } from 'node:perf_hooks';
import { getHeapStatistics } from 'node:v8';
import type { ThreadCounters } from '../memory/counters.js';

const PUBLISH_MS = 1000;
/** Coarse, for each sample wakes the thread: a lag that matters is longer than this. */
const RESOLUTION_MS = 20;

/** Publishes the calling thread's event-loop lag, utilization and heap once a second. */
export function watchThread(counters: ThreadCounters): () => void {
  const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  delay.enable();
  let last = performance.eventLoopUtilization();
  const timer = setInterval(() => {
    const now = performance.eventLoopUtilization();
    counters.set('eventLoopUtilization', performance.eventLoopUtilization(now, last).utilization);
    last = now;
    const seconds = (nanoseconds: number): number => Math.max(0, nanoseconds / 1e9 - RESOLUTION_MS / 1000);
    counters.set('eventLoopLagP99', seconds(delay.percentile(99)));
    counters.set('eventLoopLagMax', seconds(delay.max));
    delay.reset();
    counters.set('heapUsedBytes', getHeapStatistics().used_heap_size);
  }, PUBLISH_MS).unref();
  return () => {
    clearInterval(timer);
    delay.disable();
  };
}
