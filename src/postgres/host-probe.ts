import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import type { DatabaseAddress } from '../config.js';
import { destroy } from './cancel.js';
import { type HostRole, roleOf } from './cluster-identity.js';
import { withDeadline } from './deadline.js';
import { clientOptions } from './pool.js';
import type { HostState } from './primary-choice.js';

const APPLICATION_NAME = 'switchyard probe';

export interface HostProbeOptions {
  readonly address: DatabaseAddress;
  /** Deadline of a connection. */
  readonly connectMs: number;
  /** Deadline of an answer. */
  readonly timeoutMs: number;
  /** Pause between two queries. */
  readonly everyMs: number;
  /** Called after each answer, and after each time-out. */
  readonly onState: () => void;
}

/** Asks one host for its role repeatedly, over a connection that it keeps: a promotion does not end it. */
export class HostProbe {
  readonly #options: HostProbeOptions;
  readonly #stop = new AbortController();
  #client: pg.Client | undefined;
  #state: HostState = { kind: 'asked' };
  /** Settles with the first answer or time-out. */
  readonly asked: Promise<void>;
  #onAsked: () => void = () => undefined;

  constructor(options: HostProbeOptions) {
    this.#options = options;
    this.asked = new Promise((resolve) => {
      this.#onAsked = resolve;
    });
  }

  get state(): HostState {
    return this.#state;
  }

  /** Continues until it is stopped. */
  start(): void {
    void this.#run();
  }

  stop(): void {
    this.#stop.abort();
    this.#onAsked();
    if (this.#client !== undefined) destroy(this.#client);
  }

  async #run(): Promise<void> {
    const { everyMs, timeoutMs } = this.#options;
    while (!this.#stop.signal.aborted) {
      try {
        this.#client ??= await connectTo(this.#options);
        this.#note({
          kind: 'answers',
          role: await withDeadline(this.#client, roleOf(this.#client), timeoutMs),
        });
      } catch (error) {
        if (this.#client !== undefined) destroy(this.#client);
        this.#client = undefined;
        this.#note({ kind: 'silent', error: error as Error });
      }
      await sleep(everyMs, undefined, { signal: this.#stop.signal, ref: false }).catch(() => undefined);
    }
    if (this.#client !== undefined) destroy(this.#client);
  }

  #note(state: HostState): void {
    if (this.#stop.signal.aborted) return;
    this.#state = state;
    this.#onAsked();
    this.#options.onState();
  }
}

/** Asks every host once. @returns their states, in their order. */
export function askHosts(addresses: readonly DatabaseAddress[], connectMs: number): Promise<HostState[]> {
  return Promise.all(
    addresses.map(async (address): Promise<HostState> => {
      try {
        return { kind: 'answers', role: await askOnce(address, connectMs) };
      } catch (error) {
        return { kind: 'silent', error: error as Error };
      }
    }),
  );
}

async function askOnce(address: DatabaseAddress, connectMs: number): Promise<HostRole> {
  const client = await connectTo({ address, connectMs });
  try {
    return await withDeadline(client, roleOf(client), connectMs);
  } finally {
    destroy(client);
  }
}

async function connectTo({
  address,
  connectMs,
}: Pick<HostProbeOptions, 'address' | 'connectMs'>): Promise<pg.Client> {
  const client = new pg.Client(clientOptions(address, APPLICATION_NAME, connectMs));
  client.on('error', () => undefined);
  try {
    await client.connect();
    return client;
  } catch (error) {
    destroy(client);
    throw error;
  }
}
