import { createStore, useStore } from './store.js';

/**
 * The place in the console, all of it in the address after `#`: going back works, a view can be sent to a
 * colleague, and the server serves one page only.
 */
export interface Place {
  readonly page: 'links' | 'link' | 'stats' | 'live' | 'keys' | 'users';
  /** The link's id, on the page of one link. */
  readonly id: string;
  readonly query: URLSearchParams;
}

function read(): Place {
  const [path = '', query = ''] = window.location.hash.replace(/^#\/?/, '').split(/\?(.*)/s);
  const [first = '', id = ''] = path.split('/');
  const parameters = new URLSearchParams(query);
  if (first === 'links' && /^\d+$/.test(id)) return { page: 'link', id, query: parameters };
  if (first === 'stats' || first === 'live' || first === 'keys' || first === 'users')
    return { page: first, id: '', query: parameters };
  return { page: 'links', id: '', query: parameters };
}

const place = createStore(read());
window.addEventListener('hashchange', () => place.set(read()));

export function usePlace(): Place {
  return useStore(place);
}

/** An address within the console, without empty parameters. */
export function addressOf(
  path: string,
  query: Readonly<Record<string, string>> | URLSearchParams = {},
): string {
  const parameters = new URLSearchParams(query);
  for (const [name, value] of [...parameters]) if (value === '') parameters.delete(name, value);
  const text = parameters.toString();
  return `#/${path}${text === '' ? '' : `?${text}`}`;
}

export function go(address: string, how: 'push' | 'replace' = 'push'): void {
  if (how === 'push') window.location.hash = address;
  else {
    window.history.replaceState(null, '', address);
    place.set(read());
  }
}
