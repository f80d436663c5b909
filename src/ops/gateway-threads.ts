import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import type { Config } from '../config.js';
import type { GatewayData } from '../gateway/gateway.js';
import type { FromGateway, ToGateway } from '../messages/supervisor.js';
import { Backoff } from '../runtime/backoff.js';
import { describeError } from '../runtime/describe-error.js';
import type { Logger } from '../runtime/logger.js';
import { entryPoint } from '../runtime/package.js';
import { heapLimits } from './heap-limits.js';

export interface GatewayThreadsOptions {
  readonly config: Config;
  readonly port: number;
  readonly log: Logger;
  /** Shared memory that every gateway gets. */
  readonly shared: Pick<
    GatewayData,
    | 'coherence'
    | 'counters'
    | 'state'
    | 'connections'
    | 'listeners'
    | 'wrongTries'
    | 'requestRates'
    | 'journals'
    | 'journalFolder'
    | 'isMapped'
  >;
  /** A fresh click journal; `endJournal` is called when its gateway is gone. */
  readonly beginJournal: () => { journalId: string; slot: number };
  readonly endJournal: (journalId: string) => void;
  /** Gives a new gateway its ports to the workers. */
  readonly onStarted: (gateway: GatewayThread) => void;
  readonly onMessage: (gateway: GatewayThread, message: FromGateway) => void;
}

/** One gateway thread, from the supervisor's side. */
export class GatewayThread {
  readonly ordinal: number;
  readonly journalId: string;
  readonly #worker: Worker;
  isDrained = false;
  hasEnded = false;

  constructor(ordinal: number, journalId: string, worker: Worker) {
    this.ordinal = ordinal;
    this.journalId = journalId;
    this.#worker = worker;
  }

  send(message: ToGateway): void {
    if (this.hasEnded) return;
    this.#worker.postMessage(message, message.kind === 'worker' ? [message.port] : []);
  }
}

const filename = entryPoint('gateway/gateway');

/** The minimum time between restarts of a gateway that keeps dying. */
const BACKOFF = { firstMs: 100, maxMs: 5000 };
const CHECK_MS = 5;

/** All gateway threads: started, replaced when one dies, drained and closed at the end. */
export class GatewayThreads {
  readonly #options: GatewayThreadsOptions;
  readonly #threads = new Set<GatewayThread>();
  #loading: Promise<unknown> | undefined;
  #mayListen = false;
  #isStopping = false;
  #restarts = 0;
  readonly #backoff = new Backoff(BACKOFF);

  constructor(options: GatewayThreadsOptions) {
    this.#options = options;
  }

  get alive(): number {
    return this.#threads.size;
  }

  get restarts(): number {
    return this.#restarts;
  }

  /** Starts as many as configured, which takes a while; none listens before `listen`. */
  load(): void {
    const { GATEWAY_THREADS } = this.#options.config;
    this.#loading = Promise.all(
      Array.from({ length: GATEWAY_THREADS }, (_, ordinal) => this.#startOne(ordinal)),
    );
    // The waiting caller handles it.
    this.#loading.catch(() => undefined);
  }

  /** Lets all of them listen, now that everything a request needs is ready. @throws if one can't. */
  async listen(): Promise<void> {
    this.#mayListen = true;
    for (const thread of this.#threads) this.#letListen(thread);
    await this.#loading;
  }

  /** Sends a message to all that are alive. */
  broadcast(message: Extract<ToGateway, { kind: 'live' }>): void {
    for (const thread of this.#threads) thread.send(message);
  }

  /** Closes the listeners and waits until every open request is answered, or the deadline has passed. */
  async drain(deadlineMs: number): Promise<boolean> {
    this.#isStopping = true;
    for (const thread of this.#threads) thread.send({ kind: 'drain' });
    return this.#until(() => [...this.#threads].every((thread) => thread.isDrained), deadlineMs);
  }

  /** Cuts the remaining connections. @returns whether all threads have ended in time. */
  async close(deadlineMs: number): Promise<boolean> {
    this.#isStopping = true;
    for (const thread of this.#threads) thread.send({ kind: 'close' });
    return this.#until(() => this.#threads.size === 0, deadlineMs);
  }

  async #until(isDone: () => boolean, deadlineMs: number): Promise<boolean> {
    while (!isDone()) {
      if (Date.now() >= deadlineMs) return false;
      await sleep(CHECK_MS);
    }
    return true;
  }

  /** Its ports to the workers come first: no request may find none. */
  #letListen(thread: GatewayThread): void {
    this.#options.onStarted(thread);
    thread.send({ kind: 'listen' });
  }

  #startOne(ordinal: number): Promise<void> {
    const { config, port, shared } = this.#options;
    const { journalId, slot } = this.#options.beginJournal();
    const data: GatewayData = {
      ...shared,
      config,
      ordinal,
      port,
      isExclusive: config.GATEWAY_THREADS === 1,
      journalId,
      journalSlot: slot,
    };
    const worker = new Worker(filename, {
      workerData: data,
      name: `gateway-${ordinal}`,
      resourceLimits: heapLimits.gateway,
    });
    const thread = new GatewayThread(ordinal, journalId, worker);
    this.#threads.add(thread);
    if (this.#mayListen) this.#letListen(thread);
    return new Promise((resolve, reject) => {
      worker.on('message', (message: FromGateway) => {
        if (message.kind === 'listening') {
          this.#backoff.reset();
          resolve();
        } else if (message.kind === 'failed') {
          reject(new Error(message.message));
        } else if (message.kind === 'drained') {
          thread.isDrained = true;
        } else {
          this.#options.onMessage(thread, message);
        }
      });
      worker.on('error', (error) => {
        this.#options.log.error({ error }, `gateway-${ordinal} failed: ${describeError(error)}`);
      });
      worker.on('exit', (code) => {
        thread.hasEnded = true;
        this.#threads.delete(thread);
        this.#options.endJournal(journalId);
        reject(new Error(`gateway-${ordinal} ended with ${code} before it listened`));
        if (!this.#isStopping) this.#replace(ordinal, code);
      });
    });
  }

  #replace(ordinal: number, code: number): void {
    this.#restarts += 1;
    this.#options.log.error({ code }, `gateway-${ordinal} ended with ${code}: starting another`);
    setTimeout(() => {
      // A gateway that can't listen ends, and arrives here again.
      if (!this.#isStopping) this.#startOne(ordinal).catch(() => undefined);
    }, this.#backoff.next());
  }
}
