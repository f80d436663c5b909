import { fileURLToPath } from 'node:url';
import type { MessagePort } from 'node:worker_threads';
import { Piscina } from 'piscina';
import type { Config, DatabaseAddress } from '../config.js';
import type { TransferRequest } from '../contract.js';
import { planConnections } from './connections.js';
import type { IngestJob, IngestOutcome } from './ingest.js';
import type { WorkerData, WorkerRole } from './thread.js';

export interface WorkersOptions {
  readonly config: Config;
  readonly address: DatabaseAddress;
  readonly coherence: SharedArrayBuffer;
  readonly counters: SharedArrayBuffer;
  readonly onError: (error: Error) => void;
}

const filename = fileURLToPath(new URL('./tasks.js', import.meta.url));

/** Tasks that only wait for PostgreSQL share a thread; this is no limit, connections are. */
const TASKS_A_THREAD = 10_000;

/**
 * The worker threads: one Piscina pool for each kind of work, each thread with connections of its
 * own. A thread that dies is replaced by Piscina; what it was doing is rejected.
 */
export class Workers {
  readonly #interactive: Piscina[];
  readonly #transfer: Piscina;
  readonly #ingest: Piscina;
  readonly ingestConnections: number;

  constructor(options: WorkersOptions) {
    const plan = planConnections(options.config.DATABASE_POOL_MAX, options.config.WORKER_THREADS);
    this.#interactive = plan.interactive.map((connections) => startPool(options, 'interactive', connections));
    this.#transfer = startPool(options, 'transfer', plan.transfer, plan.transfer);
    this.#ingest = plan.ingest === 0 ? this.#transfer : startPool(options, 'ingest', plan.ingest);
    this.ingestConnections = Math.max(1, plan.ingest);
  }

  /** How many threads serve calls; each is to be given a port by each gateway. */
  get interactiveThreads(): number {
    return this.#interactive.length;
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
  }

  /** Ends all threads; what still runs is cut off. */
  async close(): Promise<void> {
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
  const pool = new Piscina({
    filename,
    minThreads: 1,
    maxThreads: 1,
    concurrentTasksPerWorker: tasks,
    // The default stops a worker's event loop between tasks, and with it its sockets and timers.
    atomics: 'disabled',
    workerData: data,
  });
  pool.on('error', options.onError);
  return pool;
}
