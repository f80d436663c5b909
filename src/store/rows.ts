import type { ListQuery } from '../api/lists.js';
import type { EventRow } from './events.js';
import type { UrlRow } from './links.js';
import type { UserRow } from './users.js';

/**
 * Rows as the API shows them. Ids and details go through as PostgreSQL's own text: a number stays
 * exact, and JSON is not read only to be written again.
 */
export function userJson(row: UserRow): string {
  const [id, username, email, createdAt] = row;
  return `{"id":${id},"username":${JSON.stringify(username)},"email":${JSON.stringify(email)},"created_at":${time(createdAt)}}`;
}

export function urlJson(row: UrlRow): string {
  const [id, userId, shortCode, originalUrl, title, isActive, createdAt, updatedAt, clickCount] = row;
  return (
    `{"id":${id},"user_id":${userId ?? 'null'},"short_code":${JSON.stringify(shortCode)}` +
    `,"original_url":${JSON.stringify(originalUrl)},"title":${JSON.stringify(title)}` +
    `,"is_active":${isActive === 't'},"created_at":${time(createdAt)},"updated_at":${time(updatedAt)}` +
    `,"click_count":${clickCount}}`
  );
}

export function eventJson(row: EventRow): string {
  const [id, urlId, userId, eventType, timestamp, details] = row;
  return (
    `{"id":${id},"url_id":${urlId ?? 'null'},"user_id":${userId ?? 'null'}` +
    `,"event_type":${JSON.stringify(eventType)},"timestamp":${time(timestamp)},"details":${details}}`
  );
}

/** How a row of this list becomes JSON. */
export function rowFormatter(of: ListQuery['of']): (row: readonly (string | null)[]) => string {
  switch (of) {
    case 'users':
      return (row) => userJson(row as UserRow);
    case 'urls':
      return (row) => urlJson(row as UrlRow);
    case 'events':
      return (row) => eventJson(row as EventRow);
    default:
      throw new Error(`no such list: ${String(of satisfies never)}`);
  }
}

/** `2026-01-31 12:00:00.123` becomes `"2026-01-31T12:00:00"`. */
function time(timestamp: string): string {
  return `"${timestamp.slice(0, 10)}T${timestamp.slice(11, 19)}"`;
}
