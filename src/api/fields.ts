import type { ErrorCode } from '../errors.js';
import type { Z } from './route.js';
import { isIdText, isStorable, usableId } from './values.js';

/** Fields that several resources share. Each refuses with one of our error codes. */

/** A text that the database gives back as it was. */
export function text(z: Z, error: ErrorCode, maxLength: number) {
  return z
    .string({ error })
    .refine((value) => isStorable(value, maxLength), { error })
    .meta({ maxLength });
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
    });
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
    });
}

/** A value of a query, trimmed; an empty one counts as absent. */
export function parameter(z: Z) {
  return z
    .string()
    .optional()
    .transform((value) => value?.trim() || undefined);
}

/** An id to filter by. One that no row can have is kept as one that no row has. */
export function filterId(z: Z, error: ErrorCode) {
  return parameter(z)
    .refine((value) => value === undefined || /^-?\d{1,40}$/.test(value), { error })
    .transform((value) => (value === undefined ? undefined : (usableId(value) ?? '-1')));
}

function wholeNumber(z: Z) {
  return parameter(z)
    .refine((value) => value === undefined || /^\+?\d{1,40}$/.test(value), {
      error: 'INVALID_PAGE' satisfies ErrorCode,
    })
    .transform((value) => (value === undefined ? undefined : Number(value)));
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
    .optional();
}
