import type { ErrorCode } from '../errors.js';
import { A_TAG, bodyId, NO_NUL, text } from './fields.js';
import type { Z } from './schema.js';
import { targetFault } from './targets.js';
import { parseIsoTime, parseTimestamp } from './timestamps.js';
import { isStorable, Longest, startsWithHttp } from './values.js';

/**
 * The fields of a link: one schema for every way in which a link is made or changed. Each refuses with a code
 * of its own, which names the field.
 */
export const redirectStatusCodes = [301, 302, 307, 308] as const;

export const CODE_LENGTH_MIN = 4;
export const CODE_LENGTH_MAX = 32;
const CACHE_SECONDS_MAX = 31_536_000;
const PASSWORD_MAX = 128;
const TAGS_MAX = 20;
/** For the document: how a target begins. */
const HTTP_URL = String.raw`^[hH][tT][tT][pP][sS]?://[^/\\?#]`;
export const codePattern = /^[A-Za-z0-9_-]{1,128}$/;

function code(error: ErrorCode): { error: ErrorCode } {
  return { error };
}

/** Where a link leads. Faults for which the contract has one text share its code; others have their own. */
export function target(z: Z, invalid: ErrorCode, refused: ErrorCode) {
  return z
    .string(code(invalid))
    .superRefine((value, context) => {
      const fault = targetFault(value);
      if (fault === undefined) return;
      const { reason } = fault;
      context.addIssue({
        code: 'custom',
        message: reason === undefined ? invalid : refused,
        params: reason === undefined ? {} : { detail: reason },
      });
    })
    .meta({ pattern: HTTP_URL, maxLength: Longest.originalUrl, description: 'an http(s) URL with a host' });
}

/** `url` of POST /shorten, whose faults have texts of their own. */
export function shortenUrl(z: Z) {
  const fault = (value: unknown): ErrorCode =>
    value === undefined || value === null || value === '' ? 'MISSING_URL' : 'URL_SCHEME';
  return z
    .string({ error: ({ input }) => fault(input) })
    .superRefine((value, context) => {
      if (!startsWithHttp(value)) context.addIssue({ code: 'custom', message: fault(value) });
    })
    .pipe(target(z, 'INVALID_URL', 'REFUSED_URL'))
    .meta({ pattern: HTTP_URL, maxLength: Longest.originalUrl, description: 'an http(s) URL with a host' });
}

function flag(z: Z, error: ErrorCode) {
  return z.boolean(code(error));
}

function wholeNumber(z: Z, error: ErrorCode, min: number, max: number) {
  return z.number(code(error)).int(code(error)).min(min, code(error)).max(max, code(error));
}

/** An ISO 8601 time; without a zone it is UTC. The store keeps whole seconds, as the API shows them. */
export function time(z: Z, error: ErrorCode) {
  return timeBy(parseIsoTime, z, error);
}

/** A time of a file, in every form that can mean one instant only. */
export function timeInFile(z: Z, error: ErrorCode) {
  return timeBy(parseTimestamp, z, error);
}

function timeBy(parse: typeof parseTimestamp, z: Z, error: ErrorCode) {
  return z
    .string(code(error))
    .transform((value, context): string => {
      const parsed = parse(value);
      if (parsed !== undefined) return `${parsed.slice(0, 19)}.000`;
      context.addIssue({ code: 'custom', message: error });
      return z.NEVER;
    })
    .meta({ format: 'date-time', description: 'an ISO 8601 time; without a zone it is UTC' });
}

/** Trimmed, in lower case, sorted, once each. */
function tags(z: Z) {
  const error = 'INVALID_TAGS' satisfies ErrorCode;
  return z
    .array(
      z
        .string(code(error))
        .transform((tag) => tag.trim().toLowerCase())
        .refine((tag) => tag !== '' && !tag.includes(',') && isStorable(tag, Longest.tag), code(error))
        .meta({ maxLength: Longest.tag, pattern: A_TAG }),
      code(error),
    )
    .max(TAGS_MAX, code(error))
    .transform((list) => [...new Set(list)].sort());
}

