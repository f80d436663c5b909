import { useEffect, useState } from 'preact/hooks';
import { askAgain, connection, hasKey, noteAnswer, tryAgain, useKey } from './api/call.js';
import { KeyForm } from './keys/key-form.js';
import { KeysPage } from './keys/page.js';
import { LinkPage } from './link/page.js';
import { LinksPage } from './links/page.js';
import { LivePage } from './live/page.js';
import { usePolling } from './parts/load.js';
import { Shortcuts, useShortcuts } from './parts/shortcuts.js';
import { clockTime } from './parts/time.js';
import { Toasts } from './parts/toast.js';
import { addressOf, go, type Place, usePlace } from './place.js';
import { StatsPage } from './stats/page.js';
import { useStore } from './store.js';
import { applyTheme, isDark, theme } from './theme.js';
import { UsersPage } from './users/page.js';

export function App() {
  const place = usePlace();
  const { wantsKey, isGuarded } = useStore(connection);
  const [isHelpOpen, setHelpOpen] = useState(false);
  useEffect(() => {
    document.title = place.page === 'links' ? 'Switchyard' : `${titles[place.page]} · Switchyard`;
    window.scrollTo(0, 0);
    askAgain();
  }, [place.page]);
  useShortcuts({
    '?': () => setHelpOpen(true),
    '/': () => toField('search'),
    n: () => toField('url'),
  });
  return (
    <>
      <button type="button" class="skip" onClick={skip}>
        Skip to the page
      </button>
      <header class="frame">
        <a class="brand" href={addressOf('links')}>
          <Logo />
          <span>Switchyard</span>
        </a>
        <nav aria-label="Pages">
          <Tab to="links" place={place} pages={['links', 'link']} label="Links" />
          <Tab to="stats" place={place} pages={['stats']} label="Statistics" />
          <Tab to="live" place={place} pages={['live']} label="Live" />
          {isGuarded ? <Tab to="users" place={place} pages={['users']} label="Users" /> : null}
          {isGuarded ? <Tab to="keys" place={place} pages={['keys']} label="Keys" /> : null}
        </nav>
        <div class="frame-end">
          <button type="button" class="quiet wide-only" onClick={() => toField('search')} title="Search: /">
            <kbd>/</kbd> search
          </button>
          <ThemeButton />
          <a class="quiet" href="/docs" title="The API">
            docs
          </a>
          {hasKey() ? (
            <button type="button" class="quiet" onClick={() => useKey('')}>
              Forget key
            </button>
          ) : null}
        </div>
      </header>
      <ConnectionNotice />
      <main id="main" tabIndex={-1}>
        {wantsKey ? (
          <KeyForm path={place.page === 'keys' ? '/keys' : '/urls?limit=1'} />
        ) : (
          <Page place={place} />
        )}
      </main>
      <Toasts />
      {isHelpOpen ? <Shortcuts onClose={() => setHelpOpen(false)} /> : null}
    </>
  );
}

const titles = {
  links: 'Links',
  link: 'Link',
  stats: 'Statistics',
  live: 'Live',
  keys: 'Keys',
  users: 'Users',
} as const;

function Page({ place }: { readonly place: Place }) {
  switch (place.page) {
    case 'links':
      return <LinksPage query={place.query} />;
    case 'link':
      return <LinkPage key={place.id} id={place.id} query={place.query} />;
    case 'stats':
      return <StatsPage query={place.query} />;
    case 'live':
      return <LivePage />;
    case 'keys':
      return <KeysPage />;
    case 'users':
      return <UsersPage query={place.query} />;
    default:
      return place.page satisfies never;
  }
}

interface TabProps {
  readonly to: string;
  readonly place: Place;
  readonly pages: readonly Place['page'][];
  readonly label: string;
}

function Tab({ to, place, pages, label }: TabProps) {
  return (
    <a href={addressOf(to)} {...(pages.includes(place.page) ? { 'aria-current': 'page' } : {})}>
      {label}
    </a>
  );
}

/** Focuses a field by its name; goes to the page of links if it is not on this one. */
function toField(name: string): void {
  const focus = (): boolean => {
    const field = document.querySelector<HTMLInputElement>(`main input[name=${name}]`);
    field?.focus();
    field?.select();
    return field !== null;
  };
  if (focus()) return;
  go(addressOf('links'));
  window.setTimeout(focus, 50);
}

function skip(): void {
  document.getElementById('main')?.focus();
}

function ThemeButton() {
  useStore(theme);
  const next = isDark() ? 'light' : 'dark';
  return (
    <button
      type="button"
      class="icon quiet"
      aria-label={`Switch to ${next}`}
      title={`Switch to ${next}`}
      onClick={() => applyTheme(next)}
    >
      <svg viewBox="0 0 16 16" aria-hidden="true" class="sign">
        {next === 'dark' ? (
          <path d="M13 9.5A5.5 5.5 0 0 1 6.5 3 5.5 5.5 0 1 0 13 9.5z" />
        ) : (
          <path d="M8 5a3 3 0 1 0 0 6 3 3 0 0 0 0-6zM8 1v1.5M8 13.5V15M1 8h1.5M13.5 8H15M3 3l1 1M12 12l1 1M3 13l1-1M12 4l1-1" />
        )}
      </svg>
    </button>
  );
}

const RETRY_MS = 3000;

/** Says that the server does not answer, and since when; retries until it does. */
function ConnectionNotice() {
  const { lostSince } = useStore(connection);
  usePolling(() => {
    if (connection.get().lostSince === undefined) return;
    fetch('/health', { cache: 'no-store', credentials: 'omit' })
      .then((response) => response.ok && noteAnswer())
      .catch(() => undefined);
  }, RETRY_MS);
  if (lostSince === undefined) return null;
  return (
    <p class="notice warn" role="alert">
      {navigator.onLine ? 'The server does not answer.' : 'You are offline.'} What you see is from{' '}
      {clockTime(lostSince)}; it will reconnect by itself.{' '}
      <button type="button" class="quiet" onClick={tryAgain}>
        Try again
      </button>
    </p>
  );
}

function Logo() {
  return (
    <svg viewBox="0 0 16 16" aria-hidden="true" class="logo">
      <rect width="16" height="16" rx="3" />
      <path d="M2.5 11h4.2L11 5h2.5M2.5 5h3" />
    </svg>
  );
}
