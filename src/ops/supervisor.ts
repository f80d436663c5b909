import { readFileSync } from 'node:fs';
import { MessageChannel } from 'node:worker_threads';
import { httpSeries } from '../api/http-series.js';
import { type Config, type DatabaseAddress, givenDatabase } from '../config.js';
import { Coherence } from '../memory/coherence.js';
import { ConnectionBudget } from '../memory/connection-budget.js';
import { Counters } from '../memory/counters.js';
import { JournalSlots } from '../memory/journal-slots.js';
import { Database, ServerState } from '../memory/server-state.js';
import type { FromGateway, Question } from '../messages/supervisor.js';
import { EmbeddedPostgres } from '../postgres/embedded.js';
import type { Connection } from '../postgres/pool.js';
import { descriptorLimit } from '../runtime/descriptors.js';
import { watchThread } from '../runtime/thread-health.js';
import { prepareDatabase } from '../store/migrate.js';
import { type SeedReport, seedDatabase } from '../store/seed.js';
import { type DatabaseChange, DatabaseWatch } from './database-watch.js';
import { planClientConnections } from './descriptor-plan.js';
import { type GatewayThread, GatewayThreads } from './gateway-threads.js';
import { IngestScheduler } from './ingest-scheduler.js';
import type { LogHub } from './log-hub.js';
import { Metrics } from './metrics.js';
import { byThreadKind } from './samples.js';
import { Workers } from './worker-threads.js';

const MAINTENANCE_MS = 3_600_000;
/** How long a start waits for the database before it serves without it. */
const FIRST_CONTACT_MS = 3000;
/** The same, once PostgreSQL has answered: migrations, and a seed on a slow machine. */
const PREPARATION_MS = 60_000;

/**
 * The server as a whole: starts its parts in the order in which they need each other, passes on what
 * they have to say to each other, and ends them in reverse. It serves no visitor itself.
 */
export class Supervisor {
  readonly #config: Config;
  readonly #logs: LogHub;
  readonly #counters = new Counters(httpSeries.count);
  readonly #own = this.#counters.claim('supervisor').counters;
  readonly #coherence = new Coherence();
  readonly #state = new ServerState();
  readonly #slots = new JournalSlots();
  readonly #clients: ConnectionBudget;
  #embedded: EmbeddedPostgres | undefined;
  #watch: DatabaseWatch | undefined;
  #workers: Workers | undefined;
  #gateways: GatewayThreads | undefined;
  #ingest: IngestScheduler | undefined;
  #metrics: Metrics | undefined;
  #maintenance: NodeJS.Timeout | undefined;
  #isStopping = false;
  seedReports: readonly SeedReport[] | undefined;

