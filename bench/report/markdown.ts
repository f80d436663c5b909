import {
  type BenchResults,
  errorsIn,
  hasVerdict,
  isMet,
  type ScenarioResult,
  type TargetResult,
} from './results.js';
import { armColumns, comparisonLine, figure, NO_VERDICT, percent, targetLine } from './text.js';

/** A run as Docs/BENCHMARKS.md shows it: the targets, then each scenario with its arms. */
export function markdownReport({ scenarios }: BenchResults): string {
  const targets = scenarios.flatMap((scenario) =>
    scenario.targets.map((target) => [scenario.name, ...targetCells(target, scenario)]),
  );
  return [
    '## Targets',
    markdownTable([['scenario', 'what', 'measured', 'target', ''], ...targets], 2),
    ...scenarios.map(section),
  ].join('\n\n');
}

function targetCells(target: TargetResult, scenario: ScenarioResult): string[] {
  const { text, value, limit, kind, unit } = target;
  const missedBy = percent(Math.abs(limit === 0 ? Number.NaN : value / limit - 1));
  return [
    text,
    `${figure(value)} ${unit}`,
    `${kind === 'at most' ? '≤' : '≥'} ${figure(limit)} ${unit}`,
    hasVerdict(scenario) ? (isMet(target) ? 'met' : `missed by ${missedBy}`) : NO_VERDICT,
  ];
}

function section(scenario: ScenarioResult): string {
  const { name, title, unit, parameters, arms, facts, comparisons, targets, notes } = scenario;
  const parts = [`## ${name}`];
  const settings = Object.entries(parameters).map(([label, value]) => `${label} ${value}`);
  parts.push(`${title}${settings.length > 0 ? ` (${settings.join(', ')})` : ''}.`);
  if (errorsIn(scenario) > 0) parts.push(`**Void: ${errorsIn(scenario)} errors.**`);
  if (arms.length > 0) {
    const head = armColumns.map(([column]) => (column === '/s' ? `${unit}/s` : column));
    parts.push(markdownTable([head, ...arms.map((arm) => armColumns.map(([, cell]) => cell(arm, unit)))], 1));
  }
  const lines = [
    ...targets.map((target) => targetLine(target, scenario)),
    ...comparisons.map(comparisonLine),
    ...facts.map((fact) => `${fact.label}: ${figure(fact.value)} ${fact.unit}`.trim()),
    ...notes,
  ];
  if (lines.length > 0) parts.push(lines.map((line) => `- ${line}`).join('\n'));
  return parts.join('\n\n');
}

/** The first `leftColumns` columns to the left, the others to the right. */
function markdownTable(rows: readonly (readonly string[])[], leftColumns: number): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  const [head = [], ...body] = rows;
  const rule = head.map((_, column) => (column < leftColumns ? '---' : '---:'));
  return [line(head), `|${rule.join('|')}|`, ...body.map(line)].join('\n');
}
