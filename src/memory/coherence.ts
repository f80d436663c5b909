/**
 * Cache coherence over shared memory: which cached links are still true, for all threads at once.
 *
 * Every short code has a stripe, chosen by hash, and every stripe a version. A thread that commits a change to a
 * link raises the version of its stripe *before* the change is answered; a cached link carries the version that
 * its stripe had *before* its row was read, and is used only while the two agree. An invalidation therefore
 * needs no message and no acknowledgement, and one that arrives during a fill wins, because the fill carries
 * the older version. Two codes in one stripe cost each other a miss, never a wrong answer.
 *
 * The epoch marks a period in which invalidations from other servers were heard without a gap. It rises when
 * the LISTEN connection returns after a loss; links cached in an earlier epoch are suspect: read again before
 * use, or used as they are if that is impossible.
 */
const STRIPE_BITS = 18;
const STRIPES = 2 ** STRIPE_BITS;
const EPOCH_CELL = STRIPES;
/** The number of codes chosen by clients: each may be another spelling of an earlier look-up. */
const CHOSEN_CELL = STRIPES + 1;
const CELLS = STRIPES + 2;

/** FNV-1a over the code's UTF-16 units, folded to a stripe. Every thread must agree on it. */
export function stripeOf(shortCode: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < shortCode.length; index += 1) {
    hash = Math.imul(hash ^ shortCode.charCodeAt(index), 0x01000193);
  }
  return ((hash >>> STRIPE_BITS) ^ hash) & (STRIPES - 1);
}

export class Coherence {
  readonly buffer: SharedArrayBuffer;
  readonly #cells: Int32Array;

  /** Without a buffer a new table is made; every thread of a server shares one buffer. */
  constructor(buffer: SharedArrayBuffer = new SharedArrayBuffer(CELLS * Int32Array.BYTES_PER_ELEMENT)) {
    this.buffer = buffer;
    this.#cells = new Int32Array(buffer);
  }

  /**
   * Read without Atomics, which would be two calls a redirect. An aligned 32-bit read is whole, and
   * what another thread wrote before an answer was seen is there by the time the next request is.
   */
  version(stripe: number): number {
    return this.#cells[stripe] as number;
  }

  epoch(): number {
    return this.#cells[EPOCH_CELL] as number;
  }

  chosenCodes(): number {
    return this.#cells[CHOSEN_CELL] as number;
  }

  /** From now on, results found under another spelling are looked up anew. */
  noteChosenCode(): void {
    Atomics.add(this.#cells, CHOSEN_CELL, 1);
  }

  /** From now on no thread of this server serves its cached result for this code. */
  invalidate(shortCode: string): void {
    Atomics.add(this.#cells, stripeOf(shortCode), 1);
  }

  /** From now on no thread of this server serves anything that it has cached. */
  invalidateAll(): void {
    for (let stripe = 0; stripe < STRIPES; stripe += 1) Atomics.add(this.#cells, stripe, 1);
  }

  /** Makes everything cached suspect. */
  beginEpoch(): void {
    Atomics.add(this.#cells, EPOCH_CELL, 1);
  }
}
