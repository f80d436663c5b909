import { listEvents } from '../api/links.js';
import type { Event, Link } from '../api/types.js';
import { useLoad } from '../parts/load.js';
import { Target } from '../parts/target.js';
import { Time } from '../parts/time.js';
import { reasonOf } from './latest.js';

/** The changes of a link, newest first. */
export function History({ link }: { readonly link: Link }) {
  const id = String(link.id);
  const events = useLoad(
    async (signal) => {
      const kinds = ['created', 'updated'].map((kind) =>
        listEvents({ url_id: id, event_type: kind, limit: '50' }, signal),
      );
      return (await Promise.all(kinds)).flat().sort((a, b) => b.id - a.id);
    },
    [id, link.updated_at],
  );
  return (
    <section class="history" aria-label="What changed">
      <h2>What changed</h2>
      {events.value === undefined && events.error !== undefined ? (
        <p class="hint">{reasonOf(events.error)}</p>
      ) : null}
      {events.value?.length === 0 ? <p class="hint">No changes recorded</p> : null}
      <ol class="events">
        {(events.value ?? []).map((event) => (
          <li key={event.id}>
            <span>{event.event_type}</span>
            <span class="history-what">
              <Change event={event} />
              {event.user_id === null ? null : <span class="path"> · user {event.user_id}</span>}
            </span>
            <Time at={event.timestamp} />
          </li>
        ))}
      </ol>
    </section>
  );
}

function Change({ event }: { readonly event: Event }) {
  const { original_url: target, title, is_active: isActive, changed } = event.details;
  if (event.event_type === 'created') return typeof target === 'string' ? <Target url={target} /> : null;
  const parts = [
    isActive === false ? 'paused' : '',
    typeof title === 'string' && title !== '' ? `title “${title}”` : '',
    Array.isArray(changed) ? changed.join(', ') : '',
  ].filter((part) => part !== '');
  return (
    <>
      {typeof target === 'string' ? <Target url={target} /> : null}
      <span dir="auto" class="path">
        {typeof target === 'string' && parts.length > 0 ? ' · ' : ''}
        {parts.join(' · ')}
      </span>
    </>
  );
}
