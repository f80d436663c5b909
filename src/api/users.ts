import { bodyless } from './defaults.js';
import { ONE_ADDRESS, oneLine, pathId } from './fields.js';
import { cursorFits, pageErrors, pages } from './list-fields.js';
import { formatErrors, listFormat } from './list-format.js';
import { route } from './route.js';
import type { Z } from './schema.js';
import { Longest, usableEmail, usableName } from './values.js';

const user = {
  params: (z: Z) => z.object({ id: pathId(z, 'USER_NOT_FOUND') }),
} as const;

function username(z: Z, error: 'MISSING_USERNAME' | 'INVALID_USERNAME') {
  return z
    .string({ error })
    .transform((value) => usableName(value, Longest.username) ?? '')
    .refine((value) => value !== '', { error })
    .meta({ pattern: oneLine(Longest.username), description: `at most ${Longest.username} characters` });
}

function email(z: Z, error: 'MISSING_EMAIL' | 'INVALID_EMAIL') {
  return z
    .string({ error })
    .transform((value) => usableEmail(value) ?? '')
    .refine((value) => value !== '', { error })
    .meta({ maxLength: Longest.email, pattern: ONE_ADDRESS });
}

export const userRoutes = [
  route({
    method: 'GET',
    path: '/users',
    summary: 'users, by ascending id; pages by `limit` and `after`',
    scope: 'users',
    performs: 'list',
    operation: 'listUsers',
    answer: { listOf: 'User' },
    kind: 'read',
    query: (z) => z.object({ ...pages(z), ...listFormat(z) }).superRefine(cursorFits('listUsers')),
    status: 200,
    errors: [...pageErrors, ...formatErrors],
    ...bodyless,
    headers: ['accept'],
  }),
  route({
    method: 'POST',
    path: '/users',
    summary: 'a new user',
    scope: 'users',
    refusesOwners: true,
    performs: 'call',
    operation: 'createUser',
    answer: { one: 'User' },
    kind: 'write',
    body: (z) => z.object({ username: username(z, 'MISSING_USERNAME'), email: email(z, 'MISSING_EMAIL') }),
    bodyLimit: 'json',
    headers: ['content-type', 'idempotency-key'],
    isIdempotent: true,
    barrier: 'none',
    status: 201,
    resource: '/users/:id',
    errors: ['INVALID_JSON', 'MISSING_USERNAME', 'MISSING_EMAIL', 'USERNAME_EXISTS'],
  }),
  route({
    method: 'POST',
    path: '/users/bulk',
    summary: 'users from a CSV file (multipart, field `file`), of any size; lists skipped rows by line',
    scope: 'users',
    refusesOwners: true,
    performs: 'import',
    operation: 'importUsers',
    answer: { one: 'UserImport' },
    kind: 'long',
    bodyLimit: 'upload',
    headers: ['content-type'],
    barrier: 'none',
    status: 201,
    errors: ['NO_FILE', 'INVALID_MULTIPART', 'INVALID_CSV', 'CSV_NOT_UTF8', 'CSV_HEADER', 'NO_SPACE'],
  }),
  route({
    method: 'GET',
    path: '/users/:id',
    summary: 'a user',
    scope: 'users',
    performs: 'call',
    operation: 'getUser',
    answer: { one: 'User' },
    kind: 'read',
    ...user,
    status: 200,
    errors: ['USER_NOT_FOUND'],
    ...bodyless,
  }),
  route({
    method: 'PUT',
    path: '/users/:id',
    summary: 'changes the given fields of a user',
    scope: 'users',
    performs: 'call',
    operation: 'updateUser',
    answer: { one: 'User' },
    kind: 'write',
    ...user,
    body: (z) =>
      z.object({
        username: username(z, 'INVALID_USERNAME').optional(),
        email: email(z, 'INVALID_EMAIL').optional(),
      }),
    bodyLimit: 'json',
    headers: ['content-type'],
    barrier: 'none',
    status: 200,
    errors: ['INVALID_JSON', 'INVALID_USERNAME', 'INVALID_EMAIL', 'USER_NOT_FOUND', 'USERNAME_EXISTS'],
  }),
  route({
    method: 'DELETE',
    path: '/users/:id',
    summary: 'deletes a user, their links and all events of both',
    scope: 'users',
    performs: 'call',
    operation: 'deleteUser',
    answer: {},
    kind: 'long',
    ...user,
    status: 204,
    errors: ['USER_NOT_FOUND'],
    ...bodyless,
  }),
] as const;
