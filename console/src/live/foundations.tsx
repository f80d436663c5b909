import { useRef } from 'preact/hooks';
import { call } from '../api/call.js';
import { type Metrics, readMetrics } from '../api/metrics.js';
import { type Readiness, type Reading, routes } from '../api/types.js';
import { useLoad, usePolling } from '../parts/load.js';
import { count } from '../parts/time.js';
import { alertsAt } from './limits.js';

const EVERY_MS = 5000;

interface Figure {
  readonly label: string;
  readonly value: number | string | undefined;
  /** The total, or the value beyond which there would be an alert. */
  readonly limit?: string | undefined;
  readonly isBad?: boolean;
}

/** What the server depends on. Red: an alert would be raised. */
export function Foundations({ last }: { readonly last: Reading | undefined }) {
  const ready = useLoad((signal) => call<Readiness>(routes.readiness, { signal }), []);
  const metrics = useLoad(readMetrics, []);
  usePolling(() => {
    ready.reload();
    metrics.reload();
  }, EVERY_MS);
  const { database, journal } = (ready.error === undefined ? ready.value : undefined) ?? {};
  const known = metrics.error === undefined ? metrics.value : undefined;
  const isLosing = useGrowth(known?.clicksLost, alertsAt.clicksLostMs);
  const figures: Figure[] = [
    { label: 'Database', ...conditionOf(database, 'up') },
    { label: 'Click journal', ...conditionOf(journal, 'ok') },
    { label: 'Threads', value: last?.threads, ...threadsOf(last, known) },
    { label: 'Connections', value: last?.connections, limit: ofLimit(known?.connectionsMax) },
    ...(known === undefined ? [] : innerFigures(known, isLosing)),
    { label: 'Links created in the last second', value: last?.created },
    { label: 'Codes not found in the last second', value: last?.not_found },
  ];
  return (
    <dl class="foundations">
      {figures.map(({ label, value, limit, isBad = false }) => (
        <div key={label}>
          <dt>{label}</dt>
          <dd class={isBad ? 'bad' : ''}>
            {isBad ? <span aria-hidden="true">✕ </span> : null}
            {typeof value === 'number' ? count(value) : (value ?? '–')}
            {limit === undefined ? null : <span class="limit"> {limit}</span>}
          </dd>
        </div>
      ))}
    </dl>
  );
}

const conditionOf = (condition: unknown, good: string): Pick<Figure, 'value' | 'isBad'> =>
  typeof condition === 'string' ? { value: condition, isBad: condition !== good } : { value: undefined };

const ofLimit = (limit: number | undefined): string | undefined =>
  limit === undefined || limit === 0 ? undefined : `of ${count(limit)}`;

function threadsOf(last: Reading | undefined, metrics: Metrics | undefined): Pick<Figure, 'limit' | 'isBad'> {
  const wanted = metrics?.threadsWanted;
  return { limit: ofLimit(wanted), isBad: (last?.threads ?? Number.POSITIVE_INFINITY) < (wanted ?? 0) };
}

const fine = new Intl.NumberFormat(undefined, { maximumFractionDigits: 1 });
const seconds = (value: number): string => `${fine.format(value)} s`;
const bytes = (value: number): string =>
  value < 1e9 ? `${fine.format(value / 1e6)} MB` : `${fine.format(value / 1e9)} GB`;

function innerFigures(metrics: Metrics, isLosing: boolean): Figure[] {
  const { poolInUse, poolMax, ingestBehind, journalPending, clicksLost } = metrics;
  const said = (value: number | undefined, text: (value: number) => string): string | undefined =>
    value === undefined ? undefined : text(value);
  return [
    { label: 'Database connections in use', value: poolInUse, limit: ofLimit(poolMax) },
    {
      label: 'Oldest click pending',
      value: said(ingestBehind, seconds),
      limit: `alert at ${seconds(alertsAt.ingestBehindSeconds)}`,
      isBad: (ingestBehind ?? 0) > alertsAt.ingestBehindSeconds,
    },
    {
      label: 'Journal pending',
      value: said(journalPending, bytes),
      limit: `alert at ${bytes(alertsAt.journalPendingBytes)}`,
      isBad: (journalPending ?? 0) > alertsAt.journalPendingBytes,
    },
    { label: 'Clicks lost since the start', value: clicksLost, isBad: isLosing },
  ];
}

/** Whether a counter has grown within this many milliseconds, as far as it was read. */
function useGrowth(value: number | undefined, ms: number): boolean {
  const seen = useRef<{ value: number | undefined; grewAt: number }>({ value: undefined, grewAt: 0 });
  const before = seen.current;
  if (value !== undefined && value !== before.value) {
    const hasGrown = before.value !== undefined && value > before.value;
    seen.current = { value, grewAt: hasGrown ? Date.now() : before.grewAt };
  }
  return Date.now() - seen.current.grewAt < ms;
}
