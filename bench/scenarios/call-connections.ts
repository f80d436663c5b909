import { parseConfig } from '../../src/config.js';
import { planConnections } from '../../src/ops/connection-plan.js';

/** Connections that Switchyard's default settings leave for calls; baselines get as many. */
export function callConnections(): number {
  const { DATABASE_POOL_MAX, WORKER_THREADS } = parseConfig({});
  return planConnections(DATABASE_POOL_MAX, WORKER_THREADS).interactive.reduce((sum, one) => sum + one, 0);
}
