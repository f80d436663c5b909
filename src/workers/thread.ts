import path from 'node:path';
import type { Config, DatabaseAddress } from '../config.js';
import { Coherence } from '../memory/coherence.js';
import { Counters, type ThreadCounters } from '../memory/counters.js';
import { Primary } from '../memory/primary.js';
import { givenStandbys } from '../postgres/given-database.js';
import { Pool, type PoolOptions } from '../postgres/pool.js';
import { BlockedHosts } from '../runtime/blocked-hosts.js';
import { describeError } from '../runtime/describe-error.js';
import { createThreadLogger, type Logger } from '../runtime/logger.js';
import { watchThread } from '../runtime/thread-health.js';
import { makeEventChunks } from '../store/event-chunks.js';
import type { LinkSettings } from '../store/operation.js';
import { admitRelease } from '../store/schema-floor.js';
import { StandbyReads } from './standby-reads.js';
import { Standbys } from './standbys.js';
import { Admission } from './transfers/admission.js';
import { SpoolSpace } from './transfers/spool.js';

/** What a worker thread is for; each has separate connections, and none waits for another. */
export type WorkerRole = 'interactive' | 'transfer' | 'ingest';

/** What the supervisor starts every worker thread of a role with. */
export interface WorkerData {
  readonly config: Config;
  readonly role: WorkerRole;
  /** Where PostgreSQL may be. */
  readonly addresses: readonly DatabaseAddress[];
  /** Which of them is the primary. */
  readonly primary: SharedArrayBuffer;
  /** Connections that this thread may hold. */
  readonly connections: number;
  readonly coherence: SharedArrayBuffer;
  readonly counters: SharedArrayBuffer;
}

/** All that a worker thread has: made on its first task, gone with it. */
export interface WorkerThread {
  readonly config: Config;
  readonly role: WorkerRole;
  readonly pool: Pool;
  /** Hot standbys, for reads; not of ingest threads. */
  readonly standbys: Standbys | undefined;
  readonly standbyReads: StandbyReads | undefined;
  readonly coherence: Coherence;
  readonly counters: ThreadCounters;
  readonly log: Logger;
  readonly linkSettings: LinkSettings;
  /** Who may use the connections of a transfer thread. */
  readonly admission: Admission;
  readonly spools: SpoolSpace;
}

/** Transactions of an ingest or an import take as long as their rows need. */
const BULK_STATEMENT_MS = 600_000;

export function startWorkerThread(data: WorkerData): WorkerThread {
  const { config, role } = data;
  const claimed = new Counters(data.counters).claim(role);
  const { counters } = claimed;
  process.once('exit', claimed.release);
  const log = createThreadLogger(`${role}-${claimed.ordinal}`, config.LOG_LEVEL);
  watchThread(counters);
  const isInteractive = role === 'interactive';
  const primary = new Primary(data.primary);
  const poolAt = (address: PoolOptions['address'], name: string, options: Partial<PoolOptions>): Pool =>
    new Pool({
      address,
      ...options,
      max: data.connections,
      name,
      connectMs: config.DATABASE_CONNECT_MS,
      statementMs: isInteractive ? config.CALL_DEADLINE_MS : BULK_STATEMENT_MS,
      // A list's reader may stall that long between two rows.
      idleInTransactionMs: isInteractive ? config.CALL_DEADLINE_MS : config.TRANSFER_STALL_MS * 2,
      counters,
      onConnectionError: (error) => log.debug({ error }, 'a connection to PostgreSQL broke'),
      makePartitions: makeEventChunks,
    });
  const pool = poolAt({ addresses: data.addresses, primary }, `switchyard ${role}`, { admit: admitRelease });
  const addresses = role === 'ingest' ? [] : givenStandbys(config);
  const standbyPools = addresses.map((address) =>
    poolAt(address, 'switchyard standby', { isMeasured: false }),
  );
  // Each learns for itself which of them are fit: one that lags too far for lists resolves most codes.
  const standbysFor = (): Standbys => new Standbys(standbyPools, primary);
  const coherence = new Coherence(data.coherence);
  const spools = spoolsOf(config, counters, log);
  if (role === 'transfer') spools.clean();
  return {
    config,
    role,
    pool,
    standbys: addresses.length === 0 ? undefined : standbysFor(),
    standbyReads:
      addresses.length === 0 ? undefined : new StandbyReads({ pool, standbys: standbysFor(), counters }),
    coherence,
    counters,
    log,
    linkSettings: linkSettingsOf(config),
    admission: admissionOf(data, counters, log),
    spools,
  };
}

function admissionOf({ config, connections }: WorkerData, counters: ThreadCounters, log: Logger): Admission {
  return new Admission({
    connections,
    perAddress: config.TRANSFER_PER_ADDRESS,
    minRate: config.TRANSFER_MIN_BYTES_PER_SECOND,
    onWaiting: (change) => counters.add('transfersWaiting', change),
    onRefused: () => counters.add('transfersRefused'),
    onEnded: (kind, rate) => {
      counters.add('transfersTooSlow');
      log.info(
        { kind, bytes_per_second: Math.round(rate) },
        `a client was too slow while others waited: its ${kind} was ended`,
      );
    },
  });
}

function spoolsOf(config: Config, counters: ThreadCounters, log: Logger): SpoolSpace {
  return new SpoolSpace({
    folder: path.resolve(config.DATA_DIR, 'spool'),
    maxBytes: config.TRANSFER_SPOOL_BYTES,
    onBytes: (bytes) => counters.set('spoolBytes', bytes),
    onTrouble: (error) => log.warn({ error }, `no room to spool: ${describeError(error)}`),
  });
}

function linkSettingsOf(config: Config): LinkSettings {
  const blocked = new BlockedHosts(config.BLOCKED_HOSTS, config.BLOCK_PRIVATE_TARGETS);
  return {
    codeLength: config.CODE_LENGTH,
    redirectStatus: config.REDIRECT_STATUS,
    isBlocked: (hostname) => blocked.has(hostname),
  };
}
