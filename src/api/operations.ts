import { bodyless } from './defaults.js';
import { parameter } from './fields.js';
import { route } from './route.js';

const DEFAULT_LOG_ENTRIES = 50;
const MAX_LOG_ENTRIES = 200;

export const operationsRoutes = [
  route({
    method: 'GET',
    path: '/health',
    summary: 'whether the server answers',
    scope: 'public',
    performs: 'local',
    operation: 'health',
    answer: { one: 'Health' },
    kind: 'read',
    status: 200,
    errors: [],
    isQuiet: true,
    ...bodyless,
  }),
  route({
    method: 'GET',
    path: '/health/ready',
    summary: 'the state of the database and the click journal; 503 while the server stops',
    scope: 'public',
    performs: 'local',
    operation: 'readiness',
    answer: { one: 'Readiness' },
    kind: 'read',
    status: 200,
    errors: ['UNAVAILABLE'],
    isQuiet: true,
    ...bodyless,
  }),
  route({
    method: 'GET',
    path: '/metrics',
    summary: 'Prometheus text',
    scope: 'ops',
    refusesOwners: true,
    trustsSuspectKeys: true,
    performs: 'local',
    operation: 'metrics',
    answer: { text: 'text/plain' },
    kind: 'read',
    status: 200,
    errors: [],
    isQuiet: true,
    ...bodyless,
  }),
  route({
    method: 'GET',
    path: '/logs',
    summary: 'the newest log entries; `limit`, `filter`, `level`',
    scope: 'ops',
    refusesOwners: true,
    performs: 'local',
    operation: 'logs',
    answer: { one: 'Logs' },
    kind: 'read',
    query: (z) =>
      z.object({
        limit: parameter(z).transform(logLimit),
        filter: z.string().default(''),
        level: parameter(z).transform((value) => (value ?? '').toUpperCase()),
      }),
    isTolerant: true,
    status: 200,
    errors: [],
    isQuiet: true,
    ...bodyless,
  }),
  route({
    method: 'GET',
    path: '/chaos',
    summary: 'ends the server, with the token',
    scope: 'public',
    performs: 'local',
    operation: 'chaos',
    answer: {},
    kind: 'read',
    status: 204,
    errors: ['UNAUTHORIZED', 'TOO_MANY_TRIES'],
    bodyLimit: 'none',
    headers: ['x-chaos-token'],
    barrier: 'none',
  }),
] as const;

/** From 1 to 200; the default for anything that is not a number. */
function logLimit(text: string | undefined): number {
  const limit = Number(text ?? Number.NaN);
  if (!Number.isInteger(limit)) return DEFAULT_LOG_ENTRIES;
  return Math.min(MAX_LOG_ENTRIES, Math.max(1, limit));
}
