import type { ErrorCode } from '../errors.js';
import { type Checked, check } from './check.js';
import { flagParameter, parameter } from './fields.js';
import { changedLink, newLinkBody } from './link-fields.js';
import { conflictRules, exportNames } from './link-import.js';
import { createErrors, optionErrors } from './links.js';
import { route } from './route.js';
import type { Z } from './schema.js';

/** Links of one request. */
const BULK_MAX = 1000;

function code(error: ErrorCode): { error: ErrorCode } {
  return { error };
}

/** Each link for itself, as POST /urls would check it: one that is refused refuses no other. */
function newLinks(z: Z) {
  const one = newLinkBody(z);
  const error = code('INVALID_URLS');
  return z
    .array(z.unknown(), error)
    .min(1, error)
    .max(BULK_MAX, error)
    .transform((links) =>
      links.map(
        (link): Checked<ReturnType<typeof one.parse>> =>
          hasMembers(link) ? check(one, link) : { ok: false, error: 'INVALID_JSON' },
      ),
    );
}

function hasMembers(value: unknown): boolean {
  return (
    typeof value === 'object' && value !== null && !Array.isArray(value) && Object.keys(value).length > 0
  );
}

/** Ids, each once. One that no row can have counts as unknown. */
function ids(z: Z) {
  const error = code('INVALID_IDS');
  return z
    .array(z.number(error).refine(Number.isInteger, error).meta({ type: 'integer' }), error)
    .min(1, error)
    .max(BULK_MAX, error)
    .refine((list) => new Set(list).size === list.length, code('REPEATED_ID'))
    .meta({ uniqueItems: true });
}

function change(z: Z) {
  return z
    .custom<Readonly<Record<string, unknown>>>(hasMembers, code('INVALID_SET'))
    .pipe(z.object(changedLink(z)));
}

const bulk = {
  path: '/urls/bulk',
  performs: 'call',
  kind: 'long',
  query: (z: Z) => z.object({ atomic: flagParameter(z, 'INVALID_ATOMIC') }),
  bodyLimit: 'bulk',
  headers: ['content-type'],
  barrier: 'none',
  status: 200,
} as const;

export const bulkLinkRoutes = [
  route({
    ...bulk,
    method: 'POST',
    summary: '`{"urls"}`, 1 to 1,000 → a result for each; `?atomic=true`: all or none',
    scope: 'links:create',
    operation: 'createLinks',
    answer: { one: 'BulkCreate', refusals: 'BulkCreate' },
    headers: ['content-type', 'idempotency-key'],
    isIdempotent: true,
    body: (z) => z.object({ urls: newLinks(z) }),
    usesOrigin: true,
    errors: [
      'INVALID_JSON',
      'INVALID_URLS',
      'INVALID_ATOMIC',
      'INVALID_ORIGINAL_URL',
      'REFUSED_ORIGINAL_URL',
      ...createErrors,
      ...optionErrors,
      'NOT_DONE',
      'UNKNOWN_PARAMETER',
    ],
  }),
  route({
    ...bulk,
    method: 'PATCH',
    summary: '`{"ids","set"}`: changes the given fields of 1 to 1,000 links; `?atomic=true`: all or none',
    scope: 'links:write',
    operation: 'updateLinks',
    answer: { one: 'BulkUpdate', refusals: 'BulkUpdate' },
    body: (z) => z.object({ ids: ids(z), set: change(z) }),
    usesOrigin: true,
    errors: [
      'INVALID_JSON',
      'INVALID_IDS',
      'REPEATED_ID',
      'INVALID_SET',
      'INVALID_ATOMIC',
      'INVALID_TITLE',
      'INVALID_IS_ACTIVE',
      'INVALID_ORIGINAL_URL',
      'REFUSED_ORIGINAL_URL',
      'SHORT_CODE_FIXED',
      ...optionErrors,
      'URL_NOT_FOUND',
      'NOT_DONE',
      'UNKNOWN_PARAMETER',
    ],
  }),
  route({
    ...bulk,
    method: 'DELETE',
    summary: '`{"ids"}`: deletes 1 to 1,000 links and their events; `?atomic=true`: all or none',
    scope: 'links:write',
    operation: 'deleteLinks',
    answer: { one: 'BulkDelete', refusals: 'BulkDelete' },
    body: (z) => z.object({ ids: ids(z) }),
    errors: [
      'INVALID_JSON',
      'INVALID_IDS',
      'REPEATED_ID',
      'INVALID_ATOMIC',
      'URL_NOT_FOUND',
      'NOT_DONE',
      'UNKNOWN_PARAMETER',
    ],
  }),
  route({
    method: 'POST',
    path: '/urls/import',
    summary:
      'links from a CSV file (multipart, field `file`), of any size: ours, or an export of Bitly, Kutt, YOURLS or Shlink',
    scope: 'links:create',
    performs: 'import',
    operation: 'importLinks',
    answer: { one: 'LinkImport', statuses: [200] },
    kind: 'long',
    query: (z) =>
      z.object({
        format: parameter(z).pipe(z.enum(exportNames, code('INVALID_IMPORT_FORMAT')).optional()),
        on_conflict: parameter(z).pipe(z.enum(conflictRules, code('INVALID_ON_CONFLICT')).default('skip')),
        dry_run: flagParameter(z, 'INVALID_DRY_RUN'),
      }),
    bodyLimit: 'upload',
    headers: ['content-type'],
    barrier: 'none',
    usesOrigin: true,
    status: 201,
    errors: [
      'INVALID_IMPORT_FORMAT',
      'INVALID_ON_CONFLICT',
      'INVALID_DRY_RUN',
      'UNKNOWN_PARAMETER',
      'NO_FILE',
      'INVALID_MULTIPART',
      'INVALID_CSV',
      'CSV_NOT_UTF8',
      'CSV_TARGET_COLUMN',
      'NO_SPACE',
    ],
  }),
] as const;
