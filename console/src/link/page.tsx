import { useState } from 'preact/hooks';
import { Refused } from '../api/call.js';
import { readLink } from '../api/links.js';
import { readStatistics } from '../api/stats.js';
import type { Link } from '../api/types.js';
import { EditDialog } from '../links/edit-dialog.js';
import { doomed, removeWithUndo, setActive } from '../links/remove.js';
import { State, stateOf } from '../links/state.js';
import { Copy } from '../parts/copy.js';
import { useLoad } from '../parts/load.js';
import { Qr } from '../parts/qr.js';
import { useShortcuts } from '../parts/shortcuts.js';
import { spoken, Target } from '../parts/target.js';
import { parseTime, Time } from '../parts/time.js';
import { Waiting } from '../parts/waiting.js';
import { addressOf, go } from '../place.js';
import { type Counted, Statistics } from '../stats/statistics.js';
import { useStore } from '../store.js';
import { History } from './history.js';
import { LatestClicks } from './latest.js';
import { Reason } from './reason.js';

/** Everything about one link on one page, without tabs. */
export function LinkPage({ id, query }: { readonly id: string; readonly query: URLSearchParams }) {
  const link = useLoad((signal) => readLink(id, signal), [id]);
  const gone = useStore(doomed);
  const { value, error } = link;
  if (error instanceof Refused && error.status === 404) return <Unknown text="There is no such link." />;
  if (value !== undefined && gone.has(value.id)) return <Unknown text={`${value.short_code} is deleted.`} />;
  if (value === undefined) return <Waiting of={link} />;
  return <One link={value} query={query} onChange={link.reload} />;
}

function Unknown({ text }: { readonly text: string }) {
  return (
    <div class="empty">
      <h1>{text}</h1>
      <a class="button" href={addressOf('links')}>
        Back to the links
      </a>
    </div>
  );
}

interface OneProps {
  readonly link: Link;
  readonly query: URLSearchParams;
  readonly onChange: () => void;
}

function One({ link, query, onChange }: OneProps) {
  const [isEditing, setEditing] = useState(false);
  const remove = (): void => {
    removeWithUndo([link], () => undefined);
    go(addressOf('links'));
  };
  useShortcuts({
    e: () => setEditing(true),
    c: () => document.querySelector<HTMLElement>('.link-head .copy button')?.click(),
  });
  return (
    <article class="link">
      <header class="link-head">
        <div class="link-name">
          <h1 dir="ltr">
            <a href={link.short_url} target="_blank" rel="noreferrer noopener">
              {spoken(link.short_url)}
            </a>
          </h1>
          <Copy text={link.short_url} />
        </div>
        <div class="link-actions">
          <button type="button" onClick={() => setEditing(true)}>
            Edit
          </button>
          <button type="button" onClick={() => void setActive([link], !link.is_active, onChange)}>
            {link.is_active ? 'Pause' : 'Resume'}
          </button>
          <button type="button" class="danger" onClick={remove}>
            Delete
          </button>
        </div>
        {link.title === null || link.title === '' ? null : (
          <p class="link-title" dir="auto">
            {link.title}
          </p>
        )}
        <p class="link-target">
          <span aria-hidden="true">→ </span>
          <Target url={link.original_url} isWhole />
          <Copy text={link.original_url} of="the target" isIcon />
        </p>
        <p class="link-facts">
          <State link={link} isPlainShown />
          <span>{link.redirect_status}</span>
          <span>
            made <Time at={link.created_at} />
          </span>
          {link.max_clicks === null ? null : <span>at most {link.max_clicks} clicks</span>}
          {link.has_password ? <span>protected by a password</span> : null}
          {link.forward_query ? <span>passes on the query</span> : null}
          {link.user_id === null ? null : <span>user {link.user_id}</span>}
          {link.tags.map((tag) => (
            <a key={tag} class="tag" href={addressOf('links', { tag })}>
              {tag}
            </a>
          ))}
        </p>
        <Reason
          link={link}
          onResume={() => void setActive([link], true, onChange)}
          onEdit={() => setEditing(true)}
        />
      </header>
      <Statistics of={countedOf(link)} query={query}>
        {stateOf(link) === 'active' ? (
          <>
            <a class="button" href={link.short_url} target="_blank" rel="noreferrer noopener">
              Follow it
            </a>
            <p class="hint">and the click appears here by itself</p>
          </>
        ) : null}
      </Statistics>
      <div class="link-rest">
        <LatestClicks link={link} onNew={onChange} />
        <History link={link} />
        <section class="link-qr" aria-label="QR code">
          <h2>QR code</h2>
          <Qr id={link.id} url={link.short_url} code={link.short_code} size={180} />
        </section>
      </div>
      {isEditing ? (
        <EditDialog link={link} onClose={() => setEditing(false)} onDone={onChange} tags={link.tags} />
      ) : null}
    </article>
  );
}

const countedOf = ({ id, short_code: name, created_at: since, click_count: clicks }: Link): Counted => ({
  read: (query, signal) => readStatistics(String(id), query, signal),
  place: `links/${id}`,
  since: parseTime(since),
  facts: ['country', 'referrer', 'browser', 'device'],
  name,
  clicks,
});
