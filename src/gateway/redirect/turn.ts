import { performance } from 'node:perf_hooks';
import { httpSeries } from '../../api/http-series.js';
import { Scalar, type ThreadCounters } from '../../memory/counters.js';
import type { ServerState } from '../../memory/server-state.js';
import { TABLE_EPOCH_SECONDS } from './freshness.js';
import { redirectStatuses } from './link-options.js';

const HITS = Scalar.redirectHits;
const hitSeries = redirectStatuses.map((status) => httpSeries.indexOf('GET', '/:short_code', status));

/**
 * A turn of the gateway's event loop, as its redirects see it: the clock is read once, and all hits enter the
 * histogram together, each with the turn's mean time. They are answered within microseconds of each other,
 * and reading the clock for each would cost a tenth of the answer.
 */
export class Turn {
  readonly #counters: ThreadCounters;
  readonly #cells: Float64Array;
  readonly #state: ServerState;
  /** Hits by the index of their status in `redirectStatuses`. */
  readonly #hits = new Uint32Array(redirectStatuses.length);
  readonly #onEnd: () => void;
  readonly #end = (): void => this.end();
  #isOpen = false;
  #startMs = 0;
  /** Seconds since TABLE_EPOCH_SECONDS by the database's clock, read when the turn began. */
  nowSeconds = 0;

  /** @param onEnd Runs when the turn is over. */
  constructor(counters: ThreadCounters, state: ServerState, onEnd: () => void) {
    this.#counters = counters;
    this.#cells = counters.cells;
    this.#state = state;
    this.#onEnd = onEnd;
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  begin(): void {
    this.#isOpen = true;
    this.#startMs = performance.now();
    this.nowSeconds = Math.floor(this.#state.databaseNowMs / 1000) - TABLE_EPOCH_SECONDS;
    setImmediate(this.#end);
  }

  /** Counts a hit that is answered in its handler. */
  countHit(statusIndex: number): void {
    this.#hits[statusIndex] = (this.#hits[statusIndex] as number) + 1;
  }

  end(): void {
    this.#isOpen = false;
    const hits = this.#hits;
    let sum = 0;
    for (let index = 0; index < hits.length; index += 1) sum += hits[index] as number;
    if (sum > 0) this.#observe(sum);
    this.#onEnd();
  }

  #observe(sum: number): void {
    const hits = this.#hits;
    const seconds = (performance.now() - this.#startMs) / 1000 / sum;
    this.#cells[HITS] = (this.#cells[HITS] as number) + sum;
    for (let index = 0; index < hits.length; index += 1) {
      const count = hits[index] as number;
      if (count === 0) continue;
      this.#counters.observe(hitSeries[index] as number, seconds, count);
      hits[index] = 0;
    }
  }
}
