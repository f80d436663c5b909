import { fileURLToPath } from 'node:url';
import type { MessagePort } from 'node:worker_threads';
import { Piscina } from 'piscina';
import type { Config, DatabaseAddress } from '../config.js';
import type { IngestJob, IngestOutcome } from '../messages/ingest.js';
import type { TransferRequest } from '../messages/transfers.js';
import type { WorkerData, WorkerRole } from '../workers/thread.js';
import { planConnections } from './connection-plan.js';

export interface WorkersOptions {
  readonly config: Config;
  readonly address: DatabaseAddress;
  readonly coherence: SharedArrayBuffer;
  readonly counters: SharedArrayBuffer;
  /** Told of a thread that died, and of why where that is known. */
  readonly onThreadLost: (role: WorkerRole, error: Error | undefined) => void;
}

const filename = fileURLToPath(new URL('../workers/tasks.js', import.meta.url));

/** Tasks that only wait for PostgreSQL share a thread; this is no limit, connections are. */
const TASKS_A_THREAD = 10_000;

/** A thread that dies again at once is asked for again no faster than this. */
const FIRST_BACKOFF_MS = 100;
const MAX_BACKOFF_MS = 5000;

/**
 * The worker threads: one Piscina pool for each kind of work, each thread with connections of its
 * own. A thread that dies is replaced by Piscina; what it was doing is rejected.
 */
export class Workers {
  readonly #interactive: Piscina[];
  readonly #transfer: Piscina;
  readonly #ingest: Piscina;
  readonly ingestConnections: number;
  #restarts = 0;
  #isClosing = false;

  constructor(options: WorkersOptions) {
    const plan = planConnections(options.config.DATABASE_POOL_MAX, options.config.WORKER_THREADS);
    const start = (role: WorkerRole, connections: number, tasks?: number): Piscina => {
      const pool = startPool(options, role, connections, tasks);
      const onLost = (error?: Error): void => {
        if (!this.#isClosing) options.onThreadLost(role, error);
      };
      pool.on('error', onLost);
      let backoffMs = FIRST_BACKOFF_MS;
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
              backoffMs = FIRST_BACKOFF_MS;
            },
            () => undefined,
          );
        }, backoffMs).unref();
        backoffMs = Math.min(MAX_BACKOFF_MS, backoffMs * 2);
      });
      return pool;
    };
    this.#interactive = plan.interactive.map((connections) => start('interactive', connections));
    this.#transfer = start('transfer', plan.transfer, plan.transfer);
    this.#ingest = plan.ingest === 0 ? this.#transfer : start('ingest', plan.ingest);
    this.ingestConnections = Math.max(1, plan.ingest);
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

  async transfer(request: TransferRequest, port: MessagePort): Promise<void> {
    const name = request.kind === 'import' ? 'importFromPort' : 'listToPort';
    await this.#transfer.run({ request, port }, { name, transferList: [port] });
  }

  async ingest(job: IngestJob): Promise<IngestOutcome> {
    return (await this.#ingest.run(job, { name: 'ingestJournal' })) as IngestOutcome;
  }

  async maintain(): Promise<void> {
    await this.#ingest.run(undefined, { name: 'maintain' });
    await this.#transfer.run(undefined, { name: 'buildIndexes' });
  }

  /** Ends all threads; what still runs is cut off. */
  async close(): Promise<void> {
    this.#isClosing = true;
    await Promise.all(this.#pools().map((pool) => pool.destroy()));
  }

  #pools(): Piscina[] {
    return [...new Set([...this.#interactive, this.#transfer, this.#ingest])];
  }
}

function startPool(
  options: WorkersOptions,
  role: WorkerRole,
  connections: number,
  tasks: number = TASKS_A_THREAD,
): Piscina {
  const { config, address, coherence, counters } = options;
  const data: WorkerData = { config, role, address, connections, coherence, counters };
  return new Piscina({
    filename,
    minThreads: 1,
    maxThreads: 1,
    concurrentTasksPerWorker: tasks,
    // The default stops a worker's event loop between tasks, and with it its sockets and timers.
    atomics: 'disabled',
    workerData: data,
  });
}
