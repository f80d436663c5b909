import type { ErrorCode } from '../errors.js';
import { bodyless } from './defaults.js';
import { bodyId, filterId, paging, parameter, pathId, text } from './fields.js';
import { route, type Z } from './route.js';
import { targetFault } from './targets.js';
import { Longest, startsWithHttp } from './values.js';

const link = {
  params: (z: Z) => z.object({ id: pathId(z, 'URL_NOT_FOUND') }),
} as const;

const title = (z: Z) => text(z, 'INVALID_TITLE', Longest.title);
const isActive = (z: Z) => z.boolean({ error: 'INVALID_IS_ACTIVE' satisfies ErrorCode });

/** Where a link leads. What the contract has one text for is said with that one, other faults by name. */
function target(z: Z, field: 'original_url' | 'url') {
  const [error, refused]: readonly ErrorCode[] =
    field === 'url' ? ['INVALID_URL', 'REFUSED_URL'] : ['INVALID_ORIGINAL_URL', 'REFUSED_ORIGINAL_URL'];
  return z
    .string({ error: error as string })
    .superRefine((value, context) => {
      const fault = targetFault(value);
      if (fault === undefined) return;
      const message = fault.reason === undefined ? error : refused;
      context.addIssue({ code: 'custom', message: message as string, params: { detail: fault.reason } });
    })
    .meta({ format: 'uri', maxLength: Longest.originalUrl });
}

/** What can be said of a new link, whichever route makes it, but for its target. */
function newLink(z: Z) {
  return {
    title: title(z)
      .nullish()
      .transform((value) => value ?? ''),
    is_active: isActive(z).default(true),
    user_id: bodyId(z, 'INVALID_USER_ID', 'USER_NOT_FOUND'),
  };
}

export const linkRoutes = [
  route({
    method: 'POST',
    path: '/shorten',
    summary: '`{"url"}` → a short link',
    scope: 'links:create',
    performs: 'call',
    operation: 'createLink',
    kind: 'write',
    body: (z) =>
      z
        .object({
          url: z
            .unknown()
            .optional()
            .transform((value, context): string => {
              const isAbsent = value === undefined || value === null || value === '';
              if (typeof value === 'string' && startsWithHttp(value)) return value;
              const error: ErrorCode = isAbsent ? 'MISSING_URL' : 'URL_SCHEME';
              context.addIssue({ code: 'custom', message: error });
              return z.NEVER;
            })
            .pipe(target(z, 'url')),
          ...newLink(z),
        })
        .transform(({ url, ...rest }) => ({ ...rest, original_url: url, answer: 'short' as const })),
    bodyLimit: 'json',
    noObject: 'MISSING_URL',
    headers: ['content-type'],
    barrier: 'none',
    usesOrigin: true,
    status: 201,
    resource: '/urls/:id',
    errors: [
      'MISSING_URL',
      'URL_SCHEME',
      'INVALID_URL',
      'REFUSED_URL',
      'INVALID_TITLE',
      'INVALID_IS_ACTIVE',
      'INVALID_USER_ID',
      'USER_NOT_FOUND',
    ],
  }),
  route({
    method: 'GET',
    path: '/urls',
    summary: 'links, newest first; filters `user_id`, `is_active`',
    scope: 'links:read',
    performs: 'list',
    operation: 'listLinks',
    kind: 'read',
    query: (z) =>
      z.object({
        ...paging(z),
        user_id: filterId(z, 'INVALID_USER_ID'),
        is_active: parameter(z)
          .transform((value) => value?.toLowerCase())
          .refine((value) => value === undefined || value === 'true' || value === 'false', {
            error: 'INVALID_IS_ACTIVE' satisfies ErrorCode,
          })
          .transform((value) => (value === undefined ? undefined : value === 'true')),
      }),
    bodyLimit: 'none',
    headers: [],
    barrier: 'counters',
    status: 200,
    errors: ['INVALID_PAGE', 'INVALID_USER_ID', 'INVALID_IS_ACTIVE', 'UNKNOWN_PARAMETER'],
  }),
  route({
    method: 'POST',
    path: '/urls',
    summary: 'a new link',
    scope: 'links:create',
    performs: 'call',
    operation: 'createLink',
    kind: 'write',
    body: (z) =>
      z
        .object({ original_url: target(z, 'original_url'), ...newLink(z) })
        .transform((fields) => ({ ...fields, answer: 'link' as const })),
    bodyLimit: 'json',
    headers: ['content-type'],
    barrier: 'none',
    status: 201,
    resource: '/urls/:id',
    errors: [
      'INVALID_JSON',
      'INVALID_ORIGINAL_URL',
      'REFUSED_ORIGINAL_URL',
      'INVALID_TITLE',
      'INVALID_IS_ACTIVE',
      'INVALID_USER_ID',
      'USER_NOT_FOUND',
    ],
  }),
  route({
    method: 'GET',
    path: '/urls/:id',
    summary: 'a link',
    scope: 'links:read',
    performs: 'call',
    operation: 'getLink',
    kind: 'read',
    ...link,
    bodyLimit: 'none',
    headers: [],
    barrier: 'counters',
    status: 200,
    errors: ['URL_NOT_FOUND'],
  }),
  route({
    method: 'PUT',
    path: '/urls/:id',
    summary: 'changes what is given: `title`, `is_active`, `original_url`',
    scope: 'links:write',
    performs: 'call',
    operation: 'updateLink',
    kind: 'write',
    ...link,
    body: (z) =>
      z.object({
        title: title(z).optional(),
        is_active: isActive(z).optional(),
        original_url: target(z, 'original_url').optional(),
      }),
    bodyLimit: 'json',
    headers: ['content-type'],
    barrier: 'none',
    status: 200,
    errors: [
      'INVALID_JSON',
      'INVALID_TITLE',
      'INVALID_IS_ACTIVE',
      'INVALID_ORIGINAL_URL',
      'REFUSED_ORIGINAL_URL',
      'URL_NOT_FOUND',
    ],
  }),
  route({
    method: 'DELETE',
    path: '/urls/:id',
    summary: 'deletes a link and its events',
    scope: 'links:write',
    performs: 'call',
    operation: 'deleteLink',
    kind: 'long',
    ...link,
    status: 204,
    errors: ['URL_NOT_FOUND'],
    ...bodyless,
  }),
] as const;
