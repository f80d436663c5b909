import { httpSeries } from '../api/http-series.js';
import type { Config, DatabaseAddress } from '../config.js';
import type { JournalMode } from '../journal/mode.js';
import { Coherence } from '../memory/coherence.js';
import { ConnectionBudget } from '../memory/connection-budget.js';
import { Counters } from '../memory/counters.js';
import { JournalSlots } from '../memory/journal-slots.js';
import { MinuteTable } from '../memory/minute-table.js';
import { Primary } from '../memory/primary.js';
import { Database, ServerState } from '../memory/server-state.js';
import { EmbeddedPostgres } from '../postgres/embedded.js';
import { givenDatabase } from '../postgres/given-database.js';
import type { PrimaryOptions } from '../postgres/primary-connections.js';
import { SeenTimeline } from '../postgres/seen-timeline.js';
import { describeError } from '../runtime/describe-error.js';
import { descriptorLimit } from '../runtime/descriptors.js';
import type { Logger } from '../runtime/logger.js';
import type { Teardown } from '../runtime/teardown.js';
import { watchThread } from '../runtime/thread-health.js';
import type { SeedReport } from '../store/seed.js';
import { logChange } from './database-changes.js';
import { DatabaseHosts } from './database-hosts.js';
import { DatabaseWatch } from './database-watch.js';
import { planClientConnections } from './descriptor-plan.js';
import { eventChunksJob } from './event-chunks-job.js';
import { FirstContact } from './first-contact.js';
import { GatewayMessages } from './gateway-messages.js';
import { GatewayThreads } from './gateway-threads.js';
import { IngestScheduler } from './ingest-scheduler.js';
import { openSegments } from './journal-segments.js';
import { LiveFeed } from './live-feed.js';
import type { LogHub } from './log-hub.js';
import { Metrics } from './metrics.js';
import { Questions } from './questions.js';
import { removalJob } from './removal-job.js';
import { RetentionJob } from './retention-job.js';
import { readingsOf } from './server-readings.js';
import { StandbyProofs } from './standby-proofs.js';
import { statisticsJob } from './statistics-job.js';
import { startStream, stateForIngest } from './stream-start.js';
import { Surroundings } from './surroundings.js';
import { keepOrder, keepUp } from './upkeep.js';
import { Workers } from './worker-threads.js';

/** How long a gateway may take to close its App, whatever a deadline says. */
const CLOSE_MS = 500;

export interface SupervisorOptions {
  readonly config: Config;
  readonly logs: LogHub;
  /** To listen on; known to be free. */
  readonly port: number;
  /** Gets every part as it is started. */
  readonly teardown: Teardown;
  /** Called with what ends the server. */
  readonly onFault: (error: unknown) => void;
}

/**
 * The server as a whole: starts its parts in the order in which they need each other, and lets them know
 * each other. It serves no visitor itself. What it has started, the teardown ends in reverse.
 */
export class Supervisor {
  /** The embedded PostgreSQL, where there is one. */
  readonly embedded: EmbeddedPostgres | undefined;
  /** How clicks are journalled. */
  readonly journalMode: JournalMode;
  readonly #watch: DatabaseWatch;
  readonly #contact: FirstContact;

  private constructor(
    embedded: EmbeddedPostgres | undefined,
    watch: DatabaseWatch,
    contact: FirstContact,
    journalMode: JournalMode,
  ) {
    this.embedded = embedded;
    this.journalMode = journalMode;
    this.#watch = watch;
    this.#contact = contact;
  }

  /** Whether PostgreSQL has been reached. */
  get hasDatabase(): boolean {
    return this.#watch.connections > 0;
  }

  get seedReports(): readonly SeedReport[] {
    return this.#contact.seedReports;
  }

