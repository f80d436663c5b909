import type { ListQuery, Page } from '../api/lists.js';
import { eventColumns } from './events.js';
import { urlColumns } from './links.js';
import { userColumns } from './users.js';

/**
 * The SQL of a list, without a name: a page's size belongs to its plan (a small one is read off an
 * index, whatever a plan made for any size would do).
 * @returns columns as `UserRow`, `UrlRow` or `EventRow`; users by id, the others newest first.
 */
export function listSql(query: ListQuery, page?: Page): { text: string; values: string[] } {
  const values: string[] = [];
  const conditions: string[] = [];
  const where = (condition: string, value: string | undefined): void => {
    if (value === undefined) return;
    values.push(value);
    conditions.push(`${condition} $${values.length}`);
  };
  let source: string;
  let order: string;
  switch (query.of) {
    case 'users':
      source = `SELECT ${userColumns} FROM users`;
      order = 'id';
      break;
    case 'urls':
      source = `SELECT ${urlColumns} FROM short_urls`;
      order = 'created_at DESC, id DESC';
      where('user_id =', query.userId);
      where('is_active =', query.isActive === undefined ? undefined : String(query.isActive));
      break;
    case 'events':
      source = `SELECT ${eventColumns} FROM events`;
      order = '"timestamp" DESC, id DESC';
      where('url_id =', query.urlId);
      where('user_id =', query.userId);
      where('event_type =', query.eventType);
      break;
    default:
      throw new Error(`no such list: ${String(query satisfies never)}`);
  }
  const filter = conditions.length > 0 ? ` WHERE ${conditions.join(' AND ')}` : '';
  const window = page === undefined ? '' : ` LIMIT ${page.limit} OFFSET ${page.offset}`;
  return { text: `${source}${filter} ORDER BY ${order}${window}`, values };
}
