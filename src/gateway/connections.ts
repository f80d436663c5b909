import type { HttpResponse } from 'uWebSockets.js';
import type { ConnectionBudget } from '../memory/connection-budget.js';
import type { ThreadCounters } from '../memory/counters.js';
import type { Logger } from '../runtime/logger.js';

/** One line covers all connections refused in this time. */
const REFUSAL_LOG_MS = 10_000;

/** A gateway's connections: as many as the server's budget allows; it closes others at once. */
export class Connections {
  readonly #budget: ConnectionBudget;
  readonly #counters: ThreadCounters;
  readonly #log: Logger;
  #open = 0;
  #refusedSinceMs = Number.NEGATIVE_INFINITY;

  constructor(budget: ConnectionBudget, counters: ThreadCounters, log: Logger) {
    this.#budget = budget;
    this.#counters = counters;
    this.#log = log;
  }

  get open(): number {
    return this.#open;
  }

  connected(response: HttpResponse): void {
    this.#count(1);
    if (this.#budget.enter()) return;
    this.#counters.add('connectionsRefused');
    response.close();
    const nowMs = performance.now();
    if (nowMs - this.#refusedSinceMs < REFUSAL_LOG_MS) return;
    this.#refusedSinceMs = nowMs;
    const { max } = this.#budget;
    this.#log.warn({ connections: max }, `connections are refused: ${max} are open, the maximum`);
  }

  disconnected(): void {
    this.#count(-1);
    this.#budget.leave();
  }

  #count(change: number): void {
    this.#open += change;
    this.#counters.set('connections', this.#open);
  }
}