/** Kept for links under several host names. */
function domain(z: Z) {
  return z.undefined(code('DOMAIN_UNSUPPORTED')).optional();
}

/** Fields that can be given when a link is created and when it is changed; `undefined` if absent. */
export function linkOptions(z: Z) {
  return {
    redirect_status: z
      .number(code('INVALID_REDIRECT_STATUS'))
      .refine(
        (value) => redirectStatusCodes.some((known) => known === value),
        code('INVALID_REDIRECT_STATUS'),
      )
      .meta({ type: 'integer', enum: [...redirectStatusCodes] })
      .optional(),
    cache_seconds: wholeNumber(z, 'INVALID_CACHE_SECONDS', 0, CACHE_SECONDS_MAX).nullable().optional(),
    valid_since: time(z, 'INVALID_VALID_SINCE').nullable().optional(),
    expires_at: time(z, 'INVALID_EXPIRES_AT').nullable().optional(),
    expired_url: target(z, 'INVALID_EXPIRED_URL', 'REFUSED_EXPIRED_URL').nullable().optional(),
    max_clicks: wholeNumber(z, 'INVALID_MAX_CLICKS', 1, Number.MAX_SAFE_INTEGER).nullable().optional(),
    password: z
      .string(code('INVALID_PASSWORD'))
      .refine((value) => value !== '' && isStorable(value, PASSWORD_MAX), code('INVALID_PASSWORD'))
      .meta({ minLength: 1, maxLength: PASSWORD_MAX, pattern: NO_NUL })
      .nullable()
      .optional(),
    forward_query: flag(z, 'INVALID_FORWARD_QUERY').optional(),
    tags: tags(z).optional(),
    domain: domain(z),
  };
}

/** Fields of a new link besides its target, whichever route creates it. */
export function newLink(z: Z) {
  return {
    title: text(z, 'INVALID_TITLE', Longest.title).nullish(),
    is_active: flag(z, 'INVALID_IS_ACTIVE').optional(),
    user_id: bodyId(z, 'INVALID_USER_ID', 'USER_NOT_FOUND'),
    short_code: z
      .string(code('INVALID_SHORT_CODE'))
      .regex(codePattern, code('INVALID_SHORT_CODE'))
      .optional(),
    code_length: wholeNumber(z, 'INVALID_CODE_LENGTH', CODE_LENGTH_MIN, CODE_LENGTH_MAX).optional(),
    find_if_exists: flag(z, 'INVALID_FIND_IF_EXISTS').optional(),
    ...linkOptions(z),
  };
}

/** What can be changed; `short_code` may be given if it is the link's own. */
export function changedLink(z: Z) {
  return {
    title: text(z, 'INVALID_TITLE', Longest.title).optional(),
    is_active: flag(z, 'INVALID_IS_ACTIVE').optional(),
    original_url: target(z, 'INVALID_ORIGINAL_URL', 'REFUSED_ORIGINAL_URL').optional(),
    short_code: z.string(code('SHORT_CODE_FIXED')).optional(),
    ...linkOptions(z),
  };
}

/** What a refinement is given to report with. */
interface Issues {
  addIssue(issue: { code: 'custom'; message: ErrorCode }): void;
}

/** Refuses a link that ends before it begins, where both are given. */
export function endsAfterItBegins(
  {
    valid_since: since,
    expires_at: until,
  }: { valid_since?: string | null | undefined; expires_at?: string | null | undefined },
  issues: Issues,
): void {
  // Both are UTC in one form: they sort as they are.
  if (typeof since === 'string' && typeof until === 'string' && until <= since)
    issues.addIssue({ code: 'custom', message: 'EXPIRES_BEFORE_VALID' });
}

/** A new link as POST /urls and the routes that create many take it. */
export function newLinkBody(z: Z) {
  return z
    .object({ original_url: target(z, 'INVALID_ORIGINAL_URL', 'REFUSED_ORIGINAL_URL'), ...newLink(z) })
    .superRefine(endsAfterItBegins)
    .transform((fields) => ({ ...fields, answer: 'link' as const }));
}
