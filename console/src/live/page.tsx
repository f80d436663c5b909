import { useState } from 'preact/hooks';
import { Refused, sentenceOf } from '../api/call.js';
import type { Reading } from '../api/types.js';
import { clockTime, count, parseTime } from '../parts/time.js';
import { Foundations } from './foundations.js';
import { alertsAt } from './limits.js';
import { Measure, type MeasureProps } from './measure.js';
import { KEPT, type LiveState, useLive } from './stream.js';

const fine = new Intl.NumberFormat(undefined, { maximumFractionDigits: 2 });

/** Of a second's visits, the share whose code did not have to be looked up. */
const hitRatio = ({ redirects, not_found: unknown, misses }: Reading): number | null => {
  const visits = redirects + unknown;
  return visits === 0 ? null : (100 * Math.max(0, visits - misses)) / visits;
};

const measures: readonly Omit<MeasureProps, 'readings' | 'isStale'>[] = [
  { label: 'Redirects a second', of: ({ redirects }) => redirects, text: count },
  {
    label: 'p99',
    of: ({ p99_ms: p99 }) => p99,
    text: (value) => `${fine.format(value)} ms`,
    limit: alertsAt.p99Ms,
  },
  { label: 'Hit ratio', of: hitRatio, text: (value) => `${fine.format(value)} %`, top: 100 },
  { label: 'Clicks pending', of: ({ clicks_pending: pending }) => pending, text: count },
];

/** Whether all is well right now: four figures, their last five minutes, and what the server depends on. */
export function LivePage() {
  const live = useLive();
  // What was shown at the time of the pause; readings continue to arrive.
  const [held, setHeld] = useState<LiveState>();
  const { readings, staleSince } = held ?? live;
  const last = readings.at(-1);
  return (
    <article class="live">
      <header class="live-head">
        <h1>Live</h1>
        <div class="live-state">
          <State live={live} held={held} />
          <button
            type="button"
            aria-pressed={held !== undefined}
            aria-disabled={held === undefined && last === undefined}
            onClick={() => setHeld(held === undefined && last !== undefined ? live : undefined)}
          >
            {held === undefined ? 'Pause' : 'Resume'}
          </button>
        </div>
      </header>
      <div class={staleSince === undefined ? 'measures' : 'measures stale'}>
        {measures.map((measure) => (
          <Measure key={measure.label} {...measure} readings={readings} isStale={staleSince !== undefined} />
        ))}
      </div>
      <Foundations last={staleSince === undefined ? last : undefined} />
      <p class="hint live-note">
        One reading a second, for the second before; the last {count(KEPT)} are kept.{' '}
        <span role="status">{missedText(live.missed)}</span>
      </p>
    </article>
  );
}

function State({ live, held }: { readonly live: LiveState; readonly held: LiveState | undefined }) {
  const { error, staleSince, readings } = live;
  if (staleSince !== undefined)
    return (
      <p class="notice warn" role="alert">
        Nothing new since {clockTime(staleSince)}: these numbers are from that time. Reconnecting.
      </p>
    );
  if (error !== undefined) {
    const isAbsent = error instanceof Refused && error.message === 'Not found';
    return <p class="notice">{isAbsent ? 'Live numbers are not available yet' : sentenceOf(error)}</p>;
  }
  const at = (held ?? live).readings.at(-1)?.at;
  if (at === undefined) return <p class="path">Waiting for the first second</p>;
  const time = clockTime(parseTime(at));
  if (held === undefined) return <p class="path">as of {time}</p>;
  const newer = readings.filter((reading) => reading.at > at).length;
  return (
    <p class="state warn">
      <span aria-hidden="true">‖</span> paused at {time}, {count(newer)}
      {newer === KEPT ? ' or more' : ''} newer
    </p>
  );
}

function missedText(missed: number): string {
  if (missed === 0) return 'No reading was missed.';
  return missed === 1 ? '1 reading was missed.' : `${count(missed)} readings were missed.`;
}
