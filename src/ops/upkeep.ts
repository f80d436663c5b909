import type { Logger } from '../runtime/logger.js';
import type { Teardown } from '../runtime/teardown.js';
import type { Workers } from './worker-threads.js';

const MAINTENANCE_MS = 3_600_000;
/** How often it is asked whether the order of links by clicks has to be brought up to date. */
const ORDER_MS = 10_000;

/** At once, for an upgrade may have left indexes to be built; then now and then. */
export function keepUp(workers: Workers, teardown: Teardown, log: Logger): void {
  const maintain = (): void => {
    workers.maintain().catch((error: unknown) => {
      if (teardown.hasBegun) return;
      log.warn({ error }, 'the upkeep of the database failed and will be retried in an hour');
    });
  };
  maintain();
  const timer = setInterval(maintain, MAINTENANCE_MS).unref();
  teardown.add({ end: async () => clearInterval(timer) as undefined });
}

/** One at a time: the first one copies the counters of all links. */
export function keepOrder(workers: Workers, teardown: Teardown, log: Logger): void {
  let isRunning = false;
  const keep = async (): Promise<void> => {
    if (isRunning) return;
    isRunning = true;
    await workers.keepOrder().catch((error: unknown) => {
      if (!teardown.hasBegun) log.debug({ error }, 'the order of links by clicks is not up to date');
    });
    isRunning = false;
  };
  void keep();
  const timer = setInterval(() => void keep(), ORDER_MS).unref();
  teardown.add({ end: async () => clearInterval(timer) as undefined });
}
