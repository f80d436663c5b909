import { useMemo } from 'preact/hooks';
import { call, Refused, sentenceOf } from '../api/call.js';
import { type Readiness, type Reading, routes } from '../api/types.js';
import { useLoad, usePolling } from '../parts/load.js';
import { Plot } from '../parts/plot.js';
import { clockTime, count, parseTime } from '../parts/time.js';
import { useLive } from './stream.js';

const READINESS_MS = 5000;

const milliseconds = new Intl.NumberFormat(undefined, { maximumFractionDigits: 2 });

/** Of the visits of a second, the share whose code had not to be looked up. */
const hitRatio = ({ redirects, not_found: unknown, misses }: Reading): number | null => {
  const visits = redirects + unknown;
  return visits === 0 ? null : (100 * Math.max(0, visits - misses)) / visits;
};

const measures = [
  ['Redirects a second', ({ redirects }) => redirects, count],
  ['p99', ({ p99_ms: p99 }) => p99, (value) => `${milliseconds.format(value)} ms`],
  ['Hit ratio', hitRatio, (value) => `${milliseconds.format(value)} %`],
  ['Clicks pending', ({ clicks_pending: pending }) => pending, count],
] as const satisfies readonly (readonly [
  label: string,
  of: (reading: Reading) => number | null,
  text: (value: number) => string,
])[];

/** Whether all is well right now: four numbers, their last five minutes, and what they stand on. */
export function LivePage() {
  const { readings, error, staleSince } = useLive();
  const last = readings.at(-1);
  return (
    <article class="live">
      <header class="live-head">
        <h1>Live</h1>
        <LiveState error={error} staleSince={staleSince} at={last?.at} />
      </header>
      <div class={staleSince === undefined ? 'measures' : 'measures stale'}>
        {measures.map(([label, of, text]) => (
          <Measure
            key={label}
            label={label}
            readings={readings}
            of={of}
            text={text}
            isStale={staleSince !== undefined}
          />
        ))}
      </div>
      <Foundations last={staleSince === undefined ? last : undefined} />
    </article>
  );
}

interface LiveStateProps {
  readonly error: unknown;
  readonly staleSince: Date | undefined;
  readonly at: string | undefined;
}

function LiveState({ error, staleSince, at }: LiveStateProps) {
  if (staleSince !== undefined)
    return (
      <p class="notice warn" role="alert">
        Nothing new since {clockTime(staleSince)}: what you see is of that time. It is asked for again.
      </p>
    );
  if (error !== undefined) {
    const isAbsent = error instanceof Refused && error.message === 'Not found';
    return <p class="notice">{isAbsent ? 'Live numbers are not available yet' : sentenceOf(error)}</p>;
  }
  return (
    <p class="path">
      {at === undefined ? 'waiting for the first second' : `as of ${clockTime(parseTime(at))}`}
    </p>
  );
}

interface MeasureProps {
  readonly label: string;
  readonly readings: readonly Reading[];
  readonly of: (reading: Reading) => number | null;
  readonly text: (value: number) => string;
  readonly isStale: boolean;
}

function Measure({ label, readings, of, text, isStale }: MeasureProps) {
  const times = useMemo(() => readings.map(({ at }) => parseTime(at).getTime() / 1000), [readings]);
  const series = useMemo(
    () => [{ label, values: readings.map(of), colour: isStale ? '--line-strong' : '--accent' }],
    [readings, isStale],
  );
  const value = readings.length === 0 ? undefined : series[0]?.values.at(-1);
  return (
    <section class="measure" aria-label={label}>
      <h2>{label}</h2>
      <p class="big">
        <strong>{isStale || value === undefined || value === null ? '–' : text(value)}</strong>
      </p>
      {readings.length > 1 ? (
        <Plot
          times={times}
          series={series}
          height={120}
          top={label === 'Hit ratio' ? 100 : 1}
          kind="line"
          label={`${label}, the last five minutes`}
        />
      ) : (
        <div class="plot-empty small" />
      )}
    </section>
  );
}

function Foundations({ last }: { readonly last: Reading | undefined }) {
  const ready = useLoad((signal) => call<Readiness>(routes.readiness, { signal }), []);
  usePolling(ready.reload, READINESS_MS);
  const facts: (readonly [string, unknown, boolean])[] = [
    ['Database', ready.value?.database, ready.value !== undefined && ready.value.database !== 'up'],
    ['Click journal', ready.value?.journal, ready.value !== undefined && ready.value.journal !== 'ok'],
    ['Threads', last?.threads, false],
    ['Connections', last?.connections, false],
    ['Made in the last second', last?.created, false],
    ['Not found in the last second', last?.not_found, false],
  ];
  return (
    <dl class="foundations">
      {facts.map(([label, value, isBad]) => (
        <div key={label}>
          <dt>{label}</dt>
          <dd class={isBad && ready.error === undefined ? 'state bad' : ''}>
            {isBad ? <span aria-hidden="true">✕ </span> : null}
            {ready.error !== undefined && label !== 'Threads' && typeof value === 'string'
              ? 'unknown'
              : said(value)}
          </dd>
        </div>
      ))}
    </dl>
  );
}

function said(value: unknown): string {
  if (typeof value === 'number') return count(value);
  return typeof value === 'string' ? value : '–';
}
