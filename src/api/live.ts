import { bodyless } from './defaults.js';
import { route } from './route.js';

/** What happened in the last second, over all threads of the server, and the state at its end. */
export interface LiveFigures {
  /** UTC. */
  readonly at: string;
  /** Visits that were redirected. */
  readonly redirects: number;
  /** Visits whose code had to be looked up. */
  readonly misses: number;
  /** Visits to codes that lead nowhere. */
  readonly not_found: number;
  /** Links that were created. */
  readonly created: number;
  readonly clicks_pending: number;
  /** Of all answered requests; `null` if there were none. */
  readonly p99_ms: number | null;
  /** Gateways and workers that are alive. */
  readonly threads: number;
  /** Client connections. */
  readonly connections: number;
}

export const liveRoutes = [
  route({
    ...bodyless,
    method: 'GET',
    path: '/stats/live',
    summary: 'live figures as server-sent events: one a second, about the last second',
    scope: 'stats:read',
    refusesOwners: true,
    performs: 'local',
    operation: 'live',
    answer: { text: 'text/event-stream' },
    kind: 'read',
    status: 200,
    errors: ['TOO_MANY_LISTENERS'],
    isQuiet: true,
  }),
] as const;
