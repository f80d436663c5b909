/**
 * Cache coherence over shared memory: which cached links are still true, for all threads at once.
 *
 * Every short code has a slot, chosen by hash, and every slot a version. Whoever commits a change
 * of a link raises the version of its slot *before* the change is answered; a cached link carries
 * the version that its slot had *before* its row was read, and is used only while the two agree.
 * So an invalidation needs no message and no acknowledgement, and one that arrives while a fill is
 * in flight wins, for the fill carries the older version. Two codes in one slot cost each other a
 * miss, never a wrong answer.
 *
 * The epoch says how long invalidations from other servers have been heard without a gap. It is
 * raised when the LISTEN connection is back after a loss; links cached in an earlier epoch are
 * suspect: to be read again before they are used, or used as they are when that can't be done.
 */
const SLOT_BITS = 18;
const SLOTS = 2 ** SLOT_BITS;
const EPOCH_CELL = SLOTS;
/** How many codes were chosen by clients: each may be another spelling of what was looked up before. */
const CHOSEN_CELL = SLOTS + 1;
const CELLS = SLOTS + 2;

/** FNV-1a over the code's UTF-16 units, folded to a slot. Every thread must agree on it. */
export function slotOf(shortCode: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < shortCode.length; index += 1) {
    hash = Math.imul(hash ^ shortCode.charCodeAt(index), 0x01000193);
  }
  return ((hash >>> SLOT_BITS) ^ hash) & (SLOTS - 1);
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
  version(slot: number): number {
    return this.#cells[slot] as number;
  }

  epoch(): number {
    return this.#cells[EPOCH_CELL] as number;
  }

  chosenCodes(): number {
    return this.#cells[CHOSEN_CELL] as number;
  }

  /** What was found, or not found, under another spelling is looked up anew from now on. */
  noteChosenCode(): void {
    Atomics.add(this.#cells, CHOSEN_CELL, 1);
  }

  /** No thread of this server serves what it cached of this code from now on. */
  invalidate(shortCode: string): void {
    Atomics.add(this.#cells, slotOf(shortCode), 1);
  }

  /** No thread of this server serves anything it has cached from now on. */
  invalidateAll(): void {
    for (let slot = 0; slot < SLOTS; slot += 1) Atomics.add(this.#cells, slot, 1);
  }

  /** Makes all that is cached suspect. */
  beginEpoch(): void {
    Atomics.add(this.#cells, EPOCH_CELL, 1);
  }
}
