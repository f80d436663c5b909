import type { Exchange } from './exchange.js';

/**
 * The bytes of an upload that arrive before it is allowed. The sender is paused, which limits them to one
 * read of the socket.
 */
export class EarlyUpload {
  readonly #chunks: ArrayBuffer[] = [];
  #isComplete = false;

  /** Make it in the request's handler, before anything is awaited. */
  constructor(exchange: Exchange) {
    exchange.res.onData((chunk, isLast) => {
      // The chunk's memory is invalid once this handler returns.
      this.#chunks.push(chunk.slice(0));
      this.#isComplete ||= isLast;
    });
    exchange.pause();
  }

  get isComplete(): boolean {
    return this.#isComplete;
  }

  /** Passes on what has arrived. */
  passTo(take: (chunk: ArrayBuffer, isLast: boolean) => void): void {
    for (const [index, chunk] of this.#chunks.entries()) {
      take(chunk, this.#isComplete && index === this.#chunks.length - 1);
    }
  }
}
