/** What the supervisor knows of the database; calls are refused at once unless it is `UP`. */
export const Database = { STARTING: 0, UP: 1, DOWN: 2 } as const;
export type DatabaseState = (typeof Database)[keyof typeof Database];

const DATABASE_CELL = 0;
const COHERENT_CELL = 1;
/** How far the database's clock is ahead of ours, in milliseconds. */
const CLOCK_OFFSET_CELL = 2;
/** Clicks of this server that Kafka has and PostgreSQL is not known to have. */
const IN_STREAM_CELL = 3;
const CELLS = 4;

/** A few values in shared memory that only the supervisor writes and every thread reads. */
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

  /** Whether invalidations from other servers are heard. */
  get coherent(): boolean {
    return Atomics.load(this.#cells, COHERENT_CELL) === 1;
  }

  set coherent(value: boolean) {
    Atomics.store(this.#cells, COHERENT_CELL, value ? 1 : 0);
  }

  /** Clicks of this server that are in Kafka and not known to be in the database, which gets them from there. */
  get clicksInStream(): number {
    return Atomics.load(this.#cells, IN_STREAM_CELL);
  }

  set clicksInStream(clicks: number) {
    Atomics.store(this.#cells, IN_STREAM_CELL, Math.min(0x7fffffff, clicks));
  }

  /** Milliseconds since 1970 by the database's clock, by which links begin and expire on every server. */
  get databaseNowMs(): number {
    return Date.now() + Atomics.load(this.#cells, CLOCK_OFFSET_CELL);
  }

  /** @param offsetMs How far the database's clock is ahead of ours; beyond 24 days it counts as 24 days. */
  setDatabaseClockOffset(offsetMs: number): void {
    const limit = 0x7fffffff;
    Atomics.store(this.#cells, CLOCK_OFFSET_CELL, Math.max(-limit, Math.min(limit, Math.round(offsetMs))));
  }
}
