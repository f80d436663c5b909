import { medianOf } from '../rounds.js';
import { barPlot, escapeHtml, latencyPlot, timelinePlot } from './plots.js';
import { type BenchResults, errorsIn, isMet, type Measure, type ScenarioResult } from './results.js';
import { armColumns, comparisonLine, figure, medianCurve, targetLine } from './text.js';

const style = `
body { font: 14px/1.5 system-ui, sans-serif; max-width: 1400px; margin: 2em auto; padding: 0 1em; color: #222; }
table { border-collapse: collapse; margin: 1em 0; } td, th { padding: 0.2em 0.8em; text-align: right; border-bottom: 1px solid #ddd; }
td:first-child, th:first-child { text-align: left; } .plots { display: flex; flex-wrap: wrap; gap: 2em; }
.met { color: #1b7a3d; } .missed { color: #b3261e; } .void { color: #b3261e; font-weight: bold; }
svg text { font: 12px system-ui, sans-serif; } svg .title { font-weight: 600; font-size: 13px; } svg .grid { stroke: #ddd; }
`;

/** The whole report as one page that loads nothing. */
export function htmlReport(results: BenchResults): string {
  const { machine } = results;
  const about = [
    ['started', results.started],
    ['revision', results.revision],
    ['command', results.commandLine],
    ['rounds', `${results.rounds}${results.isQuick ? ' (quick: for a look, not for a verdict)' : ''}`],
    ['load generator', results.generator],
    ['machine', `${machine.cpu}, ${machine.cores} cores, ${figure(machine.memoryBytes / 2 ** 30)} GiB`],
    ['system', `${machine.kernel}, Node ${machine.node}, PostgreSQL ${machine.postgres}`],
  ];
  const facts = about.map(([name, value]) => `<tr><td>${name}</td><td>${escapeHtml(value ?? '')}</td></tr>`);
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Switchyard bench ${escapeHtml(results.started)}</title><style>${style}</style></head>
<body><h1>Switchyard bench</h1><table>${facts.join('')}</table>
${results.scenarios.map(section).join('\n')}
</body></html>
`;
}

function section(result: ScenarioResult): string {
  const errors = errorsIn(result);
  const parameters = Object.entries(result.parameters).map(([name, value]) => `${name} ${value}`);
  return `<h2>${escapeHtml(result.name)}: ${escapeHtml(result.title)}</h2>
<p>${escapeHtml(parameters.join(', '))}</p>
${errors > 0 ? `<p class="void">Void: ${errors} errors</p>` : ''}
<ul>${result.targets.map((target) => `<li class="${isMet(target) ? 'met' : 'missed'}">${escapeHtml(targetLine(target, result))}</li>`).join('')}</ul>
${armTable(result)}
<ul>${result.facts.map(({ label, value, unit }) => `<li>${escapeHtml(`${label}: ${figure(value)} ${unit}`)}</li>`).join('')}</ul>
<ul>${result.comparisons.map((one) => `<li>${escapeHtml(comparisonLine(one))}</li>`).join('')}</ul>
<div class="plots">${plots(result)}</div>
<ul>${result.notes.map((note) => `<li>${escapeHtml(note)}</li>`).join('')}</ul>`;
}

function armTable({ arms, unit }: ScenarioResult): string {
  if (arms.length === 0) return '';
  const head = armColumns.map(([title]) => `<th>${escapeHtml(title === '/s' ? `${unit}/s` : title)}</th>`);
  const rows = arms.map(
    (arm) =>
      `<tr title="${escapeHtml(arm.about)}">${armColumns.map(([, cell]) => `<td>${escapeHtml(cell(arm, unit))}</td>`).join('')}</tr>`,
  );
  return `<table><tr>${head.join('')}</tr>${rows.join('')}</table>`;
}

function plots(result: ScenarioResult): string {
  const { arms, timelines, unit } = result;
  const bars = (read: (measure: Measure) => number) =>
    arms.map((arm) => {
      const all = [...arm.first, ...arm.twin].map(read);
      return { label: arm.name, value: medianOf(arm, read), low: Math.min(...all), high: Math.max(...all) };
    });
  const curves = arms.map((arm) => ({ name: arm.name, points: medianCurve(arm) }));
  return [
    ...(arms.length === 0
      ? []
      : [
          barPlot(
            'Throughput; band: lowest to highest turn',
            `${unit}/s`,
            bars(({ perSecond }) => perSecond),
          ),
          barPlot(
            'Server CPU; band: lowest to highest turn',
            'µs',
            bars(({ cpuMicros }) => cpuMicros),
          ),
          latencyPlot('Latency by percentile', curves),
        ]),
    ...timelines.map(timelinePlot),
  ].join('\n');
}
