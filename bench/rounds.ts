import { compare, median, roundValues } from './measure/statistics.js';
import {
  type ArmResult,
  type ComparisonResult,
  type Measure,
  type MetricName,
  metricOf,
} from './report/results.js';

/** One side of a comparison. It is measured twice in each round, as itself and as its own twin. */
export interface Arm {
  readonly name: string;
  readonly about: string;
  measure(instance: 'first' | 'twin', round: number): Promise<Measure>;
}

export interface RoundsOptions {
  readonly rounds: number;
  readonly onStep: (what: string) => void;
}

/**
 * Lets the arms and their twins take turns, each round beginning with another one: neither the order nor a
 * slow minute of the machine then favours any of them.
 */
export async function runRounds(
  arms: readonly Arm[],
  { rounds, onStep }: RoundsOptions,
): Promise<ArmResult[]> {
  const turns = (['first', 'twin'] as const).flatMap((instance) => arms.map((arm) => ({ arm, instance })));
  const results = arms.map(({ name, about }) => ({
    name,
    about,
    first: [] as Measure[],
    twin: [] as Measure[],
  }));
  for (let round = 0; round < rounds; round += 1) {
    for (let place = 0; place < turns.length; place += 1) {
      const turn = turns[(place + round) % turns.length];
      if (turn === undefined) continue;
      onStep(`round ${round + 1} of ${rounds}: ${turn.arm.name}${turn.instance === 'twin' ? ' (twin)' : ''}`);
      const measure = await turn.arm.measure(turn.instance, round);
      results[arms.indexOf(turn.arm)]?.[turn.instance].push(measure);
    }
  }
  return results;
}

/** Steps of `runRounds`, for a progress bar. */
export function stepsOf(arms: number, rounds: number): number {
  return arms * 2 * rounds;
}

/** Every other arm against the first, by every metric that both have. */
export function compareArms(
  results: readonly ArmResult[],
  metrics: readonly MetricName[] = ['perSecond', 'cpuMicros', 'p99'],
): ComparisonResult[] {
  const [base, ...heads] = results;
  if (base === undefined) return [];
  return heads.flatMap((head) =>
    metrics.flatMap((metric) => {
      const comparison = compareBy(metric, base, head);
      return Number.isFinite(comparison.ratio)
        ? [{ metric, base: base.name, head: head.name, ...comparison }]
        : [];
    }),
  );
}

export function compareBy(metric: MetricName, base: ArmResult, head: ArmResult): ReturnType<typeof compare> {
  return compare(seriesOf(base, metric), seriesOf(head, metric));
}

/** An arm's figure: the median over the rounds of the mean of the twins. */
export function medianOf(arm: ArmResult, read: (measure: Measure) => number): number {
  return median(roundValues({ first: arm.first.map(read), twin: arm.twin.map(read) }));
}

function seriesOf({ first, twin }: ArmResult, metric: MetricName): { first: number[]; twin: number[] } {
  const read = (measure: Measure): number => metricOf(measure, metric);
  return { first: first.map(read), twin: twin.map(read) };
}
