import type { Config } from '../config.js';
import type { JournalMode } from '../journal/mode.js';
import type { ConnectionBudget } from '../memory/connection-budget.js';
import type { Primary } from '../memory/primary.js';
import { Database, type ServerState } from '../memory/server-state.js';
import { packageVersion } from '../runtime/package.js';
import type { DatabaseHosts } from './database-hosts.js';
import type { DatabaseWatch } from './database-watch.js';
import type { GatewayThreads } from './gateway-threads.js';
import type { IngestScheduler } from './ingest-scheduler.js';
import type { LogHub } from './log-hub.js';
import type { RetentionJob } from './retention-job.js';
import { byThreadKind, type ServerReadings } from './samples.js';
import type { StreamScheduler } from './stream-scheduler.js';
import { memoryLimit, type Surroundings } from './surroundings.js';
import type { Workers } from './worker-threads.js';

export interface ReadParts {
  readonly config: Config;
  readonly state: ServerState;
  /** Of clients. */
  readonly clients: ConnectionBudget;
  readonly watch: DatabaseWatch;
  readonly hosts: DatabaseHosts;
  readonly primary: Primary;
  readonly ingest: IngestScheduler;
  /** `undefined` without CLICK_STREAM. */
  readonly stream: StreamScheduler | undefined;
  readonly journalMode: JournalMode;
  readonly gateways: GatewayThreads;
  readonly workers: Workers;
  readonly logs: LogHub;
  readonly surroundings: Surroundings;
  readonly retention: RetentionJob;
}

/** How to read each metric of the whole server; the catalogue lists them. */
export function readingsOf(parts: ReadParts): ServerReadings {
  return {
    buildInfo: () => [{ labels: { version: packageVersion(), node: process.version }, value: 1 }],
    databaseUp: () => (parts.state.database === Database.UP ? 1 : 0),
    databaseHosts: () =>
      Object.entries(parts.hosts.places(parts.state.database === Database.UP)).map(([place, value]) => ({
        labels: { place },
        value,
      })),
    databaseTimeline: () => parts.primary.read().timeline,
    databaseSwitches: () => parts.hosts.switches,
    cacheCoherent: () => (parts.state.coherent ? 1 : 0),
    // All connections but the first followed the loss of one.
    listenLosses: () => Math.max(0, parts.watch.connections - 1),
    connectionsMax: () => parts.clients.max,
    poolMax: () => parts.config.DATABASE_POOL_MAX,
    journalPendingBytes: () => parts.ingest.pendingBytes,
    journalKeptBytes: () => parts.ingest.keptBytes,
    clicksPending: () => parts.ingest.pendingClicks + parts.state.clicksInStream,
    clicksElsewhere: () => parts.ingest.clicksElsewhere,
    journalMapped: () => (parts.journalMode.kind === 'mapped' ? 1 : 0),
    streamUp: () => ((parts.stream?.isUp ?? true) ? 1 : 0),
    streamPendingBytes: () => parts.stream?.pendingBytes ?? 0,
    streamPendingClicks: () => parts.stream?.pendingClicks ?? 0,
    ingestByConsumers: () => (parts.config.CLICK_INGEST === 'consume' ? 1 : 0),
    ingestBehind: () => parts.ingest.secondsBehind,
    threads: () => byThreadKind(parts.gateways.alive, parts.workers.threads.alive),
    threadsWanted: () => byThreadKind(parts.config.GATEWAY_THREADS, parts.workers.threads.wanted),
    threadRestarts: () => byThreadKind(parts.gateways.restarts, parts.workers.restarts),
    logLinesDropped: () => parts.logs.droppedLines,
    memoryLimit,
    diskFree: () =>
      parts.surroundings.disks.map(({ folder, freeBytes }) => ({ labels: { folder }, value: freeBytes })),
    diskSize: () =>
      parts.surroundings.disks.map(({ folder, sizeBytes }) => ({ labels: { folder }, value: sizeBytes })),
    certificateExpires: () => parts.surroundings.certificateExpires,
    lastBackup: () => parts.surroundings.lastBackup,
    retentionDays: () => parts.retention.days,
    retentionUnarchived: () => parts.retention.unarchived,
    retentionLastRun: () => parts.retention.lastRun,
  };
}
