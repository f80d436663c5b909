import type { ComponentChildren } from 'preact';
import { useMemo, useState } from 'preact/hooks';
import { Refused, sentenceOf } from '../api/call.js';
import type { Counts, Fact } from '../api/stats.js';
import type { Statistics as Answer } from '../api/types.js';
import { Choice, Field } from '../parts/field.js';
import { type Loaded, useLoad, usePolling } from '../parts/load.js';
import { Plot } from '../parts/plot.js';
import { csvBlob, saveBlob } from '../parts/save.js';
import { useShortcuts } from '../parts/shortcuts.js';
import { clockTime, count, ownZone, parseTime } from '../parts/time.js';
import { Waiting } from '../parts/waiting.js';
import { addressOf, go } from '../place.js';
import { Breakdown } from './breakdown.js';
import { type Period, periodOf, queryBefore, queryOf, ranges } from './period.js';

const REFRESH_MS = 10_000;

/** Whose clicks are counted: one link's, or those of all links that a key can see. */
export interface Counted {
  readonly read: (query: Readonly<Record<string, string>>, signal: AbortSignal) => Promise<Answer>;
  /** Its place in the console, which distinguishes it from others. */
  readonly place: string;
  /** Before it there are no clicks. */
  readonly since: Date;
  readonly facts: readonly Fact[];
  /** The beginning of the name of its file. */
  readonly name: string;
  /** All clicks, as far as known without statistics. */
  readonly clicks?: number;
}

interface StatisticsProps {
  readonly of: Counted;
  readonly query: URLSearchParams;
  /** Shown if there are no clicks. */
  readonly children: ComponentChildren;
}

export function Statistics({ of: counted, query, children }: StatisticsProps) {
  const { place, since } = counted;
  const period = periodOf(query);
  const stats = useLoad(
    (signal) => counted.read({ ...queryOf(period, since), by: counted.facts.join(',') }, signal),
    [place, query.toString()],
  );
  const before = useLoad(
    async (signal) => {
      const asked = queryBefore(period);
      return asked === undefined ? undefined : counted.read(asked, signal);
    },
    [place, query.toString()],
  );
  usePolling(stats.reload, REFRESH_MS);
  const [isTable, setTable] = useState(false);
  useShortcuts({ t: () => setTable(!isTable) });
  const { value } = stats;
  return (
    <section class="statistics" aria-label="Statistics">
      <PeriodBar place={place} period={period} asOf={value?.as_of} />
      {value === undefined ? <Missing of={stats} clicks={counted.clicks} /> : null}
      {value === undefined ? null : (
        <>
          <div class="numbers-bar">
            <Numbers now={value} before={before.value} />
            <div class="chart-bar">
              <button
                type="button"
                class="quiet"
                aria-pressed={isTable}
                onClick={() => setTable(!isTable)}
                title="t"
              >
                Table
              </button>
              <button
                type="button"
                class="quiet"
                onClick={() => saveBlob(csvOf(value), `${counted.name}-clicks.csv`)}
              >
                CSV
              </button>
            </div>
          </div>
          {value.clicks + value.previews === 0 ? (
            <div class="empty">
              <p>No clicks in this period.</p>
              {children}
            </div>
          ) : (
            <Chart stats={value} />
          )}
          {isTable ? (
            // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to be reached by keys
            <section class="chart-table" aria-label="Numbers" tabIndex={0}>
              <Numbered stats={value} />
            </section>
          ) : (
            <div class="unseen">
              <Numbered stats={value} />
            </div>
          )}
          {value.clicks + value.previews === 0 ? null : (
            <div class="breakdowns">
              {counted.facts.map((fact) => (
                <Breakdown key={fact} fact={fact} stats={value} />
              ))}
            </div>
          )}
        </>
      )}
    </section>
  );
}

/** What can't be shown and why, instead of guessed numbers. */
function Missing({
  of: stats,
  clicks,
}: {
  readonly of: Loaded<Answer>;
  readonly clicks: number | undefined;
}) {
  const { error } = stats;
  if (!(error instanceof Refused))
    return (
      <>
        <Waiting of={stats} rows={0} />
        <div class="plot-empty" />
      </>
    );
  const isAbsent = error.message === 'Not found';
  return (
    <>
      {clicks === undefined ? null : (
        <div class="numbers">
          <p class="big">
            <strong>{count(clicks)}</strong> clicks in all
          </p>
        </div>
      )}
      <p class="notice">{isAbsent ? 'Statistics are not available yet' : sentenceOf(error)}</p>
    </>
  );
}