  /** @returns when the gateways listen. @throws when some part can't be started. */
  static async start(options: SupervisorOptions): Promise<Supervisor> {
    const { config, logs, port, teardown, onFault } = options;
    const log = logs.logger;
    const counters = new Counters(httpSeries.count);
    const own = counters.claim('supervisor').counters;
    watchThread(own);
    const coherence = new Coherence();
    const state = new ServerState();
    const slots = new JournalSlots();
    const clients = ConnectionBudget.of(planClientConnections(config, descriptorLimit()));

    const listeners = ConnectionBudget.of(config.LIVE_LISTENERS);

    const { embedded, addresses } = await database(options);
    const contact = new FirstContact(config, log);
    const primary = new Primary();
    const hosts = new DatabaseHosts({
      addresses: () => (embedded === undefined ? addresses : [embedded.address]),
      primary,
      seen: new SeenTimeline(config.DATA_DIR),
      connectMs: config.DATABASE_CONNECT_MS,
      everyMs: config.LISTEN_HEARTBEAT_MS,
      timeoutMs: config.LISTEN_TIMEOUT_MS,
      log,
    });
    const watch: DatabaseWatch = new DatabaseWatch({
      hosts,
      coherence,
      state,
      connectMs: config.DATABASE_CONNECT_MS,
      heartbeatMs: config.LISTEN_HEARTBEAT_MS,
      timeoutMs: config.LISTEN_TIMEOUT_MS,
      prepare: (connection) => contact.prepare(connection),
      prepareAgain: (connection) => contact.prepareAgain(connection),
      proofs: new StandbyProofs({ config, coherence, primary, log }),
      revive: async () => {
        if (!teardown.hasBegun) await embedded?.ensureRunning();
      },
      onChange: (change) => {
        logChange(log, change);
        if (change.kind === 'up') ingest.retryNow();
        if (change.kind === 'reconnected') ingest.askAgain();
      },
      openConnections: () => counters.livingTotal('poolSize'),
    });
    teardown.add({ end: () => watch.stop().then(() => undefined) });
    const workers = startWorkers(options, { addresses, primary }, coherence, counters);
    const ingest = await IngestScheduler.open({
      config,
      state: stateForIngest(config, state),
      slots,
      counters: own,
      log,
      parallel: workers.ingestConnections,
      ingest: (job) => workers.ingest(job),
      isDiskRefusing: () => counters.livingTotal('journalBufferBytes') > 0,
      // Cached ids and targets may be of the time that is lost: each is read again before it is used.
      onFallBack: () => coherence.beginEpoch(),
    });
    teardown.add({ end: (deadlineMs) => endIngest(config, ingest, deadlineMs, log) });
    const stream = startStream({ config, state, ingest, workers, teardown, log });
    const { mode: journalMode, supplier } = openSegments(config, ingest.folder);
    // After the gateways, and before the last of the journals is ingested.
    teardown.add({ end: async () => supplier?.close() as Promise<undefined> });

    const gateways: GatewayThreads = new GatewayThreads({
      config,
      port,
      log,
      shared: {
        coherence: coherence.buffer,
        counters: counters.buffer,
        state: state.buffer,
        connections: clients.buffer,
        listeners: listeners.buffer,
        wrongTries: MinuteTable.allocate(),
        requestRates: config.API_RATE_PER_MINUTE === 0 ? undefined : MinuteTable.allocate(),
        journals: slots.buffer,
        journalFolder: ingest.folder,
        isMapped: supplier !== undefined,
      },
      beginJournal: () => ingest.register(),
      endJournal: (journalId) => {
        supplier?.ended(journalId);
        ingest.ended(journalId);
      },
      onStarted: (gateway) => messages.connectToWorkers(gateway),
      onMessage: (gateway, message) => messages.receive(gateway, message),
    });
    const surroundings = new Surroundings({
      folders: { data: config.DATA_DIR, journal: ingest.folder },
      certificateFile: config.CERTIFICATE_FILE,
      backupFolder: config.BACKUP_DIR,
    });
    const retention = new RetentionJob({
      log,
      isUp: () => state.database === Database.UP,
      days: config.EVENTS_RETENTION_DAYS,
      areClicksKept: config.CLICK_EVENTS === 'on',
      step: (cursor) => workers.removeOldEvents(cursor),
      removeClicks: (stayMs) => workers.removeClickEvents(stayMs),
    });
    teardown.add({ end: async () => retention.stop() as undefined });
    void surroundings.start();
    teardown.add({ end: async () => surroundings.stop() as undefined });
    const readings = readingsOf({
      config,
      state,
      clients,
      watch,
      hosts,
      primary,
      ingest,
      stream,
      journalMode,
      gateways,
      workers,
      logs,
      surroundings,
      retention,
    });
    const messages = new GatewayMessages({
      workers,
      ingest,
      supplier,
      questions: new Questions(new Metrics(counters, readings), logs.ring),
      onChaos: () => {
        log.warn('GET /chaos: the server ends itself');
        process.kill(process.pid, 'SIGTERM');
      },
    });
    const feed = new LiveFeed({
      counters,
      standing: () => ({
        clicks_pending: ingest.pendingClicks + state.clicksInStream,
        threads: gateways.alive + workers.threads.alive,
        connections: counters.livingTotal('connections'),
      }),
      isHeard: () => listeners.open > 0,
      onFigures: (figures) => gateways.broadcast({ kind: 'live', figures: JSON.stringify(figures) }),
    });
    teardown.add({ end: async () => feed.stop() as undefined });
    teardown.add({
      end: (deadlineMs) => {
        messages.stop();
        return endGateways(gateways, deadlineMs);
      },
      // A process that ends with a gateway open is ended by the library, and not gently.
      destroy: (deadlineMs) => gateways.close(deadlineMs),
    });
    // Threads load while PostgreSQL is prepared; none listens before both are done.
    gateways.load();
    const ready = watch.start();
    // A refusal ends the start; or the server, when it comes while the server runs without a database.
    ready.catch(onFault);
    await contact.wait(ready);
    await workers.ready();
    await gateways.listen();
    workers.startBulk();
    ingest.start();
    stream?.start();
    keepUp(workers, teardown, log);
    keepOrder(workers, teardown, log);
    startJobs(workers, state, teardown, log);
    retention.start();
    return new Supervisor(embedded, watch, contact, journalMode);
  }
}

