import type { ThreadCounters } from '../memory/counters.js';
import { HeldChunks } from './held-chunks.js';
import type { JournalAccount } from './journal-account.js';
import type { Chunk } from './written-segments.js';

export interface RefusedWritesOptions {
  readonly account: JournalAccount;
  readonly counters: ThreadCounters;
  /** Bytes that may wait in memory. */
  readonly bufferBytes: number;
  /** Bytes that may wait on the disk. */
  readonly maxBytes: number;
  /** @throws if the disk refuses. */
  readonly write: (chunk: Chunk) => void;
  /** Called when the disk or a bound begins to refuse clicks, and without an error when that ends. */
  readonly onTrouble: (error: Error | undefined) => void;
  /** Called when everything is written and there is room. */
  readonly onResumed: () => void;
}

const RETRY_MS = 250;

/** Handles a disk that refuses: chunks wait in memory, in order, and are tried again. */
export class RefusedWrites {
  readonly #options: RefusedWritesOptions;
  readonly #held: HeldChunks;
  #timer: NodeJS.Timeout | undefined;
  /** Whether a bound is reached, and new clicks are lost. */
  isRefusing = false;

  constructor(options: RefusedWritesOptions) {
    this.#options = options;
    this.#held = new HeldChunks(options.counters);
  }

  /** Whether nothing waits in memory. */
  get isEmpty(): boolean {
    return this.#held.isEmpty;
  }

  get isRetrying(): boolean {
    return this.#timer !== undefined;
  }

  /** Keeps a chunk that the disk refused. */
  hold(chunk: Chunk): void {
    this.#held.add(chunk);
    if (this.#held.bytes < this.#options.bufferBytes) return;
    this.refuse(new Error('the disk has refused the click journal for too long'));
  }

  /** A bound is reached: clicks are lost until there is room. */
  refuse(error: Error): void {
    if (this.isRefusing) return;
    this.isRefusing = true;
    this.#options.onTrouble(error);
  }

  beginRetrying(): void {
    this.#timer ??= setInterval(() => this.#retry(), RETRY_MS).unref();
  }

  /** Tries once more. Clicks that the disk still refuses are lost, and counted. */
  close(): void {
    clearInterval(this.#timer);
    try {
      this.#writeAll();
    } catch {
      this.#options.account.lose(this.#held.discard());
    }
  }

  #retry(): void {
    const { account, counters, maxBytes, onTrouble, onResumed } = this.#options;
    try {
      this.#writeAll();
    } catch {
      counters.add('journalWriteErrors');
      return;
    }
    if (account.isFull(maxBytes)) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.isRefusing = false;
    onTrouble(undefined);
    onResumed();
  }

  #writeAll(): void {
    for (let chunk = this.#held.first; chunk !== undefined; chunk = this.#held.first) {
      this.#options.write(chunk);
      this.#held.shift();
    }
  }
}
