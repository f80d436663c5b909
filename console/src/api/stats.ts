import { call } from './call.js';
import { routes, type Statistics } from './types.js';

export type Counts = Pick<Statistics, 'clicks' | 'previews'>;

/** What a link's clicks are counted by here. */
export const facts = ['country', 'referrer', 'browser', 'device'] as const;
export type Fact = (typeof facts)[number];

export const readStatistics = (
  id: string,
  query: Readonly<Record<string, string>>,
  signal?: AbortSignal,
): Promise<Statistics> => call<Statistics>(routes.linkStats.replace(':id', id), { query, signal });
