import type { Exchange } from './exchange.js';

/**
 * What comes of an upload while it is not yet known whether it is allowed. The sender is paused: no more
 * than one read of the socket has to be kept.
 */
export class EarlyUpload {
  readonly #chunks: ArrayBuffer[] = [];
  #isComplete = false;

  /** To be made in the request's handler, before anything is awaited. */
  constructor(exchange: Exchange) {
    exchange.res.onData((chunk, isLast) => {
      // The chunk's memory is gone when this handler returns.
      this.#chunks.push(chunk.slice(0));
      this.#isComplete ||= isLast;
    });
    exchange.pause();
  }

  get isComplete(): boolean {
    return this.#isComplete;
  }

  /** Hands on what has come. */
  passTo(take: (chunk: ArrayBuffer, isLast: boolean) => void): void {
    for (const [index, chunk] of this.#chunks.entries()) {
      take(chunk, this.#isComplete && index === this.#chunks.length - 1);
    }
  }
}