function PeriodBar({
  place,
  period,
  asOf,
}: {
  readonly place: string;
  readonly period: Period;
  readonly asOf: string | undefined;
}) {
  const show = (change: Partial<Period>): void => {
    const { timezone, ...rest } = { ...period, ...change };
    go(addressOf(place, { ...rest, tz: timezone === ownZone ? '' : timezone }), 'replace');
  };
  const zones = useMemo(
    () => [...new Set([ownZone, period.timezone, 'UTC', ...Intl.supportedValuesOf('timeZone')])],
    [period.timezone],
  );
  return (
    <div class="period">
      {/* biome-ignore lint/a11y/useSemanticElements: a fieldset is no row in every browser */}
      <div class="segments" role="group" aria-label="Time">
        {ranges.map(([name, label]) => (
          <button
            type="button"
            key={name}
            aria-pressed={period.range === name}
            onClick={() => show({ range: name })}
          >
            {label}
          </button>
        ))}
      </div>
      {period.range === 'custom' ? (
        <div class="dates">
          <Field
            label="From"
            isLabelHidden
            type="date"
            value={period.from}
            onValue={(from) => show({ from })}
          />
          <Field label="To" isLabelHidden type="date" value={period.to} onValue={(to) => show({ to })} />
        </div>
      ) : null}
      <div class="period-end">
        <Choice
          label="Time zone"
          isLabelHidden
          value={period.timezone}
          options={zones.map((zone) => [zone, zone.replaceAll('_', ' ')] as const)}
          onValue={(timezone) => show({ timezone })}
        />
        <span class="as-of">{asOf === undefined ? '' : `as of ${clockTime(parseTime(asOf))}`}</span>
      </div>
    </div>
  );
}

const countsOf = ({ clicks, previews }: Counts): string =>
  `${count(clicks)} ${clicks === 1 ? 'click' : 'clicks'}, ${count(previews)} ${previews === 1 ? 'preview' : 'previews'}`;

const names = { minute: 'minutes', hour: 'hours', day: 'days', week: 'weeks', month: 'months' } as const;

function Numbers({ now, before }: { readonly now: Answer; readonly before: Counts | undefined }) {
  const growth =
    before === undefined || before.clicks === 0 ? undefined : (now.clicks - before.clicks) / before.clicks;
  const percent =
    growth === undefined ? '' : `${Math.abs(growth * 100).toFixed(growth > -0.1 && growth < 0.1 ? 1 : 0)} %`;
  return (
    <div class="numbers">
      <p class="big">
        <strong>{count(now.clicks)}</strong> {now.clicks === 1 ? 'click' : 'clicks'}
      </p>
      <p class="previews">
        {count(now.previews)} {now.previews === 1 ? 'preview' : 'previews'}
      </p>
      {growth === undefined ? null : (
        <p class={growth >= 0 ? 'state good' : 'state warn'}>
          <span aria-hidden="true">{growth >= 0 ? '▲' : '▼'}</span>
          {growth >= 0 ? `${percent} more than` : `${percent} fewer than`} in the period before
        </p>
      )}
    </div>
  );
}

function labelOf({ interval, timezone }: Pick<Answer, 'interval' | 'timezone'>): (start: string) => string {
  const date = { day: 'numeric', month: 'short', year: 'numeric', timeZone: timezone } as const;
  const formats: Readonly<Record<Answer['interval'], Intl.DateTimeFormatOptions>> = {
    minute: { ...date, hour: '2-digit', minute: '2-digit' },
    hour: { ...date, hour: '2-digit', minute: '2-digit' },
    day: { ...date, weekday: 'short' },
    week: date,
    month: { month: 'long', year: 'numeric', timeZone: timezone },
  };
  const format = new Intl.DateTimeFormat(undefined, formats[interval]);
  return (start) => format.format(parseTime(start));
}

function Chart({ stats }: { readonly stats: Answer }) {
  const times = useMemo(() => stats.series.map(({ start }) => parseTime(start).getTime() / 1000), [stats]);
  const series = useMemo(
    () => [{ label: 'Clicks', values: stats.series.map(({ clicks }) => clicks), colour: '--accent' }],
    [stats],
  );
  const label = labelOf(stats);
  const isLine = stats.interval === 'minute' || stats.interval === 'hour';
  const say = (index: number): string => {
    const at = stats.series[index];
    return at === undefined ? '' : `${label(at.start)}: ${countsOf(at)}`;
  };
  return (
    <Plot
      times={times}
      series={series}
      height={220}
      kind={isLine ? 'line' : 'bars'}
      timezone={stats.timezone}
      say={say}
      label={`Clicks by ${names[stats.interval]}, ${stats.timezone}: ${count(stats.clicks)} in all`}
    />
  );
}

function Numbered({ stats }: { readonly stats: Answer }) {
  const label = labelOf(stats);
  return (
    <table class="plain">
      <caption class="unseen">
        Clicks and previews by {names[stats.interval]}, {stats.timezone}
      </caption>
      <thead>
        <tr>
          <th scope="col">Begins</th>
          <th scope="col" class="number">
            Clicks
          </th>
          <th scope="col" class="number">
            Previews
          </th>
        </tr>
      </thead>
      <tbody>
        {stats.series.map(({ start, clicks, previews }) => (
          <tr key={start}>
            <td>{label(start)}</td>
            <td class="number">{count(clicks)}</td>
            <td class="number">{count(previews)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

const csvOf = (stats: Answer): Blob =>
  csvBlob([
    ['start', 'clicks', 'previews'],
    ...stats.series.map(({ start, clicks, previews }) => [start, String(clicks), String(previews)]),
  ]);
