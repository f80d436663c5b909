import { bodyless } from './defaults.js';
import { filterId, flagParameter, pathId } from './fields.js';
import { changedLink, endsAfterItBegins, newLink, newLinkBody, shortenUrl } from './link-fields.js';
import {
  codeFilter,
  cursorFits,
  pageErrors,
  pages,
  searched,
  sort,
  tagFilter,
  tagMode,
} from './list-fields.js';
import { formatErrors, listFormat } from './list-format.js';
import { route } from './route.js';
import type { Z } from './schema.js';

const link = {
  params: (z: Z) => z.object({ id: pathId(z, 'URL_NOT_FOUND') }),
} as const;

/** Refusals common to all routes that create links. */
export const createErrors = [
  'INVALID_TITLE',
  'INVALID_IS_ACTIVE',
  'INVALID_USER_ID',
  'USER_NOT_FOUND',
  'INVALID_SHORT_CODE',
  'SHORT_CODE_RESERVED',
  'SHORT_CODE_TAKEN',
  'INVALID_CODE_LENGTH',
  'INVALID_FIND_IF_EXISTS',
] as const;

/** Refusals of a link's options. */
export const optionErrors = [
  'INVALID_REDIRECT_STATUS',
  'INVALID_CACHE_SECONDS',
  'INVALID_VALID_SINCE',
  'INVALID_EXPIRES_AT',
  'EXPIRES_BEFORE_VALID',
  'INVALID_EXPIRED_URL',
  'REFUSED_EXPIRED_URL',
  'INVALID_MAX_CLICKS',
  'INVALID_PASSWORD',
  'INVALID_FORWARD_QUERY',
  'INVALID_TAGS',
  'DOMAIN_UNSUPPORTED',
  'TARGET_IS_SHORT_LINK',
  'TARGET_NOT_ALLOWED',
] as const;

const change = {
  path: '/urls/:id',
  summary: 'changes the given fields of a link',
  scope: 'links:write',
  performs: 'call',
  operation: 'updateLink',
  answer: { one: 'Link' },
  kind: 'write',
  ...link,
  body: (z: Z) => z.object(changedLink(z)),
  bodyLimit: 'json',
  headers: ['content-type'],
  barrier: 'none',
  usesOrigin: true,
  status: 200,
  errors: [
    'INVALID_JSON',
    'INVALID_TITLE',
    'INVALID_IS_ACTIVE',
    'INVALID_ORIGINAL_URL',
    'REFUSED_ORIGINAL_URL',
    'SHORT_CODE_FIXED',
    ...optionErrors,
    'URL_NOT_FOUND',
  ],
} as const;

export const linkRoutes = [
  route({
    method: 'POST',
    path: '/shorten',
    summary: '`{"url"}` → a short link',
    scope: 'links:create',
    performs: 'call',
    operation: 'createLink',
    answer: { one: 'ShortLink', statuses: [200] },
    kind: 'write',
    body: (z) =>
      z
        .object({ url: shortenUrl(z), ...newLink(z) })
        .superRefine(endsAfterItBegins)
        .transform(({ url, ...rest }) => ({
          ...rest,
          original_url: url,
          answer: 'short' as const,
        })),
    bodyLimit: 'json',
    noObject: 'MISSING_URL',
    headers: ['content-type', 'idempotency-key'],
    isIdempotent: true,
    barrier: 'none',
    usesOrigin: true,
    status: 201,
    resource: '/urls/:id',
    errors: ['MISSING_URL', 'URL_SCHEME', 'INVALID_URL', 'REFUSED_URL', ...createErrors, ...optionErrors],
  }),
  route({
    method: 'GET',
    path: '/urls',
    summary:
      'links, newest first or by `sort`; filters `user_id`, `is_active`, `short_code`, `tag`; `q` searches; pages by `limit` and `after`; `with_total`',
    scope: 'links:read',
    performs: 'list',
    operation: 'listLinks',
    answer: {
      listOf: 'Link',
      optionalHeaders: {
        'X-Total-Count': 'with `with_total`: links of the whole list, up to 10000',
        'X-Total-Is-Minimum': 'true where there are more than `X-Total-Count`',
      },
    },
    kind: 'read',
    query: (z) =>
      z
        .object({
          ...pages(z),
          ...listFormat(z),
          user_id: filterId(z, 'INVALID_USER_ID'),
          is_active: flagParameter(z, 'INVALID_IS_ACTIVE'),
          short_code: codeFilter(z),
          tag: tagFilter(z),
          tags: tagMode(z),
          q: searched(z),
          sort: sort(z),
          with_total: flagParameter(z, 'INVALID_WITH_TOTAL'),
        })
        .superRefine(cursorFits('listLinks')),
    repeatable: ['tag'],
    bodyLimit: 'none',
    headers: ['accept'],
    barrier: 'counters',
    usesOrigin: true,
    status: 200,
    errors: [
      ...pageErrors,
      'INVALID_USER_ID',
      'INVALID_IS_ACTIVE',
      'INVALID_SHORT_CODE',
      'INVALID_TAG_FILTER',
      'INVALID_TAG_MODE',
      'INVALID_SORT',
      'INVALID_WITH_TOTAL',
      'INVALID_SEARCH',
      'NARROW_SEARCH',
      'SEARCH_UNDER_WAY',
      'SEARCH_UNSUPPORTED',
      'ORDER_UNDER_WAY',
      ...formatErrors,
    ],
  }),
  route({
    method: 'POST',
    path: '/urls',
    summary: 'a new link',
    scope: 'links:create',
    performs: 'call',
    operation: 'createLink',
    answer: { one: 'Link', statuses: [200] },
    kind: 'write',
    body: newLinkBody,
    bodyLimit: 'json',
    headers: ['content-type', 'idempotency-key'],
    isIdempotent: true,
    barrier: 'none',
    usesOrigin: true,
    status: 201,
    resource: '/urls/:id',
    errors: [
      'INVALID_JSON',
      'INVALID_ORIGINAL_URL',
      'REFUSED_ORIGINAL_URL',
      ...createErrors,
      ...optionErrors,
    ],
  }),
  route({
    method: 'GET',
    path: '/urls/:id',
    summary: 'a link',
    scope: 'links:read',
    performs: 'call',
    operation: 'getLink',
    answer: { one: 'Link' },
    kind: 'read',
    ...link,
    bodyLimit: 'none',
    headers: [],
    barrier: 'counters',
    usesOrigin: true,
    status: 200,
    errors: ['URL_NOT_FOUND'],
  }),
  route({ ...change, method: 'PUT' }),
  route({ ...change, method: 'PATCH' }),
  route({
    method: 'DELETE',
    path: '/urls/:id',
    summary: 'deletes a link and its events',
    scope: 'links:write',
    performs: 'call',
    operation: 'deleteLink',
    answer: {},
    kind: 'long',
    ...link,
    status: 204,
    errors: ['URL_NOT_FOUND'],
    ...bodyless,
  }),
] as const;
