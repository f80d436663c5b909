/**
 * Every error of the API: its status and its text, to the letter of the contract. `global` errors carry
 * `"status"` in their body too: unmatched routes, 405 and failures that no route caused.
 */
export const errorRegistry = {
  INVALID_JSON: { status: 400, text: 'Invalid JSON' },
  MISSING_USERNAME: { status: 400, text: 'Invalid or missing username' },
  MISSING_EMAIL: { status: 400, text: 'Invalid or missing email' },
  INVALID_USERNAME: { status: 400, text: 'Invalid username' },
  INVALID_EMAIL: { status: 400, text: 'Invalid email' },
  MISSING_URL: { status: 400, text: "Missing 'url' field" },
  URL_SCHEME: { status: 400, text: 'URL must start with http:// or https://' },
  INVALID_URL: { status: 400, text: "Invalid 'url': an http(s) URL with a host, of at most 8192 characters" },
  INVALID_ORIGINAL_URL: { status: 400, text: "Missing or invalid 'original_url'" },
  REFUSED_URL: { status: 400, text: "Invalid 'url'" },
  REFUSED_ORIGINAL_URL: { status: 400, text: "Invalid 'original_url'" },
  INVALID_SHORT_CODE: {
    status: 400,
    text: "'short_code' must be 1 to 128 letters, digits, '-' or '_'",
  },
  SHORT_CODE_RESERVED: { status: 400, text: "'short_code' is reserved" },
  SHORT_CODE_FIXED: { status: 400, text: "'short_code' can't be changed" },
  INVALID_CODE_LENGTH: { status: 400, text: "'code_length' must be an integer from 4 to 32" },
  INVALID_REDIRECT_STATUS: { status: 400, text: "'redirect_status' must be 301, 302, 307 or 308" },
  INVALID_CACHE_SECONDS: {
    status: 400,
    text: "'cache_seconds' must be an integer from 0 to 31536000, or null",
  },
  INVALID_VALID_SINCE: { status: 400, text: "'valid_since' must be an ISO 8601 time" },
  INVALID_EXPIRES_AT: { status: 400, text: "'expires_at' must be an ISO 8601 time" },
  EXPIRES_BEFORE_VALID: { status: 400, text: "'expires_at' must be after 'valid_since'" },
  INVALID_EXPIRED_URL: {
    status: 400,
    text: "'expired_url' must be an http(s) URL with a host, of at most 8192 characters, or null",
  },
  REFUSED_EXPIRED_URL: { status: 400, text: "Invalid 'expired_url'" },
  INVALID_MAX_CLICKS: {
    status: 400,
    text: "'max_clicks' must be an integer from 1 to 9007199254740991, or null",
  },
  INVALID_PASSWORD: { status: 400, text: "'password' must be a string of 1 to 128 characters, or null" },
  INVALID_FORWARD_QUERY: { status: 400, text: "'forward_query' must be true or false" },
  INVALID_FIND_IF_EXISTS: { status: 400, text: "'find_if_exists' must be true or false" },
  INVALID_TAGS: {
    status: 400,
    text: "'tags' must be an array of at most 20 strings of 1 to 50 characters without a comma",
  },
  DOMAIN_UNSUPPORTED: { status: 400, text: "'domain' is not supported" },
  TARGET_IS_SHORT_LINK: {
    status: 400,
    text: "'original_url' must not be a short link of this service",
  },
  TARGET_NOT_ALLOWED: { status: 400, text: "'original_url' is not allowed" },
  INVALID_TITLE: { status: 400, text: "'title' must be a string of at most 255 characters" },
  INVALID_IS_ACTIVE: { status: 400, text: "'is_active' must be true or false" },
  INVALID_USER_ID: { status: 400, text: "'user_id' must be an integer" },
  INVALID_URL_ID: { status: 400, text: "'url_id' must be an integer" },
  INVALID_EVENT_TYPE: { status: 400, text: "Missing or invalid 'event_type'" },
  INVALID_DETAILS: { status: 400, text: "'details' must be a JSON object" },
  DETAILS_TEXT: { status: 400, text: "'details' has a NUL character or half a surrogate pair" },
  JSON_TOO_DEEP: { status: 400, text: 'JSON is nested too deeply' },
  JSON_TOO_MANY_VALUES: { status: 400, text: 'JSON has too many values' },
  UNKNOWN_PARAMETER: { status: 400, text: 'Unknown parameter' },
  INVALID_PAGE: { status: 400, text: "'page' and 'per_page' must be integers, not negative" },
  INVALID_LIMIT: { status: 400, text: "'limit' must be an integer from 1 to 1000" },
  INVALID_CURSOR: { status: 400, text: "'after' is not a cursor of this list" },
  CURSOR_OF_ANOTHER_LIST: { status: 400, text: "'after' is a cursor of another filter or sort" },
  TWO_KINDS_OF_PAGES: {
    status: 400,
    text: "'limit' and 'after' can't be used together with 'page' and 'per_page'",
  },
  INVALID_SORT: {
    status: 400,
    text: "'sort' must be created_at, updated_at, click_count or title, with '-' in front for descending",
  },
  INVALID_TAG_FILTER: {
    status: 400,
    text: "'tag' must be 1 to 50 characters without a comma, and given at most 20 times",
  },
  INVALID_SEARCH: { status: 400, text: "'q' must be 3 to 100 characters" },
  NARROW_SEARCH: { status: 400, text: 'Narrow the search' },
  INVALID_WITH_TOTAL: { status: 400, text: "'with_total' must be true or false" },
  INVALID_TAG_MODE: { status: 400, text: "'tags' must be 'all' or 'any'" },
  INVALID_FROM: { status: 400, text: "'from' must be an ISO 8601 time" },
  INVALID_TO: { status: 400, text: "'to' must be an ISO 8601 time" },
  FROM_NOT_BEFORE_TO: { status: 400, text: "'from' must be before 'to'" },
  INVALID_INTERVAL: { status: 400, text: "'interval' must be minute, hour, day, week or month" },
  TOO_MANY_INTERVALS: {
    status: 400,
    text: "'interval' must be longer: there are more than 2000 intervals between 'from' and 'to'",
  },
  MINUTES_TOO_OLD: {
    status: 400,
    text: "'interval' must not be minute where 'from' is more than 24 hours ago",
  },
  INVALID_TIMEZONE: {
    status: 400,
    text: "'timezone' must be a name of the IANA time zone database",
  },
  INVALID_BY: { status: 400, text: "'by' must be a list of country, referrer, browser, os or device" },
  INVALID_BY_OF_ALL: {
    status: 400,
    text: "'by' must be a list of country, referrer, browser, os, device or code",
  },
  INVALID_VALUES_LIMIT: { status: 400, text: "'limit' must be an integer from 1 to 100" },
  NO_FILE: { status: 400, text: 'No file provided' },
  INVALID_MULTIPART: { status: 400, text: 'Invalid multipart body' },
  INVALID_CSV: { status: 400, text: 'Invalid CSV' },
  CSV_NOT_UTF8: { status: 400, text: 'CSV must be UTF-8' },
  CSV_HEADER: { status: 400, text: "CSV header must name 'username' and 'email'" },
  INVALID_FORMAT: { status: 400, text: "'format' must be csv, ndjson or json" },
  INVALID_RAW: { status: 400, text: "'raw' must be true or false" },
  INVALID_URLS: { status: 400, text: "'urls' must be an array of 1 to 1000 links" },
  INVALID_IDS: { status: 400, text: "'ids' must be an array of 1 to 1000 integers" },
  REPEATED_ID: { status: 400, text: "'ids' must not name one twice" },
  INVALID_SET: { status: 400, text: "'set' must be an object with at least one member" },
  INVALID_ATOMIC: { status: 400, text: "'atomic' must be true or false" },
  CSV_TARGET_COLUMN: {
    status: 400,
    text: "CSV header must name 'original_url', or be that of an export of the format",
  },
  INVALID_IMPORT_FORMAT: { status: 400, text: "'format' must be bitly, kutt, yourls or shlink" },
  INVALID_ON_CONFLICT: { status: 400, text: "'on_conflict' must be fail, skip or update" },
  INVALID_DRY_RUN: { status: 400, text: "'dry_run' must be true or false" },
  INVALID_CREATED_AT: { status: 400, text: "'created_at' must be an ISO 8601 time" },
  INVALID_UPDATED_AT: { status: 400, text: "'updated_at' must be an ISO 8601 time" },
  INVALID_HAS_PASSWORD: { status: 400, text: "'has_password' must be true or false" },
  PASSWORD_LOST: { status: 400, text: "'password' is missing of a protected link" },
  INVALID_KEY_NAME: { status: 400, text: "'name' must be a string of 1 to 100 characters" },
  INVALID_SCOPES: {
    status: 400,
    text: "'scopes' must be an array of links:read, links:create, links:write, stats:read, users, events, ops or admin",
  },
  IDEMPOTENCY_UNSUPPORTED: { status: 400, text: "'Idempotency-Key' is not supported here" },
  INVALID_IDEMPOTENCY_KEY: {
    status: 400,
    text: "'Idempotency-Key' must be 1 to 255 printable characters",
  },
  INVALID_QR_FORMAT: { status: 400, text: "'format' must be svg or png" },
  INVALID_QR_SIZE: { status: 400, text: "'size' must be an integer from 64 to 2048" },
  QR_SIZE_TOO_SMALL: { status: 400, text: "'size' must be at least one pixel for each module" },
  INVALID_QR_MARGIN: { status: 400, text: "'margin' must be an integer from 0 to 16" },
  INVALID_QR_LEVEL: { status: 400, text: "'level' must be L, M, Q or H" },
  UNAUTHORIZED: { status: 401, text: 'Unauthorized' },
  PASSWORD_REQUIRED: { status: 401, text: 'Password required' },
  WRONG_PASSWORD: { status: 401, text: 'Wrong password' },
  FORBIDDEN: { status: 403, text: 'Forbidden' },
  USER_NOT_FOUND: { status: 404, text: 'User not found' },
  URL_NOT_FOUND: { status: 404, text: 'URL not found' },
  SHORT_URL_NOT_FOUND: { status: 404, text: 'Short URL not found' },
  EVENT_NOT_FOUND: { status: 404, text: 'Event not found' },
  KEY_NOT_FOUND: { status: 404, text: 'Key not found' },
  NOT_FOUND: { status: 404, text: 'Not found', global: true },
  METHOD_NOT_ALLOWED: { status: 405, text: 'Method not allowed', global: true },
  BODY_DEADLINE: { status: 408, text: 'Request timeout', global: true },
  SHORT_CODE_TAKEN: { status: 409, text: 'Short code already taken' },
  USERNAME_EXISTS: { status: 409, text: 'Username already exists' },
  IDEMPOTENCY_UNDER_WAY: { status: 409, text: 'A request with this idempotency key is under way' },
  LINK_EXPIRED: { status: 410, text: 'Link expired' },
  BAD_REQUEST: { status: 400, text: 'Bad request', global: true },
  CONTENT_CODING: { status: 415, text: 'Unsupported Content-Encoding', global: true },
  TOO_MANY_REQUESTS: { status: 429, text: 'Too many requests' },
  TOO_MANY_TRIES: { status: 429, text: 'Too many tries' },
  CLICK_LIMIT: { status: 410, text: 'Click limit reached' },
  BODY_TOO_LARGE: { status: 413, text: 'Request body too large', global: true },
  IDEMPOTENCY_KEY_REUSED: { status: 422, text: 'Idempotency key was used for another request' },
  NOT_DONE: { status: 424, text: 'Not done: another one failed' },
  INTERNAL: { status: 500, text: 'Internal server error', global: true },
  ORDER_UNDER_WAY: { status: 503, text: 'The index of this order is still being built' },
  SEARCH_UNDER_WAY: { status: 503, text: 'The index of the search is still being built' },
  SEARCH_UNSUPPORTED: {
    status: 503,
    text: 'Searching needs the extension pg_trgm, which the database refused',
  },
  TOO_MANY_LISTENERS: { status: 503, text: 'Too many listeners' },
  STATISTICS_UNDER_WAY: { status: 503, text: 'Statistics are being built' },
  NO_SPACE: { status: 503, text: 'No space to keep the upload', global: true },
  UNAVAILABLE: { status: 503, text: 'Service unavailable', global: true },
} as const satisfies Record<string, { status: number; text: string; global?: true }>;

