/**
 * Connections of clients over all gateways, in shared memory. There are never more than the limit of
 * descriptors leaves when journals, PostgreSQL, logs and threads have theirs: whoever comes beyond is
 * turned away at once, so that `accept` always finds a descriptor. Those that listen have a budget of their own.
 */
export class ConnectionBudget {
  readonly buffer: SharedArrayBuffer;
  readonly #cells: Int32Array;

  /** @param max At most so many connections; without a limit of descriptors, Infinity. */
  static of(max: number): ConnectionBudget {
    const budget = new ConnectionBudget(new SharedArrayBuffer(2 * Int32Array.BYTES_PER_ELEMENT));
    budget.#cells[MAX_CELL] = Math.min(max, MAX_INT32);
    return budget;
  }

  constructor(buffer: SharedArrayBuffer) {
    this.buffer = buffer;
    this.#cells = new Int32Array(buffer);
  }

  get max(): number {
    return this.#cells[MAX_CELL] ?? 0;
  }

  /** A connection has been accepted. @returns whether it may stay; if not, it still has to `leave`. */
  enter(): boolean {
    return Atomics.add(this.#cells, OPEN_CELL, 1) < this.max;
  }

  get open(): number {
    return Atomics.load(this.#cells, OPEN_CELL);
  }

  leave(): void {
    Atomics.sub(this.#cells, OPEN_CELL, 1);
  }
}

const OPEN_CELL = 0;
const MAX_CELL = 1;
const MAX_INT32 = 2 ** 31 - 1;
