import type { ConnectionBudget } from '../memory/connection-budget.js';
import type { ThreadCounters } from '../memory/counters.js';
import type { Exchange, Headers } from './http/exchange.js';

export interface LiveListenersOptions {
  /** The number of listeners, over all gateways. */
  readonly budget: ConnectionBudget;
  readonly counters: Pick<ThreadCounters, 'add' | 'set'>;
  /** How long a message may wait for room in the system's buffer. */
  readonly stallMs: number;
}

interface Listener {
  readonly exchange: Exchange;
  /** Runs while a message waits for room. */
  stall: NodeJS.Timeout | undefined;
}

const STREAM_TYPE = 'text/event-stream';
const headers: Headers = [
  ['Cache-Control', 'no-store'],
  // For proxies that buffer, such as Nginx.
  ['X-Accel-Buffering', 'no'],
];
const encoder = new TextEncoder();
/** A comment, not an event: it shows whether everything written before has been sent. */
const COMMENT = encoder.encode(':\n\n').buffer as ArrayBuffer;

/**
 * The listeners of one gateway, and server-sent events for them. For a slow listener at most one message is
 * held; it misses later ones, and is dropped if that one is not sent within `stallMs`.
 */
export class LiveListeners {
  readonly #options: LiveListenersOptions;
  readonly #listeners = new Set<Listener>();
  #isClosed = false;

  constructor(options: LiveListenersOptions) {
    this.#options = options;
  }

  add(exchange: Exchange): void {
    if (exchange.isOver) return;
    if (this.#isClosed) {
      exchange.fail('UNAVAILABLE');
      return;
    }
    const { budget } = this.#options;
    if (!budget.enter()) {
      budget.leave();
      exchange.fail('TOO_MANY_LISTENERS');
      return;
    }
    const listener: Listener = { exchange, stall: undefined };
    this.#listeners.add(listener);
    exchange.onAborted(() => this.#left(listener));
    exchange.res.onWritable(() => {
      this.#retry(listener);
      return true;
    });
    exchange.startStream(headers, STREAM_TYPE);
    // A HEAD is answered now.
    if (exchange.isOver) this.#left(listener);
    else this.#count();
  }

  /** @param json One line. */
  send(json: string): void {
    if (this.#listeners.size === 0) return;
    const message = encoder.encode(`data: ${json}\n\n`).buffer as ArrayBuffer;
    for (const listener of this.#listeners) {
      if (listener.stall === undefined && !listener.exchange.write(message)) this.#stalled(listener);
    }
  }

  /** Ends all of them, for good. */
  close(): void {
    this.#isClosed = true;
    for (const listener of [...this.#listeners]) {
      listener.exchange.endStream();
      this.#left(listener);
    }
  }

  #stalled(listener: Listener): void {
    const { stallMs, counters } = this.#options;
    listener.stall = setTimeout(() => {
      counters.add('liveListenersDropped');
      listener.exchange.breakOff();
    }, stallMs);
  }

  /** There is room for waiting data. */
  #retry(listener: Listener): void {
    if (listener.stall === undefined || !listener.exchange.write(COMMENT)) return;
    clearTimeout(listener.stall);
    listener.stall = undefined;
  }

  #left(listener: Listener): void {
    if (!this.#listeners.delete(listener)) return;
    clearTimeout(listener.stall);
    this.#options.budget.leave();
    this.#count();
  }

  #count(): void {
    this.#options.counters.set('liveListeners', this.#listeners.size);
  }
}
