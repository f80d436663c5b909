import { setTimeout as sleep } from 'node:timers/promises';
import type { ThreadCounters } from '../../memory/counters.js';
import type { Primary } from '../../memory/primary.js';
import { isConnectionLoss } from '../../postgres/failures.js';
import type { Connection, Pool } from '../../postgres/pool.js';
import { currentPosition, hasReached } from '../../store/standby-position.js';

/** How long a standby may take to have all that was committed before the read. */
const WAIT_MS = 200;
const LOOK_MS = 10;
/** How long to avoid one that did not answer, or lagged. */
const REST_MS = 1000;

export interface StandbyReadsOptions {
  /** Of the primary. */
  readonly pool: Pool;
  /** One for each standby. */
  readonly standbys: readonly Pool[];
  readonly primary: Primary;
  readonly counters: ThreadCounters;
}

/** A standby lags, or does not follow our primary. */
class BehindError extends Error {
  override readonly name = 'BehindError';
}

/**
 * Reads on hot standbys. A read waits until its standby has replayed all that the primary had committed when the read
 * began. It therefore sees every write that was answered before. What no standby can do in time goes to the primary.
 */
export class StandbyReads {
  readonly #options: StandbyReadsOptions;
  /** Until when to avoid each standby; by performance.now(). */
  readonly #restsUntil: number[];
  #turn = 0;
  /** The latest query to the primary; callers that come before it is sent share its answer. */
  #last: Promise<string> = Promise.resolve('');
  #joined: Promise<string> | undefined;

  constructor(options: StandbyReadsOptions) {
    this.#options = options;
    this.#restsUntil = options.standbys.map(() => 0);
  }

  /**
   * Runs work that only reads on a standby.
   * @param work May be repeated, on the primary.
   * @returns `undefined` if the primary has to do it.
   */
  async read<T>(
    deadlineMs: number,
    work: (connection: Connection) => Promise<T>,
  ): Promise<{ readonly value: T } | undefined> {
    const { standbys, primary, counters } = this.#options;
    const place = this.#next();
    const { mark } = primary;
    const pool = standbys[place];
    if (pool === undefined || mark === undefined) {
      counters.add('standbyFallbacks');
      return undefined;
    }
    // The primary gets the rest of the time.
    const until = Date.now() + deadlineMs / 2;
    try {
      const position = await this.#position(deadlineMs / 2);
      const value = await pool.runOnce(until - Date.now(), async (connection) => {
        await waitFor(connection, position, mark);
        return work(connection);
      });
      counters.add('standbyReads');
      return { value };
    } catch (error) {
      counters.add('standbyFallbacks');
      const isUnfit = error instanceof BehindError || isConnectionLoss(error);
      if (isUnfit) this.#restsUntil[place] = performance.now() + REST_MS;
      return undefined;
    }
  }

  async end(): Promise<void> {
    await Promise.all(this.#options.standbys.map((pool) => pool.end()));
  }

  /** The index of a usable standby, in turns; -1 if there is none. */
  #next(): number {
    const count = this.#restsUntil.length;
    for (let tries = 0; tries < count; tries += 1) {
      this.#turn = (this.#turn + 1) % count;
      if ((this.#restsUntil[this.#turn] ?? 0) <= performance.now()) return this.#turn;
    }
    return -1;
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

/** @throws BehindError if the standby has not replayed that far in time, or never will. */
async function waitFor(connection: Connection, position: string, mark: string): Promise<void> {
  const until = Date.now() + WAIT_MS;
  for (;;) {
    if (await hasReached(connection, position, mark)) return;
    if (Date.now() >= until) throw new BehindError('the standby lags');
    await sleep(LOOK_MS);
  }
}
