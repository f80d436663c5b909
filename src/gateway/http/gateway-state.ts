import type { ThreadCounters } from '../../memory/counters.js';
import type { ClientAddresses } from './client-address.js';
import type { Cors } from './cors.js';
import type { RequestLog } from './request-log.js';

/** What all exchanges of a gateway share. */
export interface GatewayState {
  readonly counters: ThreadCounters;
  readonly requestLog: RequestLog;
  readonly addresses: ClientAddresses;
  /** Present if pages of other origins may use the API. */
  readonly cors: Cors | undefined;
  /** Open exchanges; a drain waits for them. */
  open: number;
  /** Set when the server stops: connections then close after their answer. */
  isDraining: boolean;
  /** Bytes answered since the last check of whether a connection reads. */
  unprovedBytes: number;
}
