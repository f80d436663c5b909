import type { ThreadCounters } from '../memory/counters.js';
import type { Chunk } from './written-segments.js';

/** Chunks that the disk has refused so far, in the order in which to write them. */
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

  /** Keeps a copy, because its memory will be reused. */
  add(chunk: Chunk): void {
    this.#chunks.push({ ...chunk, bytes: Buffer.from(chunk.bytes) });
    this.#count(chunk.bytes.length);
  }

  shift(): void {
    const chunk = this.#chunks.shift();
    if (chunk !== undefined) this.#count(-chunk.bytes.length);
  }

  /** Gives everything up. @returns the number of lost clicks. */
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
