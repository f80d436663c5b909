import type { ToTransfer } from '../../messages/transfers.js';
import type { Peer } from './peer.js';

/**
 * A client's upload, as it arrives. A block earns its credit when it has been consumed and the next is
 * requested.
 */
export class Arrivals {
  readonly #peer: Peer;
  readonly #blocks: Buffer<ArrayBuffer>[] = [];
  #isComplete = false;
  #wake: () => void = () => undefined;

  constructor(peer: Peer) {
    this.#peer = peer;
    peer.port.on('message', (message: ToTransfer) => {
      if (message.kind === 'chunk') this.#blocks.push(Buffer.from(message.bytes));
      if (message.kind === 'end') this.#isComplete = true;
      this.#wake();
    });
  }

  /** @throws the peer's reason if it ends before everything has arrived. */
  async *blocks(): AsyncGenerator<Buffer<ArrayBuffer>> {
    const { signal, pace } = this.#peer;
    for (;;) {
      const block = this.#blocks.shift();
      if (block === undefined && this.#isComplete) return;
      signal.throwIfAborted();
      if (block === undefined) {
        await this.#peer.wait((wake) => {
          this.#wake = wake;
        });
      } else {
        pace.moved(block.length);
        yield block;
        this.#peer.send({ kind: 'credit', amount: block.length });
      }
    }
  }
}
