/**
 * Counters and gauges of every thread, in shared memory: the hot path pays a typed-array increment, where a
 * labelled prom-client counter would cost a hundred times that. Each thread claims a slot and is the only one
 * to write it; the supervisor adds the slots up on request. A slot's counters outlive its thread: a total
 * never falls when a thread is replaced. The metric catalogue defines the cells.
 */
import { type ThreadMetricName, threadMetrics } from './metric-catalogue.js';

export type ScalarName = ThreadMetricName;

const scalarNames = Object.keys(threadMetrics) as ScalarName[];

/** Gauges show the present state: the next thread of a slot resets them. */
const gaugeNames = scalarNames.filter((name) => threadMetrics[name].kind === 'gauge');

/** The index of each scalar in a thread's cells. */
export const Scalar = Object.freeze(
  Object.fromEntries(scalarNames.map((name, index) => [name, index])),
) as Readonly<Record<ScalarName, number>>;

/** Upper bounds of the latency buckets in seconds; a redirect hit takes a few microseconds. */
export const latencyBuckets = [
  0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25,
  0.5, 1, 2.5,
] as const;

/** Cells of one series: a bucket each, one for +Inf, and the sum of seconds. */
const SERIES_CELLS = latencyBuckets.length + 2;
const SUM_CELL = latencyBuckets.length + 1;
const SERIES_START = scalarNames.length;
/**
 * Enough for the most gateways and workers that the settings allow, and some that ended without releasing
 * theirs.
 */
const SLOTS = 128;

const FREE = 0;
const CLAIMED = 1;
const RELEASED = 2;

/** What a slot's thread does. */
export const threadKinds = ['supervisor', 'gateway', 'interactive', 'transfer', 'ingest', 'stream'] as const;
export type ThreadKind = (typeof threadKinds)[number];

const HEADER_CELLS = 3;
const STATE_CELL = 0;
const KIND_CELL = 1;
const ORDINAL_CELL = 2;
const HEADER_BYTES = SLOTS * HEADER_CELLS * Int32Array.BYTES_PER_ELEMENT;

function allocate(seriesCount: number): SharedArrayBuffer {
  const slotCells = SERIES_START + seriesCount * SERIES_CELLS;
  return new SharedArrayBuffer(HEADER_BYTES + SLOTS * slotCells * Float64Array.BYTES_PER_ELEMENT);
}

function bucketOf(seconds: number): number {
  let bucket = 0;
  while (bucket < latencyBuckets.length && seconds > (latencyBuckets[bucket] ?? 0)) bucket += 1;
  return bucket;
}

/** One thread's own cells; `cells` is open to the hot path, which increments it by `Scalar` index. */
export class ThreadCounters {
  readonly cells: Float64Array;

  constructor(cells: Float64Array) {
    this.cells = cells;
  }

  add(scalar: ScalarName, amount = 1): void {
    const index = Scalar[scalar];
    this.cells[index] = (this.cells[index] ?? 0) + amount;
  }

  set(scalar: ScalarName, value: number): void {
    this.cells[Scalar[scalar]] = value;
  }

  get(scalar: ScalarName): number {
    return this.cells[Scalar[scalar]] ?? 0;
  }

  /** Counts `count` requests of a series that took `seconds` each. */
  observe(series: number, seconds: number, count = 1): void {
    const start = SERIES_START + series * SERIES_CELLS;
    const bucket = start + bucketOf(seconds);
    this.cells[bucket] = (this.cells[bucket] ?? 0) + count;
    this.cells[start + SUM_CELL] = (this.cells[start + SUM_CELL] ?? 0) + seconds * count;
  }
}

export interface Slot {
  readonly kind: ThreadKind;
  readonly ordinal: number;
  readonly alive: boolean;
  readonly counters: ThreadCounters;
}

export interface Series {
  readonly index: number;
  /** Requests in each latency bucket, not cumulated; the last is +Inf. */
  readonly buckets: Float64Array;
  readonly count: number;
  readonly seconds: number;
}

/** All threads' counters. */
export class Counters {
  readonly buffer: SharedArrayBuffer;
  readonly #header: Int32Array;
  readonly #slotCells: number;

  /** @param memory Another thread's memory, or the number of request series to count. */
  constructor(memory: SharedArrayBuffer | number = 0) {
    this.buffer = typeof memory === 'number' ? allocate(memory) : memory;
    this.#slotCells = (this.buffer.byteLength - HEADER_BYTES) / (SLOTS * Float64Array.BYTES_PER_ELEMENT);
    this.#header = new Int32Array(this.buffer, 0, SLOTS * HEADER_CELLS);
  }

