import { MinuteTable } from './minute-table.js';

/** A try has to wait for those under way, because any of them may be the last wrong one. */
export type Admission = 'go' | 'wait' | { readonly retrySeconds: number };

/** Half of a value's bits count wrong tries, half tries under way. */
const HALF_BITS = 10;
const HALF = 2 ** HALF_BITS;

/**
 * Wrong tries at a secret for each client, over all gateways: in shared memory, which makes the limit the
 * server's. A try begins before the secret is compared, and no more begin than may be wrong: parallel tries
 * can't bypass the limit. The open tries of a gateway that ended are forgotten with their minute.
 */
export class WrongTries {
  readonly #table: MinuteTable;
  readonly #perMinute: number;

  /** @param buffer Of `MinuteTable.allocate`. */
  constructor(perMinute: number, buffer: SharedArrayBuffer) {
    if (perMinute >= HALF) throw new Error(`${perMinute} wrong tries a minute are more than can be counted`);
    this.#perMinute = perMinute;
    this.#table = new MinuteTable(buffer);
  }

  /** @param nowMs Since 1970. */
  begin(key: string, nowMs: number): Admission {
    let admission: Admission = 'go';
    this.#table.change(key, nowMs, ({ value, secondsLeft }) => {
      const wrong = value >> HALF_BITS;
      const underWay = value % HALF;
      if (wrong >= this.#perMinute) admission = { retrySeconds: secondsLeft };
      else if (wrong + underWay >= this.#perMinute) admission = 'wait';
      else admission = 'go';
      return admission === 'go' ? value + 1 : value;
    });
    return admission;
  }

  /** Ends an admitted try. */
  end(key: string, nowMs: number, isWrong: boolean): void {
    this.#table.change(key, nowMs, ({ value }) => {
      const wrong = Math.min(HALF - 1, (value >> HALF_BITS) + (isWrong ? 1 : 0));
      return (wrong << HALF_BITS) | Math.max(0, (value % HALF) - 1);
    });
  }
}
