import type { z } from 'zod';
import type { changedLink, newLink } from '../../../src/api/link-fields.js';
import type { LiveFigures } from '../../../src/api/live.js';
import type { resources } from '../../../src/api/openapi/resources.js';
import type { AnyRoute } from '../../../src/api/registry.js';

/**
 * The API's types, from the declarations of which its OpenAPI document is made: a name changed there no longer
 * compiles here.
 */
type Resource<Name extends keyof typeof resources> = z.output<ReturnType<(typeof resources)[Name]>>;
type Input<Shape extends z.ZodRawShape> = z.input<z.ZodObject<Shape>>;

export type Link = Resource<'Link'>;
export type ShortLink = Resource<'ShortLink'>;
export type User = Resource<'User'>;
export type UserImport = Resource<'UserImport'>;
export type Event = Resource<'Event'>;
export type Key = Resource<'Key'>;
export type NewKey = Resource<'NewKey'>;
export type BulkCreate = Resource<'BulkCreate'>;
export type BulkUpdate = Resource<'BulkUpdate'>;
export type BulkDelete = Resource<'BulkDelete'>;
export type LinkImport = Resource<'LinkImport'>;
export type Statistics = Resource<'Statistics'>;
export type Reading = LiveFigures;
export type Readiness = Resource<'Readiness'>;

export type NewLink = Input<ReturnType<typeof newLink>>;
export type LinkChange = Input<ReturnType<typeof changedLink>>;

type Path = AnyRoute['path'];
/** The paths that the console requests; only routes of the registry compile. */
export const routes = {
  shorten: '/shorten',
  links: '/urls',
  link: '/urls/:id',
  qr: '/urls/:id/qr',
  linkStats: '/urls/:id/stats',
  stats: '/stats',
  live: '/stats/live',
  bulk: '/urls/bulk',
  importLinks: '/urls/import',
  events: '/events',
  users: '/users',
  user: '/users/:id',
  importUsers: '/users/bulk',
  keys: '/keys',
  key: '/keys/:id',
  readiness: '/health/ready',
  metrics: '/metrics',
} as const satisfies Record<string, Path>;
