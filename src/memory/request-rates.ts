import { MinuteTable } from './minute-table.js';

/** The result for a counted request. */
export interface Quota {
  readonly isExceeded: boolean;
  /** Requests left in this minute. */
  readonly remaining: number;
  /** Seconds until all of them are available again. */
  readonly resetSeconds: number;
}

/** Requests a minute for each client, over all gateways. Refused ones do not count. */
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
