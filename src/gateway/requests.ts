import type { ListQuery, Page } from '../api/lists.js';
import {
  isNewTarget,
  isStorable,
  Longest,
  startsWithHttp,
  usableEmail,
  usableId,
  usableName,
} from '../api/values.js';
import type { ErrorCode } from '../errors.js';
import type { CallRequest } from '../messages/calls.js';
import { isObject, type JsonObject } from './http/json.js';

/**
 * From what clients send to calls: each function returns the call, or the error that the contract
 * has for what is wrong with it.
 */
export type Parsed<T = CallRequest> = { readonly ok: true; readonly value: T } | Invalid;

interface Invalid {
  readonly ok: false;
  readonly error: ErrorCode;
}

function valid<T>(value: T): Parsed<T> {
  return { ok: true, value };
}

function invalid(error: ErrorCode): Invalid {
  return { ok: false, error };
}

export function parseCreateUser({ members }: JsonObject): Parsed {
  const username = nameOf(members.username);
  if (username === undefined) return invalid('MISSING_USERNAME');
  const email = emailOf(members.email);
  if (email === undefined) return invalid('MISSING_EMAIL');
  return valid({ op: 'createUser', username, email });
}

export function parseUpdateUser(id: string, { members }: JsonObject): Parsed {
  const username = nameOf(members.username);
  if ('username' in members && username === undefined) return invalid('INVALID_USERNAME');
  const email = emailOf(members.email);
  if ('email' in members && email === undefined) return invalid('INVALID_EMAIL');
  return valid({ op: 'updateUser', id, username, email });
}

/** POST /shorten; a body that is no JSON object has no `url` either. */
export function parseShorten(json: JsonObject | undefined): Parsed {
  const url = json?.members.url;
  if (url === undefined || url === null || url === '') return invalid('MISSING_URL');
  if (typeof url !== 'string' || !startsWithHttp(url)) return invalid('URL_SCHEME');
  if (!isNewTarget(url)) return invalid('INVALID_URL');
  return valid({ op: 'createUrl', originalUrl: url, title: '', userId: null });
}

export function parseCreateUrl({ members }: JsonObject): Parsed {
  const originalUrl = members.original_url;
  if (typeof originalUrl !== 'string' || !isNewTarget(originalUrl)) return invalid('INVALID_ORIGINAL_URL');
  const title = members.title ?? '';
  if (typeof title !== 'string' || !isStorable(title, Longest.title)) return invalid('INVALID_TITLE');
  const userId = idOf(members.user_id, 'INVALID_USER_ID', 'USER_NOT_FOUND');
  if (!userId.ok) return userId;
  return valid({ op: 'createUrl', originalUrl, title, userId: userId.value });
}

export function parseUpdateUrl(id: string, { members }: JsonObject): Parsed {
  const { title, is_active: isActive, original_url: originalUrl } = members;
  if (title !== undefined && (typeof title !== 'string' || !isStorable(title, Longest.title))) {
    return invalid('INVALID_TITLE');
  }
  if (isActive !== undefined && typeof isActive !== 'boolean') return invalid('INVALID_IS_ACTIVE');
  if (originalUrl !== undefined && (typeof originalUrl !== 'string' || !isNewTarget(originalUrl))) {
    return invalid('INVALID_ORIGINAL_URL');
  }
  // Nothing of ours in it: the link as it is, and no `updated` event.
  if (title === undefined && isActive === undefined && originalUrl === undefined) {
    return valid({ op: 'getUrl', id });
  }
  return valid({ op: 'updateUrl', id, title, isActive, originalUrl });
}

export function parseCreateEvent(json: JsonObject): Parsed {
  const { members } = json;
  const eventType = members.event_type;
  if (typeof eventType !== 'string' || eventType.trim() === '' || !isStorable(eventType, Longest.eventType)) {
    return invalid('INVALID_EVENT_TYPE');
  }
  const details = detailsOf(json);
  if (details === undefined) return invalid('INVALID_DETAILS');
  const urlId = idOf(members.url_id, 'INVALID_URL_ID', 'URL_NOT_FOUND');
  if (!urlId.ok) return urlId;
  const userId = idOf(members.user_id, 'INVALID_USER_ID', 'USER_NOT_FOUND');
  if (!userId.ok) return userId;
  return valid({ op: 'createEvent', urlId: urlId.value, userId: userId.value, eventType, details });
}

