import { setTimeout as sleep } from 'node:timers/promises';
import type { MessagePort } from 'node:worker_threads';
import { Piscina } from 'piscina';
import type { Config, DatabaseAddress } from '../config.js';
import type { BodyCheck } from '../messages/body-checks.js';
import type { IngestJob, IngestOutcome } from '../messages/ingest.js';
import type { StatisticsOutcome } from '../messages/statistics.js';
import type { StreamJob, StreamOutcome } from '../messages/stream.js';
import type { TransferJob, TransferRequest } from '../messages/transfers.js';
import { Backoff } from '../runtime/backoff.js';
import { entryPoint } from '../runtime/package.js';
import type { ClickChunksStep } from '../store/click-chunks.js';
import type { RemovalStep } from '../store/removal.js';
import type { RetentionCursor, RetentionStep } from '../store/retention.js';
import type { StreamData } from '../workers/stream/thread.js';
import type { WorkerData, WorkerRole } from '../workers/thread.js';
import { type ConnectionPlan, planConnections } from './connection-plan.js';
import { heapLimits } from './heap-limits.js';

export interface WorkersOptions {
  readonly config: Config;
  /** Where PostgreSQL may be. */
  readonly addresses: readonly DatabaseAddress[];
  /** Which of them is the primary. */
  readonly primary: SharedArrayBuffer;
  readonly coherence: SharedArrayBuffer;
  readonly counters: SharedArrayBuffer;
  /** Called when a thread has died, with the reason where it is known. */
  readonly onThreadLost: (role: WorkerRole | 'stream', error: Error | undefined) => void;
}

const filename = entryPoint('workers/tasks');
const streamFile = entryPoint('workers/stream/stream-tasks');

/** Tasks that only wait for PostgreSQL share a thread; this is no limit, connections are. */
const TASKS_A_THREAD = 10_000;

/** How long a start waits for threads that don't come. */
const READY_MS = 10_000;

/** A thread that dies again at once is asked for again no faster than this. */
const BACKOFF = { firstMs: 100, maxMs: 5000 };

/**
 * The worker threads: one Piscina pool for each kind of work, each thread with connections of its
 * own. A thread that dies is replaced by Piscina; what it was doing is rejected.
 */
export class Workers {
  readonly #options: WorkersOptions;
  readonly #plan: ConnectionPlan;
  readonly #interactive: Piscina[];
  /** Only with CLICK_STREAM. */
  #stream: Piscina | undefined;
  #bulk: { readonly transfer: Piscina; readonly ingest: Piscina } | undefined;
  readonly ingestConnections: number;
  #restarts = 0;
  #isClosing = false;

