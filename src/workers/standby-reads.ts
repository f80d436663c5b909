import { setTimeout as sleep } from 'node:timers/promises';
import type { ThreadCounters } from '../memory/counters.js';
import { withDeadline } from '../postgres/deadline.js';
import type { Connection, Pool } from '../postgres/pool.js';
import { currentPosition, type Primacy, standbyState } from '../store/standby-position.js';
import { requireFit, type Standbys } from './standbys.js';

/** How long a standby may take to have all that was committed before the read. */
const WAIT_MS = 200;
const LOOK_MS = 10;
/** How long it may take to say so. */
const ANSWER_MS = 1000;

export interface StandbyReadsOptions {
  /** Of the primary. */
  readonly pool: Pool;
  readonly standbys: Standbys;
  readonly counters: ThreadCounters;
}

export interface StandbyRead<T> {
  readonly deadlineMs: number;
  /** Of it, how long to wait for the primary's position; then the primary may be left to itself. */
  readonly askMs: number;
  /** Reads only. It may be repeated, on the primary, as long as `hasBegun` doesn't say otherwise. */
  readonly work: (connection: Connection) => Promise<T>;
  readonly hasBegun?: () => boolean;
}

/**
 * Reads on hot standbys. A read waits until its standby has replayed all that the primary had committed when the read
 * began. It therefore sees every write that was answered before. What no standby can do in time goes to the primary.
 */
export class StandbyReads {
  readonly #options: StandbyReadsOptions;
  /** The latest query to the primary; callers that come before it is sent share its answer. */
  #last: Promise<string> = Promise.resolve('');
  #joined: Promise<string> | undefined;

  constructor(options: StandbyReadsOptions) {
    this.#options = options;
  }

  /**
   * Runs work that only reads on a standby.
   * @returns `undefined` if the primary has to do it.
   * @throws what the work threw, once it has begun.
   */
  async read<T>(read: StandbyRead<T>): Promise<{ readonly value: T } | undefined> {
    const { standbys, counters } = this.#options;
    const until = Date.now() + read.deadlineMs;
    const next = standbys.next();
    const position = next && (await this.#position(read.askMs).catch(() => undefined));
    if (next === undefined || position === undefined) {
      counters.add('standbyFallbacks');
      return undefined;
    }
    const { standby, of } = next;
    try {
      const value = await standby.pool.runOnce(until - Date.now(), async (connection) => {
        const waited = waitFor(connection, position, of);
        await withDeadline(connection, waited, Math.min(ANSWER_MS, Math.max(1, until - Date.now())));
        return read.work(connection);
      });
      standby.hasAnswered();
      counters.add('standbyReads');
      return { value };
    } catch (error) {
      standby.hasFailed(error);
      if (read.hasBegun?.() === true) throw error;
      counters.add('standbyFallbacks');
      return undefined;
    }
  }

  /** Where the primary's log ends, asked after the call: one query for all calls that come while another is under way. */
  #position(deadlineMs: number): Promise<string> {
    if (this.#joined === undefined) {
      this.#joined = this.#ask(this.#last, deadlineMs);
      this.#last = this.#joined;
    }
    return this.#joined;
  }

  async #ask(previous: Promise<string>, deadlineMs: number): Promise<string> {
    await previous.catch(() => undefined);
    this.#joined = undefined;
    return this.#options.pool.runReadOnly(deadlineMs, currentPosition);
  }
}

/** @throws if the standby has not replayed that far in time, or never will. */
async function waitFor(connection: Connection, position: string, of: Primacy): Promise<void> {
  const until = Date.now() + WAIT_MS;
  for (;;) {
    const state = await standbyState(connection, position, of);
    if (state === 'reached') return;
    if (state === 'promoted' || Date.now() >= until) requireFit(state);
    await sleep(LOOK_MS);
  }
}
