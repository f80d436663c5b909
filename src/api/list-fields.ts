import type { ErrorCode } from '../errors.js';
import { decodeCursor, listDigest } from './cursors.js';
import { paging } from './fields.js';
import type { Z } from './schema.js';
import { isStorable, Longest } from './values.js';

/** Parameters of lists. Those that were introduced with cursors are not absent when they are empty. */

const MAX_LIMIT = 1000;
const SEARCH_MIN = 3;
const SEARCH_MAX = 100;
const TAGS_MAX = 20;

function code(error: ErrorCode): { error: ErrorCode } {
  return { error };
}

/** Refusals of every list. */
export const pageErrors = [
  'INVALID_PAGE',
  'INVALID_LIMIT',
  'INVALID_CURSOR',
  'CURSOR_OF_ANOTHER_LIST',
  'TWO_KINDS_OF_PAGES',
  'UNKNOWN_PARAMETER',
] as const satisfies readonly ErrorCode[];

/** Pages of either kind: by number, or by cursor. */
export function pages(z: Z) {
  return {
    ...paging(z),
    limit: z
      .string()
      .regex(/^\d{1,4}$/, code('INVALID_LIMIT'))
      .transform(Number)
      .refine((limit) => limit >= 1 && limit <= MAX_LIMIT, code('INVALID_LIMIT'))
      .meta({ type: 'integer', minimum: 1, maximum: MAX_LIMIT })
      .optional(),
    after: z.string().optional(),
  };
}

interface Issues {
  addIssue(issue: { code: 'custom'; message: ErrorCode }): void;
}

/** A cursor belongs to one list with its filters and its order; a page number excludes it. */
export function cursorFits(list: string) {
  return (input: Readonly<Record<string, unknown>>, issues: Issues): void => {
    const refuse = (message: ErrorCode): void => issues.addIssue({ code: 'custom', message });
    const { limit, after, page, per_page: perPage } = input;
    if (limit === undefined && after === undefined) return;
    if (page !== undefined || perPage !== undefined) refuse('TWO_KINDS_OF_PAGES');
    else if (typeof after === 'string') {
      const cursor = decodeCursor(after);
      if (cursor === undefined) refuse('INVALID_CURSOR');
      else if (cursor.digest !== listDigest(list, input)) refuse('CURSOR_OF_ANOTHER_LIST');
    }
  };
}

const sortKeys = ['created_at', 'updated_at', 'click_count', 'title'] as const;
export type SortKey = (typeof sortKeys)[number];
export type Sort = SortKey | `-${SortKey}`;

const sorts: readonly Sort[] = sortKeys.flatMap((key): Sort[] => [key, `-${key}`]);

/** An order of links; newest first by default. */
export function sort(z: Z) {
  return z.enum(sorts, code('INVALID_SORT')).default('-created_at');
}

/** Tags to filter by, as links have them: trimmed, in lower case, once each. */
export function tagFilter(z: Z) {
  const error = code('INVALID_TAG_FILTER');
  return z
    .array(
      z
        .string()
        .transform((tag) => tag.trim().toLowerCase())
        .refine((tag) => tag !== '' && !tag.includes(',') && isStorable(tag, Longest.tag), error),
    )
    .transform((tags) => [...new Set(tags)].sort())
    .refine((tags) => tags.length <= TAGS_MAX, error)
    .optional();
}

export function tagMode(z: Z) {
  return z.enum(['all', 'any'], code('INVALID_TAG_MODE')).default('all');
}

/** Any code that a link may have, even one that something else has written to the table. */
export function codeFilter(z: Z) {
  return z
    .string()
    .refine((value) => value !== '' && isStorable(value, Longest.originalUrl), code('INVALID_SHORT_CODE'))
    .optional();
}

/** A text to search for, in characters as PostgreSQL counts them. */
export function searched(z: Z) {
  return z
    .string()
    .refine(
      (value) => isStorable(value, SEARCH_MAX) && [...value].length >= SEARCH_MIN,
      code('INVALID_SEARCH'),
    )
    .meta({ minLength: SEARCH_MIN, maxLength: SEARCH_MAX })
    .optional();
}
