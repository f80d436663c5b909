import type { ErrorCode } from '../errors.js';
import { bodyless } from './defaults.js';
import { bodyId, pathId } from './fields.js';
import { keyScopes } from './key-scopes.js';
import { time } from './link-fields.js';
import { formatErrors, listFormat } from './list-format.js';
import { route } from './route.js';
import { usableName } from './values.js';

const NAME_MAX = 100;

export const keyRoutes = [
  route({
    method: 'GET',
    path: '/keys',
    summary: 'the API keys, without the keys themselves',
    scope: 'admin',
    isAlwaysGuarded: true,
    refusesOwners: true,
    performs: 'list',
    operation: 'listKeys',
    answer: { listOf: 'Key' },
    kind: 'read',
    query: (z) => z.object(listFormat(z)),
    status: 200,
    errors: [...formatErrors, 'UNKNOWN_PARAMETER'],
    ...bodyless,
    headers: ['accept'],
  }),
  route({
    method: 'POST',
    path: '/keys',
    summary: 'a new API key, shown only once',
    scope: 'admin',
    isAlwaysGuarded: true,
    refusesOwners: true,
    performs: 'call',
    operation: 'createKey',
    answer: { one: 'NewKey' },
    kind: 'write',
    body: (z) => {
      const nameError = { error: 'INVALID_KEY_NAME' satisfies ErrorCode };
      const scopesError = { error: 'INVALID_SCOPES' satisfies ErrorCode };
      return z.object({
        name: z
          .string(nameError)
          .transform((value) => usableName(value, NAME_MAX) ?? '')
          .refine((value) => value !== '', nameError)
          .meta({ maxLength: NAME_MAX }),
        scopes: z
          .array(z.enum(keyScopes, scopesError), scopesError)
          .min(1, scopesError)
          .max(keyScopes.length * 4, scopesError)
          .transform((scopes) => [...new Set(scopes)].sort()),
        user_id: bodyId(z, 'INVALID_USER_ID', 'USER_NOT_FOUND'),
        expires_at: time(z, 'INVALID_EXPIRES_AT').nullable().optional(),
      });
    },
    bodyLimit: 'json',
    headers: ['content-type'],
    barrier: 'none',
    status: 201,
    resource: '/keys/:id',
    errors: [
      'INVALID_JSON',
      'INVALID_KEY_NAME',
      'INVALID_SCOPES',
      'INVALID_USER_ID',
      'INVALID_EXPIRES_AT',
      'USER_NOT_FOUND',
    ],
  }),
  route({
    method: 'GET',
    path: '/keys/:id',
    summary: 'an API key, never what it is',
    scope: 'admin',
    isAlwaysGuarded: true,
    refusesOwners: true,
    performs: 'call',
    operation: 'getKey',
    answer: { one: 'Key' },
    kind: 'read',
    params: (z) => z.object({ id: pathId(z, 'KEY_NOT_FOUND') }),
    status: 200,
    errors: ['KEY_NOT_FOUND'],
    ...bodyless,
  }),
  route({
    method: 'DELETE',
    path: '/keys/:id',
    summary: 'revokes an API key, on every server within a second',
    scope: 'admin',
    isAlwaysGuarded: true,
    refusesOwners: true,
    performs: 'call',
    operation: 'deleteKey',
    answer: {},
    kind: 'write',
    params: (z) => z.object({ id: pathId(z, 'KEY_NOT_FOUND') }),
    status: 204,
    errors: ['KEY_NOT_FOUND'],
    ...bodyless,
  }),
] as const;
