import { type Config, ConfigError } from '../config.js';
import { planConnections } from './connection-plan.js';

/** The main thread's own: standard streams, event loop, log, LISTEN, the lock of the journal folder. */
const MAIN = 24;
/** Of a thread: its event loops and the pipes that wake it. */
const PER_THREAD = 6;
/** Of a gateway: its listener, the open segment and one that is being closed or synced. */
const PER_GATEWAY = 3;
/** For short-lived ones: segments being read, folders, a restarted PostgreSQL. */
const WORKING = 32;
/** A file of each transfer that may be under way. */
const SPOOLS = 32;
/** With fewer a server is useless. */
const MIN_CONNECTIONS = 16;

/**
 * How many client connections fit under the process's limit of descriptors, with a reserve for everything
 * that must never run out of them.
 * @throws ConfigError if there is no room for them.
 */
export function planClientConnections(config: Config, limit: number): number {
  const { GATEWAY_THREADS, WORKER_THREADS, DATABASE_POOL_MAX } = config;
  const workers = planConnections(DATABASE_POOL_MAX, WORKER_THREADS).interactive.length + 2;
  const threads = GATEWAY_THREADS + workers;
  const reserve =
    MAIN + PER_THREAD * threads + PER_GATEWAY * GATEWAY_THREADS + DATABASE_POOL_MAX + WORKING + SPOOLS;
  if (limit - reserve >= MIN_CONNECTIONS) return limit - reserve;
  throw new ConfigError(
    `the process may open ${limit} files (ulimit -n): with these settings it needs at least ${reserve + MIN_CONNECTIONS}`,
  );
}
