import type { ToTransfer } from '../../messages/transfers.js';
import type { Peer } from './peer.js';
import type { Spool } from './spool.js';

/** A reader that has not read for this long is slow. */
const SLICE_MS = 100;

/**
 * A list's way to its reader: at the reader's pace, by credits, as long as that is fast enough; for a reader
 * that keeps the database or others waiting, the rest goes to a spool.
 */
export class Outlet {
  readonly #peer: Peer;
  readonly #spool: Spool;
  readonly #maxWaitMs: number;
  #credits = 0;
  #waitedMs = 0;
  #wake: () => void = () => undefined;

  /** @param maxWaitMs How long the database waits for the reader in total. */
  constructor(peer: Peer, spool: Spool, maxWaitMs: number) {
    this.#peer = peer;
    this.#maxWaitMs = maxWaitMs;
    this.#spool = spool;
    peer.port.on('message', (message: ToTransfer) => {
      if (message.kind === 'credit') this.#credits += message.amount;
      this.#wake();
    });
  }

  /**
   * @param isPressed Whether others wait for this list's connection.
   * @throws the peer's reason if it is ended.
   */
  async put(bytes: Uint8Array<ArrayBuffer>, isPressed: () => boolean): Promise<void> {
    this.#peer.signal.throwIfAborted();
    if (!this.#spool.hasUnread && (await this.#keepsUp(isPressed))) {
      this.#send(bytes);
      return;
    }
    while (!(await this.#spool.write(bytes))) {
      await this.#credit();
      const next = await this.#spool.read();
      this.#send(next ?? bytes);
      if (next === undefined) return;
    }
    while (this.#credits > 0 && (await this.#sendNext()));
  }

  /** Sends the rest. */
  async drain(): Promise<void> {
    while (this.#spool.hasUnread) {
      await this.#credit();
      await this.#sendNext();
    }
  }

  /** Waits for a credit while waiting is acceptable. */
  async #keepsUp(isPressed: () => boolean): Promise<boolean> {
    let isSlow = false;
    while (this.#credits === 0) {
      if (this.#waitedMs >= this.#maxWaitMs || (isSlow && isPressed())) return false;
      const startMs = performance.now();
      await this.#wait(SLICE_MS);
      this.#waitedMs += performance.now() - startMs;
      isSlow = true;
    }
    return true;
  }

  async #credit(): Promise<void> {
    while (this.#credits === 0) await this.#wait();
  }

  #wait(milliseconds?: number): Promise<void> {
    return this.#peer.wait((wake) => {
      this.#wake = wake;
    }, milliseconds);
  }

  async #sendNext(): Promise<boolean> {
    const next = await this.#spool.read();
    if (next === undefined) return false;
    this.#send(next);
    return true;
  }

  /** To be called with a credit. */
  #send({ buffer, byteLength }: Uint8Array<ArrayBuffer>): void {
    this.#credits -= 1;
    this.#peer.pace.moved(byteLength);
    this.#peer.send({ kind: 'chunk', bytes: buffer }, [buffer]);
  }
}
