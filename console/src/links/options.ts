import type { Link, NewLink } from '../api/types.js';
import { fromLocalField, toLocalField } from '../parts/time.js';

/** The options of a link, as typed. */
export interface Options {
  readonly title: string;
  readonly tags: string;
  readonly expires_at: string;
  readonly valid_since: string;
  readonly expired_url: string;
  readonly max_clicks: string;
  readonly password: string;
  readonly redirect_status: string;
  readonly cache_seconds: string;
  readonly forward_query: boolean;
  readonly is_active: boolean;
  /** The rest is for new links only. */
  readonly user_id: string;
  readonly code_length: string;
  readonly find_if_exists: boolean;
}

export const noOptions: Options = {
  title: '',
  tags: '',
  expires_at: '',
  valid_since: '',
  expired_url: '',
  max_clicks: '',
  password: '',
  redirect_status: '',
  cache_seconds: '',
  forward_query: false,
  is_active: true,
  user_id: '',
  code_length: '',
  find_if_exists: false,
};

export function optionsOf(link: Link): Options {
  return {
    title: link.title ?? '',
    tags: link.tags.join(', '),
    expires_at: toLocalField(link.expires_at),
    valid_since: toLocalField(link.valid_since),
    expired_url: link.expired_url ?? '',
    max_clicks: link.max_clicks === null ? '' : String(link.max_clicks),
    password: '',
    redirect_status: String(link.redirect_status),
    cache_seconds: link.cache_seconds === null ? '' : String(link.cache_seconds),
    forward_query: link.forward_query,
    is_active: link.is_active,
    user_id: '',
    code_length: '',
    find_if_exists: false,
  };
}

export const tagsOf = (text: string): string[] =>
  text
    .split(',')
    .map((tag) => tag.trim())
    .filter((tag) => tag !== '');

/** Anything but a number is sent as typed: the API says what is wrong with it. */
const numberOf = (text: string): number | null => {
  const typed = text.trim();
  if (typed === '') return null;
  return /^-?\d+(\.\d+)?$/.test(typed) ? Number(typed) : (typed as unknown as number);
};

/** All options in the API's terms; an empty field is `null`. */
function wordsOf(options: Options) {
  return {
    title: options.title,
    tags: tagsOf(options.tags),
    expires_at: fromLocalField(options.expires_at),
    valid_since: fromLocalField(options.valid_since),
    expired_url: options.expired_url.trim() === '' ? null : options.expired_url.trim(),
    max_clicks: numberOf(options.max_clicks),
    cache_seconds: numberOf(options.cache_seconds),
    forward_query: options.forward_query,
    is_active: options.is_active,
    find_if_exists: options.find_if_exists,
    ...(options.user_id.trim() === '' ? {} : { user_id: numberOf(options.user_id) }),
    ...(options.code_length.trim() === '' ? {} : { code_length: numberOf(options.code_length) }),
    ...(options.redirect_status === '' ? {} : { redirect_status: Number(options.redirect_status) }),
    ...(options.password === '' ? {} : { password: options.password }),
  };
}

/** Only what differs from before, because somebody else may have changed the rest meanwhile. */
export function changesOf(options: Options, before: Options): Partial<NewLink> {
  const words = wordsOf(options);
  const changed = Object.entries(words).filter(
    ([name]) => options[name as keyof Options] !== before[name as keyof Options],
  );
  return Object.fromEntries(changed) as Partial<NewLink>;
}
