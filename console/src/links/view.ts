import { addressOf, go } from '../place.js';

/** The view of the list, all of it in the address. */
export interface View {
  readonly q: string;
  readonly tag: string;
  readonly state: '' | 'active' | 'paused';
  readonly owner: string;
  readonly sort: string;
  readonly after: string;
}

export const sorts = [
  ['', 'Newest'],
  ['created_at', 'Oldest'],
  ['-click_count', 'Most clicks'],
  ['-updated_at', 'Last changed'],
  ['title', 'Title A to Z'],
  ['-title', 'Title Z to A'],
] as const;

export function viewOf(query: URLSearchParams): View {
  const state = query.get('state');
  return {
    q: query.get('q') ?? '',
    tag: query.get('tag') ?? '',
    state: state === 'active' || state === 'paused' ? state : '',
    owner: query.get('owner') ?? '',
    sort: query.get('sort') ?? '',
    after: query.get('after') ?? '',
  };
}

/** A changed view begins at its first page. */
export function show(view: View, change: Partial<View>, how: 'push' | 'replace' = 'push'): void {
  go(addressOf('links', { ...view, after: '', ...change }), how);
}

export const isFiltered = ({ q, tag, state, owner }: View): boolean => `${q}${tag}${state}${owner}` !== '';

export const SEARCH_MIN = 3;
export const PAGE_SIZE = 50;

/** A short URL of this server is looked up by its code, as is a text too short for a search. */
function searchOf(q: string): Readonly<Record<string, string>> {
  const text = q.trim();
  if (text === '') return {};
  const bare = text.replace(/^https?:\/\//i, '');
  const here = `${window.location.host}/`;
  if (bare.toLowerCase().startsWith(here.toLowerCase()) && !bare.slice(here.length).includes('/'))
    return { short_code: decoded(bare.slice(here.length)).replace(/[+?#].*$/, '') || text };
  return isShort(text) ? { short_code: text } : { q: text.slice(0, 100) };
}

const isShort = (text: string): boolean => [...text].length < SEARCH_MIN;

/** A `%` that encodes nothing stays as it is. */
function decoded(path: string): string {
  try {
    return decodeURI(path);
  } catch {
    return path;
  }
}

/** Whether what was typed is compared with short codes alone. */
export const isOnlyCode = ({ q }: View): boolean => q.trim() !== '' && isShort(q.trim());

/** The filters in the API's terms. */
export function filtersOf({ q, tag, state, owner, sort }: View): URLSearchParams {
  const query = new URLSearchParams({
    ...searchOf(q),
    ...(state === '' ? {} : { is_active: String(state === 'active') }),
    ...(owner === '' ? {} : { user_id: owner }),
    ...(sort === '' ? {} : { sort }),
  });
  for (const one of tag.split(',').filter((text) => text !== '')) query.append('tag', one);
  return query;
}
