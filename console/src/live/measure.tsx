import { useMemo } from 'preact/hooks';
import type { Reading } from '../api/types.js';
import { Plot } from '../parts/plot.js';
import { parseTime } from '../parts/time.js';
import { isBeyond } from './limits.js';
import { MISSED_MIN_S } from './stream.js';

export interface MeasureProps {
  readonly label: string;
  readonly readings: readonly Reading[];
  readonly of: (reading: Reading) => number | null;
  readonly text: (value: number) => string;
  /** The minimum value of the top of the plot. */
  readonly top?: number;
  /** Beyond this, if it lasts, an alert would be raised. */
  readonly limit?: number;
  readonly isStale: boolean;
}

/** A figure of the last second, with its last five minutes. */
export function Measure({ label, readings, of, text, top = 1, limit, isStale }: MeasureProps) {
  const { times, values } = useMemo(() => pointsOf(readings, of), [readings]);
  const series = useMemo(
    () => [{ label, values, colour: isStale ? '--line-strong' : '--accent' }],
    [values, isStale],
  );
  const last = readings.at(-1);
  const value = isStale || last === undefined ? null : of(last);
  const isBad = !isStale && limit !== undefined && isBeyond(values, limit);
  return (
    <section class="measure" aria-label={label}>
      <h2>{label}</h2>
      <p class={isBad ? 'big bad' : 'big'}>
        {isBad ? <span aria-hidden="true">✕ </span> : null}
        <strong>{value === null ? '–' : text(value)}</strong>
        {limit === undefined ? null : <span class="limit"> alert at {text(limit)}</span>}
      </p>
      {readings.length > 1 ? (
        <Plot
          times={times}
          series={series}
          height={120}
          top={top}
          limit={limit}
          kind="line"
          span={60}
          label={`${label}, the last five minutes`}
        />
      ) : (
        <div class="plot-empty small" />
      )}
    </section>
  );
}

/** Readings as points; the line is broken where some were missed. */
function pointsOf(readings: readonly Reading[], of: MeasureProps['of']) {
  const times: number[] = [];
  const values: (number | null)[] = [];
  for (const reading of readings) {
    const at = parseTime(reading.at).getTime() / 1000;
    const before = times.at(-1) ?? at;
    if (at - before >= MISSED_MIN_S) {
      times.push(before + 1);
      values.push(null);
    }
    times.push(at);
    values.push(of(reading));
  }
  return { times, values };
}