async function database({ config, logs, teardown }: SupervisorOptions): Promise<{
  embedded: EmbeddedPostgres | undefined;
  addresses: readonly DatabaseAddress[];
}> {
  const given = givenDatabase(config);
  if (given !== undefined) return { embedded: undefined, addresses: given };
  const embedded = await EmbeddedPostgres.start(config.DATA_DIR, (line) => logs.logger.warn(line));
  teardown.add({ end: () => embedded.stop().then(() => undefined) });
  return { embedded, addresses: [embedded.address] };
}

function startWorkers(
  { config, logs, teardown }: SupervisorOptions,
  { addresses, primary }: PrimaryOptions,
  coherence: Coherence,
  counters: Counters,
): Workers {
  const workers = new Workers({
    config,
    addresses,
    primary: primary.buffer,
    coherence: coherence.buffer,
    counters: counters.buffer,
    onThreadLost: (role, error) => {
      const why = error === undefined ? 'ended: starting another' : `failed: ${describeError(error)}`;
      logs.logger.error({ error }, `the ${role} worker ${why}`);
    },
  });
  teardown.add({ end: () => workers.close().then(() => undefined) });
  return workers;
}

/** Answers what was asked before the deadline; the connections that are left then are cut. */
async function endGateways(gateways: GatewayThreads, deadlineMs: number): Promise<boolean> {
  const isDrained = await gateways.drain(deadlineMs);
  const isClosed = await gateways.close(Math.max(deadlineMs, Date.now() + CLOSE_MS));
  return isDrained && isClosed;
}

/** How long it may take to remove what Kafka has. */
const REMOVAL_MS = 1000;

/** Ingests the journals as far as the deadline allows; what the stream has not sent by now is not waited for. */
async function endIngest(
  { CLICK_INGEST }: Config,
  ingest: IngestScheduler,
  deadlineMs: number,
  log: Logger,
): Promise<undefined> {
  const soonMs = CLICK_INGEST === 'consume' ? Date.now() + REMOVAL_MS : deadlineMs;
  await ingest.close(Math.min(deadlineMs, soonMs));
  const { pendingClicks } = ingest;
  if (pendingClicks > 0) log.warn({ clicks: pendingClicks }, `${pendingClicks} clicks stay in the journal`);
}

/** What goes on as long as PostgreSQL can be reached. */
function startJobs(workers: Workers, state: ServerState, teardown: Teardown, log: Logger): void {
  const isUp = (): boolean => state.database === Database.UP;
  const jobs = [
    statisticsJob({
      log,
      isUp,
      add: () => workers.addStatistics(),
      build: () => workers.buildStatistics(),
    }),
    eventChunksJob({ log, isUp, keep: () => workers.keepChunks() }),
    removalJob({ log, isUp, step: () => workers.removeDeletedEvents() }),
  ];
  for (const job of jobs) {
    job.start();
    teardown.add({ end: async () => job.stop() as undefined });
  }
}
