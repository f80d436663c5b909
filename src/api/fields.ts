import type { ErrorCode } from '../errors.js';
import type { Z } from './schema.js';
import { parseIsoTime } from './timestamps.js';
import { isIdText, isStorable, usableId } from './values.js';

/** For the document: what the refinements of texts let pass. */
export const NO_NUL = String.raw`^[^\u0000]*$`;
const SPACE = String.raw`\t\n\u000b\f\r \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff`;
const BREAK = String.raw`\u0000\n\u000b\f\r\u0085\u2028\u2029`;
export const NOT_BLANK = `^[^\\u0000]*[^\\u0000${SPACE}][^\\u0000]*$`;
/** A text that, once trimmed, is one line of 1 to `longest` characters. */
export const oneLine = (longest: number): string =>
  `^[${SPACE}]*[^${SPACE}${BREAK}]([^${BREAK}]{0,${longest - 2}}[^${SPACE}${BREAK}])?[${SPACE}]*$`;
export const ONE_ADDRESS = `^[${SPACE}]*[^${SPACE}${BREAK}][^${BREAK}]*@[^${BREAK}]*[^${SPACE}${BREAK}][${SPACE}]*$`;
export const A_TAG = `^[^,\\u0000]*[^,\\u0000${SPACE}][^,\\u0000]*$`;
const ID = { type: 'integer', format: 'int64', minimum: 1, description: 'an id' } as const;

/** Fields that several resources share. Each refuses with one of our error codes. */

/** A text that the database gives back as it was. */
export function text(z: Z, error: ErrorCode, maxLength: number) {
  return z
    .string({ error })
    .refine((value) => isStorable(value, maxLength), { error })
    .meta({ maxLength, pattern: NO_NUL });
}

/** An id in a path. One that is no integer names no route; one beyond 64 bits names no row. */
export function pathId(z: Z, unknown: ErrorCode) {
  return z
    .string()
    .refine(isIdText, { error: 'NOT_FOUND' satisfies ErrorCode })
    .transform((value, context) => {
      const id = usableId(value);
      if (id !== undefined) return id;
      context.addIssue({ code: 'custom', message: unknown });
      return z.NEVER;
    })
    .meta(ID);
}

/** An optional id in a body: null counts as absent, a number that no row can have as an unknown id. */
export function bodyId(z: Z, wrongType: ErrorCode, unknown: ErrorCode) {
  return z
    .number({ error: wrongType })
    .refine(Number.isInteger, { error: wrongType })
    .nullish()
    .transform((value, context): string | null => {
      if (value === undefined || value === null) return null;
      if (value >= 1 && Number.isSafeInteger(value)) return String(value);
      context.addIssue({ code: 'custom', message: unknown });
      return z.NEVER;
    })
    .meta({ ...ID, type: ['integer', 'null'], maximum: Number.MAX_SAFE_INTEGER });
}

/** A value of a query, trimmed; an empty one counts as absent. */
export function parameter(z: Z) {
  return z
    .string()
    .optional()
    .transform((value) => value?.trim() || undefined);
}

/** An id to filter by. One that no row can have becomes -1, which no row has. */
export function filterId(z: Z, error: ErrorCode) {
  return parameter(z)
    .refine((value) => value === undefined || /^-?\d{1,40}$/.test(value), { error })
    .transform((value) => (value === undefined ? undefined : (usableId(value) ?? '-1')))
    .meta({ type: 'integer', description: 'an id' });
}

/** An instant of a query, in ms since 1970. An empty one is refused. */
export function instant(z: Z, error: ErrorCode) {
  return z
    .string()
    .transform((text, context): number => {
      const parsed = parseIsoTime(text);
      if (parsed !== undefined) return Date.parse(`${parsed.replace(' ', 'T')}Z`);
      context.addIssue({ code: 'custom', message: error });
      return z.NEVER;
    })
    .meta({ format: 'date-time', description: 'an ISO 8601 time; without a zone it is UTC' })
    .optional();
}

function wholeNumber(z: Z) {
  return parameter(z)
    .refine((value) => value === undefined || /^\+?\d{1,40}$/.test(value), {
      error: 'INVALID_PAGE' satisfies ErrorCode,
    })
    .transform((value) => (value === undefined ? undefined : Number(value)))
    .meta({ type: 'integer', minimum: 0 });
}

/** A list is paged only when both are given. */
export function paging(z: Z) {
  return { page: wholeNumber(z), per_page: wholeNumber(z) };
}

/** A parameter that is `true` or `false`, in any letter case. */
export function flagParameter(z: Z, error: ErrorCode) {
  return parameter(z)
    .transform((value) => value?.toLowerCase())
    .refine((value) => value === undefined || value === 'true' || value === 'false', { error })
    .transform((value) => (value === undefined ? undefined : value === 'true'))
    .meta({ type: 'boolean' })
    .optional();
}