export type ErrorCode = keyof typeof errorRegistry;

/**
 * A failure with a code of the registry. It is for use within one thread: crossing a thread
 * boundary an error keeps neither class nor code, so results carry the code itself.
 */
export class CodedError extends Error {
  override readonly name = 'CodedError';
  readonly code: ErrorCode;
  readonly detail: string | undefined;

  constructor(code: ErrorCode, detail?: string) {
    super(errorOf(code, detail));
    this.code = code;
    this.detail = detail;
  }
}

/** The text of an error, with a detail if a client can use it. */
export function errorOf(code: ErrorCode, detail?: string): string {
  const { text } = errorRegistry[code];
  return detail === undefined ? text : `${text}: ${detail}`;
}

/** The media type of an error after RFC 9457, for clients that accept it. */
export const PROBLEM_TYPE = 'application/problem+json';

/** The body of an error after RFC 9457. Its `type` is the code's for ever. */
export function problemBody(code: ErrorCode, detail?: string): string {
  const { status, text } = errorRegistry[code];
  return JSON.stringify({
    type: `/docs#/errors/${code}`,
    title: text,
    status,
    detail: errorOf(code, detail),
  });
}

/** The JSON body of an error. */
export function errorBody(code: ErrorCode, detail?: string): string {
  const entry: { status: number; text: string; global?: true } = errorRegistry[code];
  const error = errorOf(code, detail);
  return JSON.stringify(entry.global === true ? { error, status: entry.status } : { error });
}