  constructor(options: WorkersOptions) {
    this.#options = options;
    this.#plan = planConnections(options.config.DATABASE_POOL_MAX, options.config.WORKER_THREADS);
    this.#interactive = this.#plan.interactive.map((connections) => this.#start('interactive', connections));
    this.ingestConnections = Math.max(1, this.#plan.ingest);
  }

  /** When the threads that serve calls are there, or the wait is over: a dead one is being replaced. */
  async ready(): Promise<void> {
    const loaded = Promise.allSettled(
      this.#interactive.map((pool) => pool.run(undefined, { name: 'ready' })),
    );
    const timer = new AbortController();
    await Promise.race([loaded, sleep(READY_MS, undefined, { signal: timer.signal })]);
    timer.abort();
  }

  /** Starts the threads that no redirect waits for; else their first task does. */
  startBulk(): void {
    this.#bulkPools();
    if (this.#options.config.CLICK_STREAM !== 'off') this.#streamPool();
  }

  #bulkPools(): { readonly transfer: Piscina; readonly ingest: Piscina } {
    if (this.#bulk === undefined) {
      if (this.#isClosing) throw new Error('the workers are being closed');
      const transfer = this.#start('transfer', this.#plan.transfer);
      const ingest = this.#plan.ingest === 0 ? transfer : this.#start('ingest', this.#plan.ingest);
      this.#bulk = { transfer, ingest };
    }
    return this.#bulk;
  }

  #streamPool(): Piscina {
    if (this.#stream === undefined) {
      if (this.#isClosing) throw new Error('the workers are being closed');
      const { config, counters } = this.#options;
      const data: StreamData = { config, role: 'stream', counters };
      this.#stream = this.#watched('stream', startPool(streamFile, data));
    }
    return this.#stream;
  }

  #start(role: WorkerRole, connections: number): Piscina {
    const { config, addresses, primary, coherence, counters } = this.#options;
    const data: WorkerData = { config, role, addresses, primary, connections, coherence, counters };
    return this.#watched(role, startPool(filename, data));
  }

  #watched(role: WorkerRole | 'stream', pool: Piscina): Piscina {
    const options = this.#options;
    const onLost = (error?: Error): void => {
      if (!this.#isClosing) options.onThreadLost(role, error);
    };
    pool.on('error', onLost);
    const backoff = new Backoff(BACKOFF);
    pool.on('workerDestroy', () => {
      if (this.#isClosing) return;
      this.#restarts += 1;
      onLost();
      // Piscina gives up replacing threads once one has died while it started, and would leave what
      // is queued waiting for ever. A further task makes it start a thread again.
      setTimeout(() => {
        if (this.#isClosing) return;
        pool.run(undefined, { name: 'ready' }).then(
          () => {
            backoff.reset();
          },
          () => undefined,
        );
      }, backoff.next()).unref();
    });
    return pool;
  }

  /** How many threads serve calls; each is to be given a port by each gateway. */
  get interactiveThreads(): number {
    return this.#interactive.length;
  }

  /** Threads that died and were replaced. */
  get restarts(): number {
    return this.#restarts;
  }

  /** Threads that are alive, of those there should be. */
  get threads(): { alive: number; wanted: number } {
    const pools = this.#pools();
    return {
      alive: pools.reduce((sum, pool) => sum + pool.threads.length, 0),
      wanted: pools.length,
    };
  }

  /** Lets a thread serve a gateway's calls. Settles when the port is closed; rejects when the thread dies. */
  async serveCalls(thread: number, port: MessagePort): Promise<void> {
    await this.#interactive[thread]?.run({ port }, { name: 'serveCalls', transferList: [port] });
  }

  async transfer(job: TransferJob<TransferRequest>): Promise<void> {
    const name = job.request.kind === 'import' ? 'importFromPort' : 'listToPort';
    await this.#bulkPools().transfer.run(job, { name, transferList: [job.port] });
  }

  /** By the thread of transfers: those who wait for the interactive ones wait for short work only. */
  async checkBody(job: BodyCheck): Promise<void> {
    await this.#bulkPools().transfer.run(job, { name: 'checkBody', transferList: [job.bytes, job.port] });
  }

  async ingest(job: IngestJob): Promise<IngestOutcome> {
    return (await this.#bulkPools().ingest.run(job, { name: 'ingestJournal' })) as IngestOutcome;
  }

  async readConsumed(journalIds: readonly string[]): Promise<ReadonlyMap<string, number>> {
    return (await this.#bulkPools().ingest.run(journalIds, { name: 'readConsumedClicks' })) as ReadonlyMap<
      string,
      number
    >;
  }

  async streamJournal(job: StreamJob): Promise<StreamOutcome> {
    return (await this.#streamPool().run(job, { name: 'streamJournal' })) as StreamOutcome;
  }

  /** @returns why Kafka can't be used; `undefined` if it can. */
  async checkStream(): Promise<string | undefined> {
    return (await this.#streamPool().run(undefined, { name: 'checkStream' })) as string | undefined;
  }

  async forgetStreamed(journalId: string): Promise<void> {
    await this.#streamPool().run({ journalId }, { name: 'forgetStreamed' });
  }

  async maintain(): Promise<void> {
    await this.#bulkPools().ingest.run(undefined, { name: 'maintain' });
    await this.#bulkPools().transfer.run(undefined, { name: 'buildIndexes' });
  }

  async keepOrder(): Promise<void> {
    await this.#bulkPools().transfer.run(undefined, { name: 'keepOrder' });
  }

  async addStatistics(): Promise<StatisticsOutcome> {
    return (await this.#bulkPools().ingest.run(undefined, { name: 'addStatistics' })) as StatisticsOutcome;
  }

  /** @returns whether another chunk of events may be full. */
  async keepChunks(): Promise<boolean> {
    return (await this.#bulkPools().ingest.run(undefined, { name: 'keepChunks' })) as boolean;
  }

  /** Takes as long as there are events. */
  async buildStatistics(): Promise<void> {
    await this.#bulkPools().transfer.run(undefined, { name: 'buildStatistics' });
  }

  async removeOldEvents(cursor: RetentionCursor | undefined): Promise<RetentionStep> {
    return (await this.#bulkPools().transfer.run({ cursor }, { name: 'removeOldEvents' })) as RetentionStep;
  }

  /** @param stayMs How long clicks stay that do not fill a chunk. */
  async removeClickEvents(stayMs: number): Promise<ClickChunksStep> {
    return (await this.#bulkPools().transfer.run(
      { stayMs },
      { name: 'removeClickEvents' },
    )) as ClickChunksStep;
  }

  async removeDeletedEvents(): Promise<RemovalStep> {
    return (await this.#bulkPools().ingest.run(undefined, { name: 'removeDeletedEvents' })) as RemovalStep;
  }

  /** Ends all threads; what still runs is cut off. */
  async close(): Promise<void> {
    this.#isClosing = true;
    await Promise.all(this.#pools().map((pool) => pool.destroy()));
  }

  #pools(): Piscina[] {
    const bulk = this.#bulk === undefined ? [] : [this.#bulk.transfer, this.#bulk.ingest];
    const stream = this.#stream === undefined ? [] : [this.#stream];
    return [...new Set([...this.#interactive, ...bulk, ...stream])];
  }
}

/**
 * Piscina loads its module by `require` where Node can do that with ES modules, and else by `import`. Node 20 aborts the whole
 * process (`v8::Module::IsGraphAsync must be used on an instantiated module`) if a thread is ended in such a `require`:
 * a start that failed while its threads were beginning did not always end with its line.
 */
const REQUIRE_MODULE = '--experimental-require-module';

function threadEnvironment(): NodeJS.ProcessEnv {
  if (!process.allowedNodeEnvironmentFlags.has(REQUIRE_MODULE)) return process.env;
  const options = process.env.NODE_OPTIONS ?? '';
  return { ...process.env, NODE_OPTIONS: `${options} ${REQUIRE_MODULE.replace('--', '--no-')}`.trim() };
}

function startPool(file: string, data: WorkerData | StreamData): Piscina {
  return new Piscina({
    filename: file,
    minThreads: 1,
    maxThreads: 1,
    concurrentTasksPerWorker: TASKS_A_THREAD,
    // The default stops a worker's event loop between tasks, and with it its sockets and timers.
    atomics: 'disabled',
    workerData: data,
    env: threadEnvironment(),
    resourceLimits: heapLimits[data.role],
  });
}
