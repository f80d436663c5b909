import type { Scenario } from '../scenario.js';
import { importUsers } from './import.js';
import { ingest } from './ingest.js';
import { list } from './list.js';
import { memory } from './memory.js';
import { redirectCounted } from './redirect-counted.js';
import { redirectHit, redirectPipelined, redirectServers } from './redirect-hit.js';
import { redirectMiss } from './redirect-miss.js';
import { redirectRate } from './redirect-rate.js';
import { redirectSustained } from './redirect-sustained.js';
import { restart } from './restart.js';
import { shorten } from './shorten.js';
import { start } from './start.js';
import { stats } from './stats.js';
import { threads } from './threads.js';

/** All scenarios, in the order in which they run. */
export const scenarios: readonly Scenario[] = [
  redirectHit,
  redirectPipelined,
  redirectServers,
  redirectRate,
  redirectMiss,
  redirectCounted,
  ingest,
  redirectSustained,
  shorten,
  importUsers,
  list,
  memory,
  start,
  restart,
  threads,
  stats,
];
