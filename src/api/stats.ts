import type { ErrorCode } from '../errors.js';
import { instant, pathId } from './fields.js';
import { isTimeZone } from './intervals.js';
import { route } from './route.js';
import type { Z } from './schema.js';

/** The properties of a click by which it can be counted. */
const facts = ['country', 'referrer', 'browser', 'os', 'device'] as const;
const factsAndCode = [...facts, 'code'] as const;

export type StatsField = (typeof factsAndCode)[number];

const MAX_VALUES = 100;
const DEFAULT_VALUES = 10;

/** A comma-separated list of properties to count by, each once. */
function fields<const Name extends StatsField>(z: Z, known: readonly Name[], error: ErrorCode) {
  return z
    .string()
    .transform((text, context): Name[] => {
      const names = text.split(',').map((name) => known.find((one) => one === name.trim()));
      if (names.every((name) => name !== undefined)) return [...new Set(names)];
      context.addIssue({ code: 'custom', message: error });
      return z.NEVER;
    })
    .meta({ description: `a list of ${known.join(', ')}, by commas` })
    .optional();
}

function parameters(z: Z) {
  const limitError: { error: ErrorCode } = { error: 'INVALID_VALUES_LIMIT' };
  return {
    from: instant(z, 'INVALID_FROM'),
    to: instant(z, 'INVALID_TO'),
    interval: z
      .enum(['minute', 'hour', 'day', 'week', 'month'], { error: 'INVALID_INTERVAL' satisfies ErrorCode })
      .optional(),
    timezone: z
      .string()
      .refine(isTimeZone, { error: 'INVALID_TIMEZONE' satisfies ErrorCode })
      .meta({ description: 'a name of the IANA time zone database', examples: ['Europe/Berlin'] })
      .default('UTC'),
    limit: z
      .string()
      .regex(/^\d{1,3}$/, limitError)
      .transform(Number)
      .refine((limit) => limit >= 1 && limit <= MAX_VALUES, limitError)
      .meta({ type: 'integer', minimum: 1, maximum: MAX_VALUES })
      .default(DEFAULT_VALUES),
  };
}

const shared = {
  method: 'GET',
  scope: 'stats:read',
  performs: 'call',
  kind: 'read',
  bodyLimit: 'none',
  headers: [],
  barrier: 'none',
  status: 200,
} as const;

const errors = [
  'INVALID_FROM',
  'INVALID_TO',
  'FROM_NOT_BEFORE_TO',
  'INVALID_INTERVAL',
  'TOO_MANY_INTERVALS',
  'MINUTES_TOO_OLD',
  'INVALID_TIMEZONE',
  'INVALID_VALUES_LIMIT',
  'UNKNOWN_PARAMETER',
] as const satisfies readonly ErrorCode[];

export const statsRoutes = [
  route({
    ...shared,
    path: '/urls/:id/stats',
    summary: 'clicks and previews of a link over time, and by country, referrer, browser, os, device',
    operation: 'getLinkStats',
    answer: { one: 'Statistics' },
    params: (z) => z.object({ id: pathId(z, 'URL_NOT_FOUND') }),
    query: (z) => z.object({ ...parameters(z), by: fields(z, facts, 'INVALID_BY') }),
    errors: [...errors, 'INVALID_BY', 'URL_NOT_FOUND'],
  }),
  route({
    ...shared,
    path: '/stats',
    summary:
      'clicks and previews of all links over time, and by country, referrer, browser, os, device, code',
    operation: 'getStats',
    answer: { one: 'Statistics' },
    query: (z) => z.object({ ...parameters(z), by: fields(z, factsAndCode, 'INVALID_BY_OF_ALL') }),
    errors: [...errors, 'INVALID_BY_OF_ALL', 'STATISTICS_UNDER_WAY'],
  }),
] as const;
