import type { ArmResult, Measure, TargetResult } from '../report/results.js';
import { compareBy, medianOf } from '../rounds.js';

export function armOf(arms: readonly ArmResult[], name: string): ArmResult | undefined {
  return arms.find((arm) => arm.name === name);
}

/** Switchyard's figure over another arm's: the median of the rounds' ratios. */
export function ratioTarget(
  arms: readonly ArmResult[],
  text: string,
  metric: 'perSecond' | 'cpuMicros',
  base: string,
  head: string,
  limit: number,
): TargetResult[] {
  const baseArm = armOf(arms, base);
  const headArm = armOf(arms, head);
  if (baseArm === undefined || headArm === undefined) return [];
  const kind = metric === 'cpuMicros' ? 'at most' : 'at least';
  return [{ text, value: compareBy(metric, baseArm, headArm).ratio, limit, kind, unit: '×' }];
}

/** As `ratioTarget`, for anything that can be read off a measure; lower is better. */
export function measureTarget(
  arms: readonly ArmResult[],
  text: string,
  read: (measure: Measure) => number,
  base: string,
  head: string,
  limit: number,
): TargetResult[] {
  const baseArm = armOf(arms, base);
  const headArm = armOf(arms, head);
  if (baseArm === undefined || headArm === undefined) return [];
  return [
    { text, value: medianOf(headArm, read) / medianOf(baseArm, read), limit, kind: 'at most', unit: '×' },
  ];
}
