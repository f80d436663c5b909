import type { ErrorCode } from '../errors.js';
import { bodyless } from './defaults.js';
import { bodyId, filterId, instant, NO_NUL, NOT_BLANK, pathId } from './fields.js';
import { jsonFault } from './json.js';
import { cursorFits, pageErrors, pages } from './list-fields.js';
import { formatErrors, listFormat } from './list-format.js';
import { route } from './route.js';
import type { Z } from './schema.js';
import { isStorable, isWellFormed, Longest } from './values.js';

const event = {
  params: (z: Z) => z.object({ id: pathId(z, 'EVENT_NOT_FOUND') }),
} as const;

function eventType(z: Z) {
  const error: ErrorCode = 'INVALID_EVENT_TYPE';
  return z
    .string({ error })
    .refine((value) => value.trim() !== '' && isStorable(value, Longest.eventType), { error })
    .meta({ maxLength: Longest.eventType, pattern: NOT_BLANK });
}

/** An object, as JSON text. */
function details(z: Z) {
  return z
    .unknown()
    .optional()
    .transform((value, context): string => {
      if (value === undefined) return '{}';
      const fault = jsonFault(value);
      if (fault === undefined) return JSON.stringify(value);
      context.addIssue({ code: 'custom', message: fault });
      return z.NEVER;
    })
    .meta({ type: 'object' });
}

export const eventRoutes = [
  route({
    method: 'GET',
    path: '/events',
    summary:
      'events, newest first; filters `url_id`, `user_id`, `event_type`, `from`, `to`; pages by `limit` and `after`',
    scope: 'events',
    performs: 'list',
    operation: 'listEvents',
    answer: { listOf: 'Event' },
    kind: 'read',
    query: (z) =>
      z
        .object({
          ...pages(z),
          ...listFormat(z),
          user_id: filterId(z, 'INVALID_USER_ID'),
          url_id: filterId(z, 'INVALID_URL_ID'),
          event_type: z
            .string()
            .optional()
            .transform((value) => value || undefined)
            .refine((value) => value === undefined || isWellFormed(value), {
              error: 'INVALID_EVENT_TYPE' satisfies ErrorCode,
            })
            .meta({ pattern: NO_NUL }),
          from: instant(z, 'INVALID_FROM'),
          to: instant(z, 'INVALID_TO'),
        })
        .superRefine(({ from, to }, issues) => {
          if (from === undefined || to === undefined || from < to) return;
          issues.addIssue({ code: 'custom', message: 'FROM_NOT_BEFORE_TO' satisfies ErrorCode });
        })
        .superRefine(cursorFits('listEvents')),
    bodyLimit: 'none',
    headers: ['accept'],
    barrier: 'clicks',
    status: 200,
    errors: [
      ...pageErrors,
      'INVALID_USER_ID',
      'INVALID_URL_ID',
      'INVALID_EVENT_TYPE',
      'INVALID_FROM',
      'INVALID_TO',
      'FROM_NOT_BEFORE_TO',
      ...formatErrors,
    ],
  }),
  route({
    method: 'POST',
    path: '/events',
    summary: 'a new event',
    scope: 'events',
    performs: 'call',
    operation: 'createEvent',
    answer: { one: 'Event' },
    kind: 'write',
    body: (z) =>
      z.object({
        event_type: eventType(z),
        details: details(z),
        url_id: bodyId(z, 'INVALID_URL_ID', 'URL_NOT_FOUND'),
        user_id: bodyId(z, 'INVALID_USER_ID', 'USER_NOT_FOUND'),
      }),
    bodyLimit: 'json',
    exactMembers: ['details'],
    headers: ['content-type', 'idempotency-key'],
    isIdempotent: true,
    barrier: 'none',
    status: 201,
    resource: '/events/:id',
    errors: [
      'INVALID_JSON',
      'INVALID_EVENT_TYPE',
      'INVALID_DETAILS',
      'DETAILS_TEXT',
      'JSON_TOO_DEEP',
      'INVALID_URL_ID',
      'INVALID_USER_ID',
      'URL_NOT_FOUND',
      'USER_NOT_FOUND',
    ],
  }),
  route({
    method: 'GET',
    path: '/events/:id',
    summary: 'an event',
    scope: 'events',
    performs: 'call',
    operation: 'getEvent',
    answer: { one: 'Event' },
    kind: 'read',
    ...event,
    bodyLimit: 'none',
    headers: [],
    barrier: 'clicks',
    status: 200,
    errors: ['EVENT_NOT_FOUND'],
  }),
  route({
    method: 'DELETE',
    path: '/events/:id',
    summary: 'deletes an event',
    scope: 'events',
    performs: 'call',
    operation: 'deleteEvent',
    answer: {},
    kind: 'write',
    ...event,
    status: 204,
    errors: ['EVENT_NOT_FOUND'],
    ...bodyless,
  }),
] as const;
