/**
 * Client connections over all gateways, in shared memory. The limit of descriptors, less those of journals,
 * PostgreSQL, logs and threads, bounds them. Further connections are closed at once, which leaves `accept` a
 * descriptor at all times. Listeners have a separate budget.
 */
export class ConnectionBudget {
  readonly buffer: SharedArrayBuffer;
  readonly #cells: Int32Array;

  /** @param max The maximum number of connections; without a limit of descriptors, Infinity. */
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
