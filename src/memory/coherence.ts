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
 *
 * Proofs say which links may be read from a standby, which lags and hears nothing. The supervisor numbers them, and
 * writes each number into the primary's database. A change notes the latest number after it was committed and before
 * its stripe's version rises: the proof with the next number is therefore committed after the change, and a snapshot
 * that has this proof, on whatever standby, has the change too.
 */
const STRIPE_BITS = 18;
const STRIPES = 2 ** STRIPE_BITS;
const EPOCH_CELL = STRIPES;
/** The number of codes chosen by clients: each may be another spelling of an earlier look-up. */
const CHOSEN_CELL = STRIPES + 1;
/** The latest proof that was begun. */
const PROOF_CELL = STRIPES + 2;
/** The latest proof at the last change of any link, and of all links. */
const CHANGED_CELL = STRIPES + 3;
const ALL_CHANGED_CELL = STRIPES + 4;
/** From here on, the same for each stripe. */
const CHANGES = STRIPES + 5;
const CELLS = CHANGES + STRIPES;

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

  /** From now on no thread of this server serves its cached result for this code. Call it after the commit. */
  invalidate(shortCode: string): void {
    const stripe = stripeOf(shortCode);
    this.#noteChange(CHANGES + stripe);
    Atomics.add(this.#cells, stripe, 1);
  }

  /** From now on no thread of this server serves anything that it has cached. */
  invalidateAll(): void {
    this.#noteChange(ALL_CHANGED_CELL);
    for (let stripe = 0; stripe < STRIPES; stripe += 1) Atomics.add(this.#cells, stripe, 1);
  }

  /** Makes everything cached suspect. */
  beginEpoch(): void {
    Atomics.add(this.#cells, EPOCH_CELL, 1);
  }

  /** @returns the number of the next proof, which is yet to be committed. */
  beginProof(): number {
    const proof = Atomics.add(this.#cells, PROOF_CELL, 1) + 1;
    if (proof <= 0) throw new Error('there are no more numbers for proofs');
    return proof;
  }

  /** Whether a snapshot with this proof has each change of the code's link that this server knows of. */
  isProven(shortCode: string, proof: number): boolean {
    const changed = Atomics.load(this.#cells, CHANGES + stripeOf(shortCode));
    return proof > changed && proof > Atomics.load(this.#cells, ALL_CHANGED_CELL);
  }

  /** Whether a snapshot with this proof may lack a change that this server knows of. */
  isOvertaken(proof: number): boolean {
    return proof <= Atomics.load(this.#cells, CHANGED_CELL);
  }

  #noteChange(cell: number): void {
    const proof = Atomics.load(this.#cells, PROOF_CELL);
    this.#raise(cell, proof);
    this.#raise(CHANGED_CELL, proof);
  }

  /** Threads note changes at the same time: the highest number stays. */
  #raise(cell: number, value: number): void {
    for (let before = Atomics.load(this.#cells, cell); before < value; ) {
      const found = Atomics.compareExchange(this.#cells, cell, before, value);
      if (found === before) return;
      before = found;
    }
  }
}
