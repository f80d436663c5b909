import type { ThreadCounters } from '../memory/counters.js';
import type { Chunk } from './written-segments.js';

/** What the disk has not taken yet, in the order in which it is to be written. */
export class HeldChunks {
  readonly #counters: ThreadCounters;
  readonly #chunks: Chunk[] = [];
  #bytes = 0;

  constructor(counters: ThreadCounters) {
    this.#counters = counters;
  }

  get isEmpty(): boolean {
    return this.#chunks.length === 0;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get first(): Chunk | undefined {
    return this.#chunks[0];
  }

  /** Keeps a copy: its memory is about to be used again. */
  add(chunk: Chunk): void {
    this.#chunks.push({ ...chunk, bytes: Buffer.from(chunk.bytes) });
    this.#count(chunk.bytes.length);
  }

  shift(): void {
    const chunk = this.#chunks.shift();
    if (chunk !== undefined) this.#count(-chunk.bytes.length);
  }

  /** Gives all of it up. @returns how many clicks that are. */
  discard(): number {
    const clicks = this.#chunks.reduce((sum, chunk) => sum + chunk.clicks, 0);
    this.#chunks.length = 0;
    this.#count(-this.#bytes);
    return clicks;
  }

  #count(bytes: number): void {
    this.#bytes += bytes;
    this.#counters.set('journalBufferBytes', this.#bytes);
  }
}
