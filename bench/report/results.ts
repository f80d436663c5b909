import type { LatencyPoint } from '../measure/histogram.js';
import type { Comparison } from '../measure/statistics.js';
import { ROUNDS_FOR_VERDICT } from '../measure/statistics.js';

/** The result of one turn of one arm; the scenario's `unit` says what is counted. */
export interface Measure {
  readonly perSecond: number;
  /** Server CPU for one unit: user and system, all threads, microseconds. */
  readonly cpuMicros: number;
  /** Of which the busiest thread's. */
  readonly busiestMicros: number;
  /** PostgreSQL's CPU for one unit, where it takes part. */
  readonly databaseMicros: number;
  readonly peakBytes: number;
  readonly errors: number;
  /** Empty where latency means nothing. */
  readonly latency: readonly LatencyPoint[];
}

export interface ArmResult {
  readonly name: string;
  readonly about: string;
  readonly first: readonly Measure[];
  readonly twin: readonly Measure[];
}

export interface ComparisonResult extends Comparison {
  readonly metric: MetricName;
  readonly base: string;
  readonly head: string;
}

/** A goal and the measured value. */
export interface TargetResult {
  readonly text: string;
  readonly value: number;
  readonly limit: number;
  readonly kind: 'at most' | 'at least';
  readonly unit: string;
}

export interface Fact {
  readonly label: string;
  readonly value: number;
  readonly unit: string;
}

export interface Timeline {
  readonly title: string;
  readonly unit: string;
  /** Seconds since the start, value. */
  readonly series: readonly {
    readonly name: string;
    readonly points: readonly (readonly [number, number])[];
  }[];
}

export interface ScenarioResult {
  readonly name: string;
  readonly title: string;
  /** What is counted a second: requests, clicks, rows. */
  readonly unit: string;
  readonly parameters: Readonly<Record<string, string | number>>;
  readonly arms: readonly ArmResult[];
  readonly comparisons: readonly ComparisonResult[];
  readonly targets: readonly TargetResult[];
  readonly facts: readonly Fact[];
  readonly timelines: readonly Timeline[];
  readonly notes: readonly string[];
  /** Costs for the capacity model, by its names; see bench/capacity-model.ts. */
  readonly unitCosts: Readonly<Record<string, number>>;
}

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryBytes: number;
  readonly kernel: string;
  readonly node: string;
  readonly postgres: string;
}

export interface BenchResults {
  readonly started: string;
  readonly revision: string;
  readonly commandLine: string;
  readonly isQuick: boolean;
  readonly rounds: number;
  readonly generator: string;
  readonly machine: Machine;
  readonly scenarios: readonly ScenarioResult[];
}

export const metrics = {
  perSecond: { label: 'throughput', isBetter: 'higher' },
  cpuMicros: { label: 'CPU', isBetter: 'lower' },
  p99: { label: 'p99', isBetter: 'lower' },
} as const;
export type MetricName = keyof typeof metrics;

export function latencyAt(measure: Measure, share: number): number {
  return measure.latency.find(([known]) => known === share)?.[1] ?? Number.NaN;
}

export function metricOf(measure: Measure, metric: MetricName): number {
  switch (metric) {
    case 'perSecond':
      return measure.perSecond;
    case 'cpuMicros':
      return measure.cpuMicros;
    case 'p99':
      return latencyAt(measure, 0.99);
    default:
      throw new Error(`no such metric: ${String(metric satisfies never)}`);
  }
}

/** Any error makes the numbers of a run worthless. */
export function errorsIn({ arms }: ScenarioResult): number {
  return arms.flatMap(({ first, twin }) => [...first, ...twin]).reduce((sum, { errors }) => sum + errors, 0);
}

/** Whether a scenario that takes turns had enough rounds for a verdict; one without arms needs none. */
export function hasVerdict({ arms }: ScenarioResult): boolean {
  return arms.every(({ first }) => first.length >= ROUNDS_FOR_VERDICT);
}

export function isMet({ value, limit, kind }: TargetResult): boolean {
  return kind === 'at most' ? value <= limit : value >= limit;
}

/** How far a target was passed or missed, relative to its limit: 0.1 is 10 % on the right side. */
export function marginOf({ value, limit, kind }: TargetResult): number {
  return kind === 'at most' ? 1 - value / limit : value / limit - 1;
}
