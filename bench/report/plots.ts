import type { LatencyPoint } from '../measure/histogram.js';
import type { Timeline } from './results.js';
import { figure } from './text.js';

/** SVG drawn by hand, which makes a report one file without dependencies. */
const colours = ['#3b6fb6', '#d1495b', '#2e8b57', '#b8860b', '#7a4fa3', '#4d4d4d'];

export function colourOf(index: number): string {
  return colours[index % colours.length] ?? '#000';
}

export function escapeHtml(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}

export interface Bar {
  readonly label: string;
  readonly value: number;
  /** The lowest and the highest of all turns. */
  readonly low: number;
  readonly high: number;
}

const WIDTH = 640;
const LABEL_WIDTH = 130;
const BAR_HEIGHT = 22;
const GAP = 10;

/** Horizontal bars, each with a band from its lowest to its highest turn. */
export function barPlot(title: string, unit: string, bars: readonly Bar[]): string {
  const most = Math.max(...bars.map(({ high }) => high), Number.MIN_VALUE);
  const scale = (value: number): number => (value / most) * (WIDTH - LABEL_WIDTH - 120);
  const rows = bars.map(({ label, value, low, high }, index) => {
    const y = 30 + index * (BAR_HEIGHT + GAP);
    const middle = y + BAR_HEIGHT / 2;
    const end = LABEL_WIDTH + scale(high) + 8;
    return `<text x="${LABEL_WIDTH - 8}" y="${middle + 4}" text-anchor="end">${escapeHtml(label)}</text>
<rect x="${LABEL_WIDTH}" y="${y}" width="${round(scale(value))}" height="${BAR_HEIGHT}" fill="${colourOf(index)}"/>
<rect x="${round(LABEL_WIDTH + scale(low))}" y="${y + 5}" width="${round(Math.max(1, scale(high - low)))}" height="${BAR_HEIGHT - 10}" fill="#000" opacity="0.25"/>
<text x="${round(end)}" y="${middle + 4}">${figure(value)} ${escapeHtml(unit)}</text>`;
  });
  const height = 30 + bars.length * (BAR_HEIGHT + GAP);
  return svg(height, `<text x="0" y="16" class="title">${escapeHtml(title)}</text>${rows.join('')}`);
}

const PLOT = { left: 70, right: 20, top: 30, bottom: 40, height: 260 } as const;

/** Latency by percentile: the further right, the rarer; both axes logarithmic. */
export function latencyPlot(
  title: string,
  curves: readonly { readonly name: string; readonly points: readonly LatencyPoint[] }[],
): string {
  const values = curves.flatMap(({ points }) => points.map(([, ms]) => ms)).filter((ms) => ms > 0);
  if (values.length === 0) return '';
  const [low, high] = [Math.min(...values), Math.max(...values) * 1.1];
  const shares = [0.5, 0.9, 0.99, 0.999, 0.9999];
  const rarest = -Math.log10(1 - 0.9999);
  const x = (share: number): number => across(-Math.log10(1 - share) / rarest);
  const y = (ms: number): number =>
    upwards(Math.log(Math.max(ms, low) / low) / Math.max(Math.log(high / low), 1e-9));
  const grid = shares.map(
    (share) =>
      `<line x1="${round(x(share))}" x2="${round(x(share))}" y1="${PLOT.top}" y2="${PLOT.height - PLOT.bottom}" class="grid"/>
<text x="${round(x(share))}" y="${PLOT.height - PLOT.bottom + 16}" text-anchor="middle">${share * 100} %</text>`,
  );
  const ticks = logTicks(low, high).map((ms) => tick(y(ms), `${figure(ms)} ms`));
  const lines = curves.map(({ name, points }, index) =>
    line(
      name,
      index,
      points.map(([share, ms]) => [x(share), y(ms)] as const),
    ),
  );
  return svg(PLOT.height + 20, heading(title) + grid.join('') + ticks.join('') + lines.join(''));
}

/** Values over the seconds of a run. */
export function timelinePlot({ title, unit, series }: Timeline): string {
  const points = series.flatMap((one) => one.points);
  const lastSecond = Math.max(...points.map(([second]) => second), 1e-9);
  const most = Math.max(...points.map(([, value]) => value), 1e-9);
  const seconds = [0, 0.25, 0.5, 0.75, 1].map((part) => part * lastSecond);
  const grid = seconds.map(
    (second) =>
      `<text x="${round(across(second / lastSecond))}" y="${PLOT.height - PLOT.bottom + 16}" text-anchor="middle">${figure(second)} s</text>`,
  );
  const ticks = [0, 0.25, 0.5, 0.75, 1].map((part) => tick(upwards(part), figure(part * most)));
  const lines = series.map(({ name, points: own }, index) =>
    line(
      name,
      index,
      own.map(([second, value]) => [across(second / lastSecond), upwards(value / most)] as const),
    ),
  );
  return svg(
    PLOT.height + 20,
    heading(`${title} (${unit})`) + grid.join('') + ticks.join('') + lines.join(''),
  );
}

function line(name: string, index: number, points: readonly (readonly [number, number])[]): string {
  const path = points.map(([x, y], order) => `${order === 0 ? 'M' : 'L'}${round(x)} ${round(y)}`).join('');
  const legend = PLOT.left + index * 140;
  return `<path d="${path}" fill="none" stroke="${colourOf(index)}" stroke-width="2"/>
<rect x="${legend}" y="${PLOT.height}" width="10" height="10" fill="${colourOf(index)}"/>
<text x="${legend + 14}" y="${PLOT.height + 10}">${escapeHtml(name)}</text>`;
}

function tick(y: number, label: string): string {
  return `<line x1="${PLOT.left}" x2="${WIDTH - PLOT.right}" y1="${round(y)}" y2="${round(y)}" class="grid"/>
<text x="${PLOT.left - 6}" y="${round(y + 4)}" text-anchor="end">${escapeHtml(label)}</text>`;
}

function logTicks(low: number, high: number): number[] {
  const first = Math.ceil(Math.log10(low));
  const last = Math.floor(Math.log10(high));
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, index) => 10 ** (first + index));
}

function across(part: number): number {
  return PLOT.left + Math.min(1, Math.max(0, part)) * (WIDTH - PLOT.left - PLOT.right);
}

function upwards(part: number): number {
  return PLOT.height - PLOT.bottom - Math.min(1, Math.max(0, part)) * (PLOT.height - PLOT.bottom - PLOT.top);
}

function heading(title: string): string {
  return `<text x="0" y="16" class="title">${escapeHtml(title)}</text>`;
}

function svg(height: number, content: string): string {
  return `<svg viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img">${content}</svg>`;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
