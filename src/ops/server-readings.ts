import type { Config } from '../config.js';
import type { JournalMode } from '../journal/mode.js';
import type { ConnectionBudget } from '../memory/connection-budget.js';
import { Database, type ServerState } from '../memory/server-state.js';
import { packageVersion } from '../runtime/package-version.js';
import type { DatabaseWatch } from './database-watch.js';
import type { GatewayThreads } from './gateway-threads.js';
import type { IngestScheduler } from './ingest-scheduler.js';
import type { LogHub } from './log-hub.js';
import { byThreadKind, type ServerReadings } from './samples.js';
import { memoryLimit, type Surroundings } from './surroundings.js';
import type { Workers } from './worker-threads.js';

export interface ReadParts {
  readonly config: Config;
  readonly state: ServerState;
  /** Of clients. */
  readonly clients: ConnectionBudget;
  readonly watch: DatabaseWatch;
  readonly ingest: IngestScheduler;
  readonly journalMode: JournalMode;
  readonly gateways: GatewayThreads;
  readonly workers: Workers;
  readonly logs: LogHub;
  readonly surroundings: Surroundings;
}

/** How each metric of the server as a whole is read; the catalogue says what there is. */
export function readingsOf({
  config,
  state,
  clients,
  watch,
  ingest,
  journalMode,
  gateways,
  workers,
  logs,
  surroundings,
}: ReadParts): ServerReadings {
  return {
    buildInfo: () => [{ labels: { version: packageVersion(), node: process.version }, value: 1 }],
    databaseUp: () => (state.database === Database.UP ? 1 : 0),
    cacheCoherent: () => (state.coherent ? 1 : 0),
    // All connections but the first followed the loss of one.
    listenLosses: () => Math.max(0, watch.connections - 1),
    connectionsMax: () => clients.max,
    poolMax: () => config.DATABASE_POOL_MAX,
    journalPendingBytes: () => ingest.pendingBytes,
    clicksPending: () => ingest.pendingClicks,
    clicksElsewhere: () => ingest.clicksElsewhere,
    journalMapped: () => (journalMode.kind === 'mapped' ? 1 : 0),
    ingestBehind: () => ingest.secondsBehind,
    threads: () => byThreadKind(gateways.alive, workers.threads.alive),
    threadsWanted: () => byThreadKind(config.GATEWAY_THREADS, workers.threads.wanted),
    threadRestarts: () => byThreadKind(gateways.restarts, workers.restarts),
    logLinesDropped: () => logs.droppedLines,
    memoryLimit,
    diskFree: () =>
      surroundings.disks.map(({ folder, freeBytes }) => ({ labels: { folder }, value: freeBytes })),
    diskSize: () =>
      surroundings.disks.map(({ folder, sizeBytes }) => ({ labels: { folder }, value: sizeBytes })),
    certificateExpires: () => surroundings.certificateExpires,
    lastBackup: () => surroundings.lastBackup,
  };
}
