import { call } from './call.js';
import { linkPath } from './links.js';

export interface Counts {
  readonly clicks: number;
  readonly previews: number;
}

export type Fact = 'country' | 'referrer' | 'browser' | 'os' | 'device' | 'code';

export interface Statistics extends Counts {
  readonly from: string;
  readonly to: string;
  readonly interval: 'minute' | 'hour' | 'day' | 'week' | 'month';
  readonly timezone: string;
  readonly as_of: string;
  readonly series: readonly (Counts & { readonly start: string })[];
  readonly by?: Readonly<Partial<Record<Fact, readonly (Counts & { readonly value: string | null })[]>>>;
  readonly other?: Readonly<Partial<Record<Fact, Counts>>>;
}

export const readStatistics = (
  id: string,
  query: Readonly<Record<string, string>>,
  signal?: AbortSignal,
): Promise<Statistics> => call<Statistics>(`${linkPath(id)}/stats`, { query, signal });
