import { connection } from '../api/call.js';
import { listLinks } from '../api/links.js';
import { readAllStatistics } from '../api/stats.js';
import { useLoad } from '../parts/load.js';
import { parseTime } from '../parts/time.js';
import { addressOf } from '../place.js';
import { useStore } from '../store.js';
import { type Counted, Statistics } from './statistics.js';

const YEAR_MS = 365 * 86_400_000;

/** Clicks of all links together; with a key of one user, of that user's links. */
export function StatsPage({ query }: { readonly query: URLSearchParams }) {
  const { isGuarded } = useStore(connection);
  const oldest = useLoad(
    (signal) => listLinks(new URLSearchParams({ sort: 'created_at', limit: '1' }), signal),
    [],
  );
  const first = oldest.value?.links[0]?.created_at;
  return (
    <article class="stats">
      <header class="page-head">
        <h1>Statistics</h1>
        <p class="path">{isGuarded ? 'of all links that your key can see' : 'of all links'}</p>
      </header>
      {oldest.isLoading && oldest.value === undefined ? null : (
        <Statistics of={countedSince(first)} query={query}>
          <a class="button" href={addressOf('links')}>
            Back to the links
          </a>
          <p class="hint">Follow one, and the click appears here by itself</p>
        </Statistics>
      )}
    </article>
  );
}

/** A key may permit statistics and no links: then they begin a year ago. */
const countedSince = (oldest: string | undefined): Counted => ({
  read: readAllStatistics,
  place: 'stats',
  since: oldest === undefined ? new Date(Date.now() - YEAR_MS) : parseTime(oldest),
  facts: ['code', 'country', 'referrer', 'browser', 'os', 'device'],
  name: 'all',
});
