import { ownZone } from '../parts/time.js';

/** The period shown, all of it in the address. */
export interface Period {
  readonly range: '24h' | '7d' | '30d' | '90d' | 'all' | 'custom';
  /** Dates, `YYYY-MM-DD`, of a chosen range. */
  readonly from: string;
  readonly to: string;
  readonly timezone: string;
}

export const ranges = [
  ['24h', '24 h'],
  ['7d', '7 d'],
  ['30d', '30 d'],
  ['90d', '90 d'],
  ['all', 'All'],
  ['custom', 'Dates'],
] as const;

export function periodOf(query: URLSearchParams): Period {
  const range = ranges.find(([name]) => name === query.get('range'))?.[0] ?? '30d';
  return {
    range,
    from: query.get('from') ?? '',
    to: query.get('to') ?? '',
    timezone: query.get('tz') ?? ownZone,
  };
}

const DAY_MS = 86_400_000;
const days = { '24h': 1, '7d': 7, '30d': 30, '90d': 90 } as const;

/** A period in the API's terms. Beyond a week, hours are summed to days. */
export function queryOf(period: Period, createdAt: Date, now = new Date()): Record<string, string> {
  const { timezone } = period;
  const iso = (date: Date): string => date.toISOString().slice(0, 19);
  if (period.range === 'custom' && period.from !== '') {
    const until =
      period.to === '' ? {} : { to: iso(new Date(new Date(`${period.to}T00:00:00Z`).getTime() + DAY_MS)) };
    return { from: `${period.from}T00:00:00`, ...until, interval: 'day', timezone };
  }
  if (period.range === 'all' || period.range === 'custom') {
    const age = (now.getTime() - createdAt.getTime()) / DAY_MS;
    const interval = age > 1900 ? 'month' : age > 200 ? 'week' : 'day';
    return { from: iso(createdAt), interval, timezone };
  }
  const interval = period.range === '24h' ? 'hour' : 'day';
  return { from: iso(new Date(now.getTime() - days[period.range] * DAY_MS)), interval, timezone };
}

/** The period of the same length before it, for comparison; `undefined` if there is none. */
export function queryBefore(period: Period, now = new Date()): Record<string, string> | undefined {
  if (period.range === 'all' || period.range === 'custom') return undefined;
  const length = days[period.range] * DAY_MS;
  const iso = (ago: number): string => new Date(now.getTime() - ago).toISOString().slice(0, 19);
  return {
    from: iso(2 * length),
    to: iso(length),
    interval: period.range === '24h' ? 'hour' : 'day',
    timezone: period.timezone,
  };
}
