/** The value below which a share `p` (0 to 1) of the values lies, by the nearest rank. */
export function percentile(values: readonly number[], p: number): number {
  if (values.length === 0) return Number.NaN;
  const sorted = values.toSorted((a, b) => a - b);
  const rank = Math.max(1, Math.ceil(p * sorted.length));
  return sorted[rank - 1] ?? Number.NaN;
}

/** The middle value; of an even number of values, the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  if (values.length === 0) return Number.NaN;
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** An arm and its twin, the same code measured twice: one value of each in every round. */
export interface TwinSeries {
  readonly first: readonly number[];
  readonly twin: readonly number[];
}

/** How much identical twins differ: the median over the rounds, 0.03 for 3 %. */
export function noiseOf({ first, twin }: TwinSeries): number {
  return median(first.map((value, round) => Math.abs(relative(value, twin[round] ?? Number.NaN))));
}

/** Twins of a round as one value. */
export function roundValues({ first, twin }: TwinSeries): number[] {
  return first.map((value, round) => mean([value, twin[round] ?? value]));
}

/** No difference below this counts, however quiet the machine was. */
export const MIN_DIFFERENCE = 0.02;

/** With fewer rounds there is no verdict, whatever they show. */
export const ROUNDS_FOR_VERDICT = 5;

export interface Comparison {
  /** Head over base: the median of the rounds' ratios. */
  readonly ratio: number;
  readonly ratios: readonly number[];
  /** The larger noise of the two arms. */
  readonly noise: number;
  /** Whether head is higher, lower, or indistinguishable from base; `none` after too few rounds. */
  readonly verdict: 'higher' | 'lower' | 'same' | 'none';
}

/**
 * Compares two arms. They differ only if every round shows it, in the same direction, by more than the noise
 * between twins and more than the smallest difference that counts.
 */
export function compare(base: TwinSeries, head: TwinSeries): Comparison {
  const heads = roundValues(head);
  const ratios = roundValues(base).map((value, round) => (heads[round] ?? Number.NaN) / value);
  const noise = Math.max(noiseOf(base), noiseOf(head));
  const threshold = Math.max(noise, MIN_DIFFERENCE);
  return { ratio: median(ratios), ratios, noise, verdict: verdictOf(ratios, threshold) };
}

function verdictOf(ratios: readonly number[], threshold: number): Comparison['verdict'] {
  if (ratios.length < ROUNDS_FOR_VERDICT) return 'none';
  if (ratios.every((ratio) => ratio > 1 + threshold)) return 'higher';
  return ratios.every((ratio) => ratio < 1 / (1 + threshold)) ? 'lower' : 'same';
}

function relative(one: number, other: number): number {
  const middle = (one + other) / 2;
  return middle === 0 ? 0 : (one - other) / middle;
}
