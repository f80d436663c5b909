import type { Config, DatabaseAddress } from '../config.js';
import { Counters } from '../memory/counters.js';
import { EmbeddedPostgres } from '../postgres/embedded.js';
import { givenDatabase, hostName } from '../postgres/given-database.js';
import { askHosts } from '../postgres/host-probe.js';
import { Pool } from '../postgres/pool.js';
import { choosePrimary } from '../postgres/primary-choice.js';
import { SeenTimeline } from '../postgres/seen-timeline.js';
import { createLogger, type Logger } from '../runtime/logger.js';
import { makeEventChunks } from '../store/event-chunks.js';
import { admitRelease } from '../store/schema-floor.js';
import type { IngestContext } from '../workers/ingest/ingest.js';
import { PrimaryWatch } from './primary-watch.js';

const STATEMENT_MS = 600_000;

export interface ToolDatabase extends IngestContext {
  close(): Promise<void>;
}

export interface OpenOptions {
  /** Shown in pg_stat_activity. */
  readonly name: string;
  readonly connections: number;
  readonly log: Logger;
  /** Whether it is used for long: of several hosts it follows the primary. */
  readonly isLong: boolean;
}

/** The database that the settings name, for a tool; starts an embedded one if it is down. */
export async function openDatabase(
  config: Config,
  options: Partial<OpenOptions> = {},
): Promise<ToolDatabase> {
  const given = givenDatabase(config);
  const { name = 'switchyard tool', connections = 1 } = options;
  const log = options.log ?? createLogger('tool', config.LOG_LEVEL, (line) => process.stderr.write(line));
  const notice = (line: string): void => log.warn(line);
  const embedded = given === undefined ? await EmbeddedPostgres.start(config.DATA_DIR, notice) : undefined;
  const isWatched = options.isLong === true && (given?.length ?? 0) > 1;
  const watch = isWatched ? await PrimaryWatch.start(config, given ?? []) : undefined;
  const address = watch?.options ?? embedded?.address ?? (await primaryOf(given ?? [], config));
  const { counters } = new Counters().claim('ingest');
  const pool = new Pool({
    address,
    max: connections,
    name,
    connectMs: config.DATABASE_CONNECT_MS,
    statementMs: STATEMENT_MS,
    idleInTransactionMs: 60_000,
    counters,
    onConnectionError: (error) => log.warn({ error }, 'the connection to PostgreSQL broke'),
    makePartitions: makeEventChunks,
    admit: admitRelease,
  });
  return {
    config,
    pool,
    counters,
    log,
    close: async () => {
      watch?.stop();
      await pool.end();
      await embedded?.stop();
    },
  };
}

/** @throws when none of several hosts is the primary; a single one is taken as it is. */
async function primaryOf(addresses: readonly DatabaseAddress[], config: Config): Promise<DatabaseAddress> {
  if (addresses.length === 1) return addresses[0] as DatabaseAddress;
  const states = await askHosts(addresses, config.DATABASE_CONNECT_MS);
  const { host, places } = choosePrimary(states, new SeenTimeline(config.DATA_DIR).seen, undefined);
  if (host !== undefined) return addresses[host] as DatabaseAddress;
  const what = addresses.map((address, index) => `${hostName(address)}: ${places[index]}`).join(', ');
  throw new Error(`no host of DATABASE_URL is the primary (${what})`);
}
