import type { Scenario } from '../scenario.js';
import { bulk } from './bulk.js';
import { importUsers } from './import.js';
import { importLinks } from './import-links.js';
import { ingest } from './ingest.js';
import { list } from './list.js';
import { memory } from './memory.js';
import { pages } from './pages.js';
import { redirectCounted } from './redirect-counted.js';
import {
  redirectDetails,
  redirectHit,
  redirectOne,
  redirectPipelined,
  redirectServers,
} from './redirect-hit.js';
import { redirectLive } from './redirect-live.js';
import { redirectMiss } from './redirect-miss.js';
import { redirectRate } from './redirect-rate.js';
import { redirectSustained } from './redirect-sustained.js';
import { redirectSync } from './redirect-sync.js';
import { restart } from './restart.js';
import { shorten } from './shorten.js';
import { start } from './start.js';
import { stats } from './stats.js';
import { threads } from './threads.js';

/** All scenarios, in the order in which they run. */
export const scenarios: readonly Scenario[] = [
  redirectHit,
  redirectOne,
  redirectPipelined,
  redirectDetails,
  redirectLive,
  redirectServers,
  redirectRate,
  redirectSync,
  redirectMiss,
  redirectCounted,
  ingest,
  redirectSustained,
  shorten,
  bulk,
  importUsers,
  importLinks,
  list,
  memory,
  start,
  restart,
  threads,
  pages,
  stats,
];
