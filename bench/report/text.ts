import { median, noiseOf } from '../measure/statistics.js';
import { medianOf } from '../rounds.js';
import {
  type ArmResult,
  errorsIn,
  hasVerdict,
  isMet,
  latencyAt,
  type Measure,
  marginOf,
  metrics,
  type ScenarioResult,
} from './results.js';

/** In the place of a verdict. */
export const NO_VERDICT = 'no verdict, fewer than five rounds';

/** A number with as many digits as its size deserves. */
export function figure(value: number): string {
  if (!Number.isFinite(value)) return '–';
  const size = Math.abs(value);
  const digits = size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3;
  return value.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

export function percent(share: number): string {
  return Number.isFinite(share) ? `${(share * 100).toFixed(1)} %` : '–';
}

export function mebibytes(bytes: number): string {
  return bytes > 0 ? `${(bytes / 2 ** 20).toFixed(0)} MiB` : '–';
}

/** Columns as wide as their widest cell; the first to the left, the others to the right. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows
    .map((row) =>
      row
        .map((cell, column) => {
          const width = widths[column] ?? 0;
          return column === 0 ? cell.padEnd(width) : cell.padStart(width);
        })
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** The columns of an arm, the same on the terminal and in the report. */
export const armColumns: readonly (readonly [
  title: string,
  cell: (arm: ArmResult, unit: string) => string,
])[] = [
  ['arm', (arm) => arm.name],
  ['/s', (arm) => figure(medianOf(arm, ({ perSecond }) => perSecond))],
  ['± twin', (arm) => percent(twinNoise(arm, ({ perSecond }) => perSecond))],
  ['CPU µs', (arm) => figure(medianOf(arm, ({ cpuMicros }) => cpuMicros))],
  ['± twin', (arm) => percent(twinNoise(arm, ({ cpuMicros }) => cpuMicros))],
  ['busiest µs', (arm) => figure(medianOf(arm, ({ busiestMicros }) => busiestMicros))],
  ['database µs', (arm) => figure(medianOf(arm, ({ databaseMicros }) => databaseMicros))],
  ['p50 ms', (arm) => figure(medianOf(arm, (measure) => latencyAt(measure, 0.5)))],
  ['p99 ms', (arm) => figure(medianOf(arm, (measure) => latencyAt(measure, 0.99)))],
  ['p99.9 ms', (arm) => figure(medianOf(arm, (measure) => latencyAt(measure, 0.999)))],
  [
    'peak RSS',
    (arm) => mebibytes(Math.max(...[...arm.first, ...arm.twin].map(({ peakBytes }) => peakBytes))),
  ],
  ['errors', (arm) => String([...arm.first, ...arm.twin].reduce((sum, { errors }) => sum + errors, 0))],
];

function twinNoise({ first, twin }: ArmResult, read: (measure: Measure) => number): number {
  return noiseOf({ first: first.map(read), twin: twin.map(read) });
}

export function targetLine(target: ScenarioResult['targets'][number], scenario: ScenarioResult): string {
  const { text, value, limit, kind, unit } = target;
  const sign = kind === 'at most' ? '≤' : '≥';
  const margin = Math.abs(marginOf(target));
  const by = Number.isFinite(margin) ? ` by ${percent(margin)}` : '';
  const verdict = hasVerdict(scenario) ? `${isMet(target) ? 'met' : 'MISSED'}${by}` : NO_VERDICT;
  return `${text}: ${figure(value)} ${unit} (target ${sign} ${figure(limit)} ${unit}): ${verdict}`;
}

export function comparisonLine(comparison: ScenarioResult['comparisons'][number]): string {
  const { metric, base, head, ratio, ratios, noise, verdict } = comparison;
  const { label, isBetter } = metrics[metric];
  const range = `${figure(Math.min(...ratios))} to ${figure(Math.max(...ratios))}`;
  const said = { higher: '', lower: '', same: 'no clear difference', none: NO_VERDICT };
  return `${head} / ${base}, ${label}: ${figure(ratio)} (rounds ${range}, noise ${percent(noise)}): ${said[verdict] || (verdict === isBetter ? 'better' : 'worse')}`;
}

/** One scenario for the terminal. */
export function describeScenario(result: ScenarioResult): string {
  const lines = [`\n${result.name}: ${result.title}`];
  const parameters = Object.entries(result.parameters).map(([name, value]) => `${name} ${value}`);
  if (parameters.length > 0) lines.push(`  ${parameters.join(', ')}`);
  if (result.arms.length > 0) {
    const rows = [
      armColumns.map(([title]) => (title === '/s' ? `${result.unit}/s` : title)),
      ...result.arms.map((arm) => armColumns.map(([, cell]) => cell(arm, result.unit))),
    ];
    lines.push(table(rows));
  }
  for (const { label, value, unit } of result.facts) lines.push(`  ${label}: ${figure(value)} ${unit}`);
  for (const comparison of result.comparisons) lines.push(`  ${comparisonLine(comparison)}`);
  const errors = errorsIn(result);
  if (errors > 0) lines.push(`  VOID: ${errors} errors; the figures say nothing`);
  for (const target of result.targets) lines.push(`  ${targetLine(target, result)}`);
  for (const note of result.notes) lines.push(`  note: ${note}`);
  return lines.join('\n');
}

/** The middle of a latency curve over all of an arm's turns. */
export function medianCurve({ first, twin }: ArmResult): [share: number, milliseconds: number][] {
  const all = [...first, ...twin];
  return (all[0]?.latency ?? []).map(([share]) => [share, median(all.map((one) => latencyAt(one, share)))]);
}
