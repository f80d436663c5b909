import { call } from './call.js';
import { routes, type Statistics } from './types.js';

export type Counts = Pick<Statistics, 'clicks' | 'previews'>;

/** The properties by which clicks are counted here. */
export type Fact = 'country' | 'referrer' | 'browser' | 'os' | 'device' | 'code';

type Query = Readonly<Record<string, string>>;

export const readStatistics = (id: string, query: Query, signal?: AbortSignal): Promise<Statistics> =>
  call<Statistics>(routes.linkStats.replace(':id', id), { query, signal });

/** Of all links that the key can see. */
export const readAllStatistics = (query: Query, signal?: AbortSignal): Promise<Statistics> =>
  call<Statistics>(routes.stats, { query, signal });
