import type { Barrier } from '../api/route.js';
import type { ServerState } from '../memory/server-state.js';
import type { Headers } from './http/exchange.js';
import type { SupervisorLink } from './supervisor-link.js';

/** How long a read of links waits for the clicks in its counters; this is no promise. */
const COUNTER_WAIT_MS = 200;
/** Beyond this many pending clicks the wait would be pointless. */
const COUNTER_MAX_CLICKS = 10_000;

/** What a read waits for before it starts; see `Barrier` in src/api/route.ts. */
export class Barriers {
  readonly #supervisor: SupervisorLink;
  readonly #maxWaitMs: number;
  readonly #state: Pick<ServerState, 'clicksInStream'>;

  /** @param maxWaitMs 0 where clicks come by a way that the server can't hurry. */
  constructor(supervisor: SupervisorLink, maxWaitMs: number, state: Pick<ServerState, 'clicksInStream'>) {
    this.#supervisor = supervisor;
    this.#maxWaitMs = maxWaitMs;
    this.#state = state;
  }

  /** @returns headers with the number of clicks that the reader will not see. */
  async wait(barrier: Barrier): Promise<Headers> {
    switch (barrier) {
      case 'none':
        return [];
      case 'clicks': {
        const waiting = await this.#supervisor.clicksIngested(this.#maxWaitMs);
        const pending = waiting + this.#state.clicksInStream;
        return pending === 0 ? [] : [['X-Clicks-Pending', String(pending)]];
      }
      case 'counters': {
        const pending = this.#supervisor.pendingClicks;
        if (pending === 0 || pending > COUNTER_MAX_CLICKS) return [];
        await this.#supervisor.clicksIngested(Math.min(COUNTER_WAIT_MS, this.#maxWaitMs));
        return [];
      }
      default:
        throw new Error(`no such barrier: ${String(barrier satisfies never)}`);
    }
  }
}