  constructor(config: Config, logs: LogHub) {
    this.#config = config;
    this.#logs = logs;
    this.#clients = ConnectionBudget.of(planClientConnections(config, descriptorLimit()));
    watchThread(this.#own);
  }

  /** The embedded PostgreSQL, where there is one. */
  get embedded(): EmbeddedPostgres | undefined {
    return this.#embedded;
  }

  /** Whether PostgreSQL was there when the server began to serve. */
  get hasDatabase(): boolean {
    return this.#watch !== undefined && this.#watch.connections > 0;
  }

  /** @param port To listen on; known to be free. @param onFault Told of what ends the server. */
  async start(port: number, onFault: (error: unknown) => void): Promise<void> {
    const given = givenDatabase(this.#config);
    if (given === undefined) {
      const notice = (line: string): void => this.#logs.logger.warn(line);
      this.#embedded = await EmbeddedPostgres.start(this.#config.DATA_DIR, notice);
    }
    await this.#contactDatabase(() => given ?? this.#embeddedAddress(), onFault);
    this.#workers = new Workers({
      config: this.#config,
      address: given ?? this.#embeddedAddress(),
      coherence: this.#coherence.buffer,
      counters: this.#counters.buffer,
      onThreadLost: (role, error) => {
        const why = error === undefined ? 'ended: another one takes its place' : `failed: ${error.message}`;
        this.#logs.logger.error({ error }, `the ${role} worker ${why}`);
      },
    });
    const workers = this.#workers;
    this.#ingest = await IngestScheduler.open({
      config: this.#config,
      state: this.#state,
      slots: this.#slots,
      counters: this.#own,
      log: this.#logs.logger,
      parallel: workers.ingestConnections,
      ingest: (job) => workers.ingest(job),
    });
    await this.#startGateways(port, this.#ingest);
    this.#metrics = this.#makeMetrics();
    this.#ingest.start();
    this.#maintain();
    this.#maintenance = setInterval(() => this.#maintain(), MAINTENANCE_MS).unref();
  }

  /**
   * Ends the server: answers what was asked, takes in the journals as far as the deadline allows.
   * @returns whether all that was done in time.
   */
  async stop(): Promise<boolean> {
    this.#isStopping = true;
    const deadlineMs = Date.now() + this.#config.DRAIN_DEADLINE_MS;
    clearInterval(this.#maintenance);
    const isDrained = (await this.#gateways?.drain(deadlineMs)) ?? true;
    const isClosed = await this.closeGateways(Math.max(deadlineMs, Date.now() + 500));
    await this.#ingest?.close(deadlineMs);
    const pending = this.#ingest?.pendingClicks ?? 0;
    if (pending > 0) this.#logs.logger.warn({ clicks: pending }, `${pending} clicks stay in the journal`);
    await this.#workers?.close();
    await this.#watch?.stop();
    await this.#embedded?.stop();
    return isDrained && isClosed;
  }

  /** A process that ends with a gateway open is ended by the library, and not gently. */
  async closeGateways(deadlineMs: number): Promise<boolean> {
    return (await this.#gateways?.close(deadlineMs)) ?? true;
  }

  #embeddedAddress(): DatabaseAddress {
    if (this.#embedded === undefined) throw new Error('there is no embedded PostgreSQL');
    return this.#embedded.address;
  }

  async #contactDatabase(address: () => DatabaseAddress, onFault: (error: unknown) => void): Promise<void> {
    let endPatience: () => void = () => undefined;
    let timer: NodeJS.Timeout | undefined;
    const patience = new Promise<void>((resolve) => {
      endPatience = resolve;
      timer = setTimeout(resolve, FIRST_CONTACT_MS);
    });
    this.#watch = new DatabaseWatch({
      address,
      coherence: this.#coherence,
      state: this.#state,
      connectMs: this.#config.DATABASE_CONNECT_MS,
      heartbeatMs: this.#config.LISTEN_HEARTBEAT_MS,
      timeoutMs: this.#config.LISTEN_TIMEOUT_MS,
      prepare: (connection) => {
        clearTimeout(timer);
        timer = setTimeout(endPatience, PREPARATION_MS).unref();
        return this.#prepare(connection);
      },
      revive: async () => {
        if (!this.#isStopping) await this.#embedded?.ensureRunning();
      },
      onChange: (change) => this.#tellDatabaseChange(change),
      openConnections: () => this.#counters.livingTotal('poolSize'),
    });
    const ready = this.#watch.start();
    // A refusal ends the start; or the server, when it comes while the server runs without a database.
    ready.catch(onFault);
    await Promise.race([ready, patience]);
    clearTimeout(timer);
  }

  async #prepare(connection: Connection): Promise<void> {
    const { SEED_ON_BOOT, CSV_DIR } = this.#config;
    const prepared = await prepareDatabase(connection, async () => {
      if (SEED_ON_BOOT) this.seedReports = await seedDatabase(connection, CSV_DIR);
    });
    const { logger } = this.#logs;
    if (prepared.applied.length > 0) {
      logger.info({ migrations: prepared.applied }, `applied ${prepared.applied.length} migrations`);
    }
    for (const { table, from, to } of prepared.raised) {
      logger.warn(
        { table, from, to },
        `the sequence of ${table} was behind its ids: raised from ${from} to ${to}`,
      );
    }
    if (prepared.newer) logger.warn('the database was migrated by a newer version of this server');
    for (const { table, loaded, notes } of this.seedReports ?? []) {
      logger.info({ table, loaded, notes: Object.fromEntries(notes) }, `seeded ${loaded} rows into ${table}`);
    }
  }

  async #startGateways(port: number, ingest: IngestScheduler): Promise<void> {
    this.#gateways = new GatewayThreads({
      config: this.#config,
      port,
      log: this.#logs.logger,
      shared: {
        coherence: this.#coherence.buffer,
        counters: this.#counters.buffer,
        state: this.#state.buffer,
        connections: this.#clients.buffer,
        journals: this.#slots.buffer,
        journalFolder: ingest.folder,
      },
      beginJournal: () => ingest.register(),
      endJournal: (journalId) => ingest.ended(journalId),
      onStarted: (gateway) => this.#connectToWorkers(gateway),
      onMessage: (gateway, message) => this.#receive(gateway, message),
    });
    await this.#gateways.start();
  }

  #connectToWorkers(gateway: GatewayThread): void {
    const threads = this.#workers?.interactiveThreads ?? 0;
    for (let thread = 0; thread < threads; thread += 1) this.#connectToWorker(gateway, thread);
  }

  /** A port between a gateway and a worker thread; a new one when the thread had to be replaced. */
  #connectToWorker(gateway: GatewayThread, thread: number): void {
    if (gateway.hasEnded || this.#isStopping) return;
    const { port1, port2 } = new MessageChannel();
    gateway.send({ kind: 'worker', port: port1 });
    this.#workers?.serveCalls(thread, port2).catch(() => this.#connectToWorker(gateway, thread));
  }

  #receive(gateway: GatewayThread, message: FromGateway): void {
    switch (message.kind) {
      case 'journalled':
        this.#ingest?.wake();
        break;
      case 'barrier':
        this.#ingest?.reached(message.targets).then(() => gateway.send({ kind: 'barrier', id: message.id }));
        break;
      case 'transfer':
        // A port closes with its thread, which tells the gateway.
        this.#workers?.transfer(message.request, message.port).catch(() => undefined);
        break;
      case 'ask':
        this.#answer(message.question).then((body) => gateway.send({ kind: 'answer', id: message.id, body }));
        break;
      default:
        break;
    }
  }

  async #answer(question: Question): Promise<string> {
    switch (question.of) {
      case 'metrics':
        return (await this.#metrics?.text()) ?? '';
      case 'logs':
        return this.#logs.query(question);
      case 'chaos':
        this.#logs.logger.warn('GET /chaos: the server ends itself');
        process.kill(process.pid, 'SIGTERM');
        return '';
      default:
        throw new Error(`no such question: ${String(question satisfies never)}`);
    }
  }

  #maintain(): void {
    this.#workers?.maintain().catch((error: unknown) => {
      this.#logs.logger.warn({ error }, 'the upkeep of the database failed; it is tried again in an hour');
    });
  }

  #tellDatabaseChange(change: DatabaseChange): void {
    const { logger } = this.#logs;
    switch (change.kind) {
      case 'up':
        logger.info('PostgreSQL can be reached');
        this.#ingest?.retryNow();
        break;
      case 'down':
        logger.error({ error: change.error }, `PostgreSQL can't be reached: ${change.error.message}`);
        break;
      case 'listen-lost':
        logger.warn(
          { error: change.error },
          `the LISTEN connection was lost, cached links are suspect: ${change.error.message}`,
        );
        break;
      default:
        throw new Error(`no such change: ${String(change satisfies never)}`);
    }
  }

  #makeMetrics(): Metrics {
    const workers = (): { alive: number; wanted: number } =>
      this.#workers?.threads ?? { alive: 0, wanted: 0 };
    return new Metrics(this.#counters, {
      buildInfo: () => [{ labels: { version: packageVersion(), node: process.version }, value: 1 }],
      databaseUp: () => (this.#state.database === Database.UP ? 1 : 0),
      cacheCoherent: () => (this.#state.coherent ? 1 : 0),
      listenLosses: () => Math.max(0, (this.#watch?.connections ?? 1) - 1),
      connectionsMax: () => this.#clients.max,
      poolMax: () => this.#config.DATABASE_POOL_MAX,
      journalPendingBytes: () => this.#ingest?.pendingBytes ?? 0,
      clicksPending: () => this.#ingest?.pendingClicks ?? 0,
      ingestBehind: () => this.#ingest?.secondsBehind ?? 0,
      threads: () => byThreadKind(this.#gateways?.alive ?? 0, workers().alive),
      threadsWanted: () => byThreadKind(this.#config.GATEWAY_THREADS, workers().wanted),
      threadRestarts: () => byThreadKind(this.#gateways?.restarts ?? 0, this.#workers?.restarts ?? 0),
    });
  }
}

/**
 * From the package's own manifest, two folders above the compiled file. Read before the port opens: from
 * then on clients compete for descriptors.
 */
const { version } = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

export function packageVersion(): string {
  return version;
}
