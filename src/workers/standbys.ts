import type { Primary } from '../memory/primary.js';
import { isConnectionLoss, NotStandbyError } from '../postgres/failures.js';
import type { Pool } from '../postgres/pool.js';
import { Backoff } from '../runtime/backoff.js';
import type { Primacy } from '../store/standby-position.js';

/** How long to avoid one that did not answer, or lagged: longer each time, up to this. */
const REST = { firstMs: 1000, maxMs: 5000 };

/** A standby lags, or follows another primary than ours. */
class BehindError extends Error {
  override readonly name = 'BehindError';
}

/** @throws if what a standby says of itself is no reason to use it. */
export function requireFit<State>(state: State): Exclude<State, 'behind' | 'promoted'> {
  if (state === 'behind') throw new BehindError('the standby lags, or follows another primary');
  if (state === 'promoted') throw new NotStandbyError('it is no standby any more');
  return state as Exclude<State, 'behind' | 'promoted'>;
}

/** A hot standby. */
export class Standby {
  readonly pool: Pool;
  readonly #rests = new Backoff(REST);
  /** By performance.now(). */
  #restsUntilMs = 0;

  constructor(pool: Pool) {
    this.pool = pool;
  }

  get isResting(): boolean {
    return performance.now() < this.#restsUntilMs;
  }

  hasAnswered(): void {
    this.#rests.reset();
  }

  /** Avoids it for a while if the error says that it is not fit to be read from. */
  hasFailed(error: unknown): void {
    if (this.isResting || !(error instanceof BehindError || isConnectionLoss(error))) return;
    this.#restsUntilMs = performance.now() + this.#rests.next();
  }
}

/** The hot standbys that a thread reads from, in turns. */
export class Standbys {
  readonly #primary: Primary;
  /** The connections to all of them. */
  readonly connections: number;
  readonly #all: readonly Standby[];
  #turn = 0;

  constructor(pools: readonly Pool[], primary: Primary) {
    this.#all = pools.map((pool) => new Standby(pool));
    this.#primary = primary;
    this.connections = pools.reduce((sum, { max }) => sum + max, 0);
  }

  /** Whether there is one that may be read from. */
  get isAnyFit(): boolean {
    return this.#primary.mark !== undefined && this.#all.some(({ isResting }) => !isResting);
  }

  /** One that may be read from, if there is any, and what it must show. */
  next(): { readonly standby: Standby; readonly of: Primacy } | undefined {
    const { timeline } = this.#primary.read();
    const { mark } = this.#primary;
    if (mark === undefined) return undefined;
    for (let tries = 0; tries < this.#all.length; tries += 1) {
      this.#turn = (this.#turn + 1) % this.#all.length;
      const standby = this.#all[this.#turn];
      if (standby !== undefined && !standby.isResting) return { standby, of: { mark, timeline } };
    }
    return undefined;
  }
}
