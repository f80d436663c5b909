import { useEffect, useRef, useState } from 'preact/hooks';
import { Refused, sentenceOf } from '../api/call.js';
import { listEvents } from '../api/links.js';
import type { Event, Link } from '../api/types.js';
import { stateOf } from '../links/state.js';
import { useLoad, usePolling } from '../parts/load.js';
import { Time } from '../parts/time.js';

const POLL_MS = 4000;
const SHOWN = 20;

/** The latest clicks and previews; a new one appears within ten seconds, and is marked for a moment. */
export function LatestClicks({ link, onNew }: { readonly link: Link; readonly onNew: () => void }) {
  const id = String(link.id);
  const events = useLoad(
    async (signal) => {
      const kinds = ['click', 'preview'].map((kind) =>
        listEvents({ url_id: id, event_type: kind, limit: String(SHOWN) }, signal),
      );
      return (await Promise.all(kinds))
        .flat()
        .sort((a, b) => b.id - a.id)
        .slice(0, SHOWN);
    },
    [id],
  );
  usePolling(events.reload, POLL_MS);
  const [fresh, setFresh] = useState<ReadonlySet<number>>(new Set());
  const known = useRef<number>(undefined);
  useEffect(() => {
    const all = events.value;
    if (all === undefined) return;
    const newest = Math.max(0, ...all.map((event) => event.id));
    const before = known.current;
    if (before !== undefined && newest > before) {
      setFresh(new Set(all.filter((event) => event.id > before).map((event) => event.id)));
      onNew();
    }
    known.current = newest;
  }, [events.value]);
  return (
    <section class="latest" aria-label="Latest clicks">
      <h2>Latest clicks</h2>
      {events.value === undefined && events.error !== undefined ? (
        <p class="hint">{reasonOf(events.error)}</p>
      ) : null}
      {events.value?.length === 0 ? (
        <p class="hint">
          Nobody has followed it yet.{' '}
          {stateOf(link) === 'active' ? (
            <>
              <a href={link.short_url} target="_blank" rel="noreferrer noopener">
                Follow it
              </a>{' '}
              and the click appears here.
            </>
          ) : null}
        </p>
      ) : null}
      <ol class="events" aria-live="polite" aria-relevant="additions">
        {(events.value ?? []).map((event) => (
          <li key={event.id} class={fresh.has(event.id) ? 'fresh' : ''}>
            <span>{event.event_type}</span>
            <span class="path" dir="auto">
              {factsOf(event)}
            </span>
            <Time at={event.timestamp} />
          </li>
        ))}
      </ol>
    </section>
  );
}

export function reasonOf(error: unknown): string {
  if (error instanceof Refused && error.status === 403) return 'Your key may not read events';
  return sentenceOf(error);
}

/** What is known about the visitor, as text, whatever they sent. */
function factsOf({ details }: Event): string {
  const facts = ['country', 'referrer', 'browser', 'os', 'device'].map((name) => details[name]);
  return facts.filter((fact) => typeof fact === 'string' && fact !== '').join(' · ');
}
