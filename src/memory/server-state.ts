/** What the supervisor knows of the database; calls are refused at once unless it is `UP`. */
export const Database = { STARTING: 0, UP: 1, DOWN: 2 } as const;
export type DatabaseState = (typeof Database)[keyof typeof Database];

const DATABASE_CELL = 0;
const COHERENT_CELL = 1;
const CELLS = 2;

/** A few facts that the supervisor alone writes and every thread reads, in shared memory. */
export class ServerState {
  readonly buffer: SharedArrayBuffer;
  readonly #cells: Int32Array;

  constructor(buffer: SharedArrayBuffer = new SharedArrayBuffer(CELLS * Int32Array.BYTES_PER_ELEMENT)) {
    this.buffer = buffer;
    this.#cells = new Int32Array(buffer);
  }

  get database(): DatabaseState {
    return Atomics.load(this.#cells, DATABASE_CELL) as DatabaseState;
  }

  set database(state: DatabaseState) {
    Atomics.store(this.#cells, DATABASE_CELL, state);
  }

  /** Whether invalidations from other servers are being heard. */
  get coherent(): boolean {
    return Atomics.load(this.#cells, COHERENT_CELL) === 1;
  }

  set coherent(value: boolean) {
    Atomics.store(this.#cells, COHERENT_CELL, value ? 1 : 0);
  }
}
