import { call, send } from './call.js';
import {
  type BulkCreate,
  type BulkDelete,
  type BulkUpdate,
  type Event,
  type Link,
  type LinkChange,
  type NewLink,
  routes,
  type ShortLink,
} from './types.js';

export interface LinkPage {
  readonly links: readonly Link[];
  /** The cursor of the next page. */
  readonly next: string | undefined;
  readonly total: number | undefined;
  /** Whether there are more than `total`. */
  readonly isMinimum: boolean;
}

export const linkPath = (id: number | string): string => routes.link.replace(':id', String(id));

export async function listLinks(query: URLSearchParams, signal?: AbortSignal): Promise<LinkPage> {
  const response = await send(routes.links, { query, signal });
  const total = response.headers.get('x-total-count');
  return {
    links: (await response.json()) as Link[],
    next: nextOf(response),
    total: total === null ? undefined : Number(total),
    isMinimum: response.headers.get('x-total-is-minimum') === 'true',
  };
}

/** The cursor of the next page, from the header Link. */
export function nextOf(response: Response): string | undefined {
  const [, address] = /<([^>]+)>;\s*rel="next"/.exec(response.headers.get('link') ?? '') ?? [];
  return address === undefined
    ? undefined
    : (new URL(address, window.location.href).searchParams.get('after') ?? undefined);
}

export const readLink = (id: string, signal?: AbortSignal): Promise<Link> =>
  call<Link>(linkPath(id), { signal });

export const shorten = (link: NewLink & { url: string }): Promise<ShortLink> =>
  call<ShortLink>(routes.shorten, { method: 'POST', body: link });

export const changeLink = (id: number, change: LinkChange): Promise<Link> =>
  call<Link>(linkPath(id), { method: 'PATCH', body: change });

export const createLinks = (urls: readonly (NewLink & { original_url: string })[]): Promise<BulkCreate> =>
  call<BulkCreate>(routes.bulk, { method: 'POST', body: { urls } });

export const changeLinks = (ids: readonly number[], set: LinkChange): Promise<BulkUpdate> =>
  call<BulkUpdate>(routes.bulk, { method: 'PATCH', body: { ids, set } });

export const deleteLinks = (ids: readonly number[], keepalive: boolean): Promise<BulkDelete> =>
  call<BulkDelete>(routes.bulk, { method: 'DELETE', body: { ids }, keepalive });

export const listEvents = (query: Readonly<Record<string, string>>, signal?: AbortSignal): Promise<Event[]> =>
  call<Event[]>(routes.events, { query, signal });
