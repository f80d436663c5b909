import { RequestRates } from '../../memory/request-rates.js';
import { limitKey } from './client-address.js';
import type { Exchange, Headers } from './exchange.js';

/** Limits requests to the API a minute, by key or else by client address, over all gateways of the server. */
export class RateLimit {
  readonly #rates: RequestRates;
  readonly #policy: string;

  constructor(perMinute: number, buffer: SharedArrayBuffer) {
    this.#rates = new RequestRates(perMinute, buffer);
    this.#policy = `"default";q=${perMinute};w=60`;
  }

  /**
   * Counts a request, and makes its answer say what is left.
   * @param keyId Of a valid key; empty without one.
   * @returns false if it was one too many and has been answered.
   */
  admit(exchange: Exchange, keyId: string): boolean {
    const client = keyId === '' ? `address ${limitKey(exchange.clientAddress)}` : `key ${keyId}`;
    const { isExceeded, remaining, resetSeconds } = this.#rates.count(client, Date.now());
    exchange.addHeaders([
      ['RateLimit', `"default";r=${remaining};t=${resetSeconds}`],
      ['RateLimit-Policy', this.#policy],
    ]);
    if (!isExceeded) return true;
    const retry: Headers = [['Retry-After', String(resetSeconds)]];
    exchange.fail('TOO_MANY_REQUESTS', undefined, retry);
    return false;
  }
}