/** What a list is asked for; without a page, the whole of it. */
export function parseList(of: ListQuery['of'], query: string): Parsed<{ query: ListQuery; page?: Page }> {
  const parameters = new URLSearchParams(query);
  const page = pageOf(parameters);
  if (!page.ok) return page;
  const filters = filtersOf(of, parameters);
  if (!filters.ok) return filters;
  return valid(
    page.value === undefined ? { query: filters.value } : { query: filters.value, page: page.value },
  );
}

function filtersOf(of: ListQuery['of'], parameters: URLSearchParams): Parsed<ListQuery> {
  if (of === 'users') return valid({ of });
  const userId = filterId(parameters, 'user_id', 'INVALID_USER_ID');
  if (!userId.ok) return userId;
  switch (of) {
    case 'urls': {
      const isActive = parameters.get('is_active')?.toLowerCase() || undefined;
      if (isActive !== undefined && isActive !== 'true' && isActive !== 'false')
        return invalid('INVALID_IS_ACTIVE');
      return valid({
        of,
        userId: userId.value,
        isActive: isActive === undefined ? undefined : isActive === 'true',
      });
    }
    case 'events': {
      const urlId = filterId(parameters, 'url_id', 'INVALID_URL_ID');
      if (!urlId.ok) return urlId;
      const eventType = parameters.get('event_type') || undefined;
      if (eventType !== undefined && (eventType.includes('\0') || !eventType.isWellFormed())) {
        return invalid('INVALID_EVENT_TYPE');
      }
      return valid({ of, userId: userId.value, urlId: urlId.value, eventType });
    }
    default:
      throw new Error(`no such list: ${String(of satisfies never)}`);
  }
}

/** An id that no row can have is kept as one that no row has. */
function filterId(parameters: URLSearchParams, name: string, error: ErrorCode): Parsed<string | undefined> {
  const text = parameters.get(name)?.trim();
  if (text === undefined || text === '') return valid(undefined);
  if (/^-?\d{1,40}$/.test(text)) return valid(usableId(text) ?? '-1');
  return invalid(error);
}

/** The largest offset that PostgreSQL takes, and far past any list's end. */
const LARGEST_OFFSET = Number.MAX_SAFE_INTEGER;
const LARGEST_LIMIT = 1_000_000_000;

function pageOf(parameters: URLSearchParams): Parsed<Page | undefined> {
  const pageText = parameters.get('page')?.trim() || undefined;
  const sizeText = parameters.get('per_page')?.trim() || undefined;
  for (const text of [pageText, sizeText]) {
    if (text !== undefined && !/^\+?\d{1,40}$/.test(text)) return invalid('INVALID_PAGE');
  }
  if (pageText === undefined || sizeText === undefined) return valid(undefined);
  const number = Math.max(1, Number(pageText));
  const limit = Math.min(LARGEST_LIMIT, Number(sizeText));
  return valid({ limit, offset: Math.min(LARGEST_OFFSET, (number - 1) * limit) });
}

function nameOf(value: unknown): string | undefined {
  return typeof value === 'string' ? usableName(value, Longest.username) : undefined;
}

function emailOf(value: unknown): string | undefined {
  return typeof value === 'string' ? usableEmail(value) : undefined;
}

/** An optional id in a body: null counts as absent, a number that no row can have as an unknown id. */
function idOf(value: unknown, wrongType: ErrorCode, unknown: ErrorCode): Parsed<string | null> {
  if (value === undefined || value === null) return valid(null);
  if (typeof value !== 'number' || !Number.isInteger(value)) return invalid(wrongType);
  if (value < 1 || !Number.isSafeInteger(value)) return invalid(unknown);
  return valid(String(value));
}

function detailsOf(json: JsonObject): string | undefined {
  const details = json.members.details;
  if (details === undefined) return '{}';
  return isObject(details) ? json.textOf('details') : undefined;
}