  /**
   * Claims a slot for the calling thread. A slot released by a thread of the same kind is taken
   * over with its totals; `release` is to be called when the thread ends.
   */
  claim(kind: ThreadKind): { ordinal: number; counters: ThreadCounters; release: () => void } {
    const kindIndex = threadKinds.indexOf(kind);
    for (const wanted of [RELEASED, FREE]) {
      for (let slot = 0; slot < SLOTS; slot += 1) {
        const header = slot * HEADER_CELLS;
        if (wanted === RELEASED && Atomics.load(this.#header, header + KIND_CELL) !== kindIndex) continue;
        if (Atomics.compareExchange(this.#header, header + STATE_CELL, wanted, CLAIMED) !== wanted) continue;
        if (wanted === FREE) {
          Atomics.store(this.#header, header + KIND_CELL, kindIndex);
          Atomics.store(this.#header, header + ORDINAL_CELL, this.#ordinalsOf(kindIndex, slot));
        }
        const counters = this.#countersOf(slot);
        for (const name of gaugeNames) counters.set(name, 0);
        return {
          ordinal: Atomics.load(this.#header, header + ORDINAL_CELL),
          counters,
          release: () => Atomics.store(this.#header, header + STATE_CELL, RELEASED),
        };
      }
    }
    throw new Error(
      `more than ${SLOTS} threads, or threads that ended without releasing theirs, have counters`,
    );
  }

  /** Every slot that was ever claimed. */
  slots(): Slot[] {
    const found: Slot[] = [];
    for (let slot = 0; slot < SLOTS; slot += 1) {
      const header = slot * HEADER_CELLS;
      const state = Atomics.load(this.#header, header + STATE_CELL);
      const kind = threadKinds[Atomics.load(this.#header, header + KIND_CELL)];
      if (state === FREE || kind === undefined) continue;
      const ordinal = Atomics.load(this.#header, header + ORDINAL_CELL);
      found.push({ kind, ordinal, alive: state === CLAIMED, counters: this.#countersOf(slot) });
    }
    return found;
  }

  /** A scalar added up over all threads, ended ones included. */
  total(scalar: ScalarName): number {
    return this.slots().reduce((sum, slot) => sum + slot.counters.get(scalar), 0);
  }

  /** A gauge added up over the threads that are alive. */
  livingTotal(scalar: ScalarName): number {
    return this.slots().reduce((sum, slot) => sum + (slot.alive ? slot.counters.get(scalar) : 0), 0);
  }

  /** The HTTP series with at least one request, added up over all threads. */
  series(): Series[] {
    const seriesCount = (this.#slotCells - SERIES_START) / SERIES_CELLS;
    const sums = new Map<number, Float64Array>();
    for (const { kind, counters } of this.slots()) {
      if (kind !== 'gateway') continue;
      for (let series = 0; series < seriesCount; series += 1) {
        const start = SERIES_START + series * SERIES_CELLS;
        const cells = counters.cells.subarray(start, start + SERIES_CELLS);
        if (cells.every((value) => value === 0)) continue;
        const sum = sums.get(series) ?? new Float64Array(SERIES_CELLS);
        for (const [index, value] of cells.entries()) sum[index] = (sum[index] ?? 0) + value;
        sums.set(series, sum);
      }
    }
    return [...sums].map(([series, cells]) => describeSeries(series, cells));
  }

  /**
   * Calls back for every HTTP series with a request, of every gateway there ever was.
   * @param visit Gets the series' number, and where its latency buckets begin in the gateway's cells.
   */
  forEachSeries(visit: (series: number, cells: Float64Array, start: number) => void): void {
    for (const { kind, counters } of this.slots()) {
      if (kind !== 'gateway') continue;
      const { cells } = counters;
      for (let start = SERIES_START, series = 0; start < cells.length; start += SERIES_CELLS, series += 1) {
        // Most of them never have a request, and no request takes no time: one cell tells.
        if (cells[start + SUM_CELL] !== 0) visit(series, cells, start);
      }
    }
  }

  #countersOf(slot: number): ThreadCounters {
    const offset = HEADER_BYTES + slot * this.#slotCells * Float64Array.BYTES_PER_ELEMENT;
    return new ThreadCounters(new Float64Array(this.buffer, offset, this.#slotCells));
  }

  #ordinalsOf(kindIndex: number, before: number): number {
    let ordinal = 0;
    for (let slot = 0; slot < before; slot += 1) {
      const header = slot * HEADER_CELLS;
      const taken = Atomics.load(this.#header, header + STATE_CELL) !== FREE;
      if (taken && Atomics.load(this.#header, header + KIND_CELL) === kindIndex) ordinal += 1;
    }
    return ordinal;
  }
}

function describeSeries(index: number, cells: Float64Array): Series {
  const buckets = cells.slice(0, SUM_CELL);
  return {
    index,
    buckets,
    count: buckets.reduce((sum, value) => sum + value, 0),
    seconds: cells[SUM_CELL] ?? 0,
  };
}
