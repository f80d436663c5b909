import { MinuteTable } from './minute-table.js';

/** What became of a request that was counted. */
export interface Quota {
  readonly isExceeded: boolean;
  /** Requests that are left in this minute. */
  readonly remaining: number;
  /** Seconds until there are all of them again. */
  readonly resetSeconds: number;
}

/** Requests a minute, by whoever asks, of all gateways. Those that are refused do not count. */
export class RequestRates {
  readonly perMinute: number;
  readonly #table: MinuteTable;

  /**
   * @param perMinute 1 to `VALUE_MAX` of the table.
   * @param buffer Of `MinuteTable.allocate`.
   */
  constructor(perMinute: number, buffer: SharedArrayBuffer) {
    this.perMinute = perMinute;
    this.#table = new MinuteTable(buffer);
  }

  /** @param nowMs Since 1970. */
  count(key: string, nowMs: number): Quota {
    let quota: Quota = { isExceeded: true, remaining: 0, resetSeconds: 0 };
    this.#table.change(key, nowMs, ({ value, secondsLeft }) => {
      const isExceeded = value >= this.perMinute;
      const counted = isExceeded ? value : value + 1;
      quota = { isExceeded, remaining: Math.max(0, this.perMinute - counted), resetSeconds: secondsLeft };
      return counted;
    });
    return quota;
  }
}
