/** Lengths that the contract sets, in characters (code points, as PostgreSQL counts them). */
export const Longest = {
  username: 100,
  email: 255,
  title: 255,
  eventType: 50,
  originalUrl: 8192,
  tag: 50,
} as const;

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for
const controlCharacter = /[\u0000-\u001f\u007f]/;
const lineBreak = /[\n\v\f\r\u0085\u2028\u2029]/;
const absoluteHttpUrl = /^https?:\/\/[^/\\?#]/i;

/** Whether PostgreSQL gives the text back as it was: no NUL, no half of a surrogate pair (which has no UTF-8). */
export function isWellFormed(text: string): boolean {
  return !text.includes('\0') && text.isWellFormed();
}

/** Whether PostgreSQL gives the text back as it was, and it is not too long. */
export function isStorable(text: string, longest: number): boolean {
  if (!isWellFormed(text)) return false;
  // A code point is one or two UTF-16 units, so most texts need no counting.
  if (text.length <= longest) return true;
  return text.length <= longest * 2 && [...text].length <= longest;
}

export function startsWithHttp(text: string): boolean {
  return /^https?:\/\//i.test(text);
}

/**
 * The usual targets, which need no parsing to be known as URLs: printable ASCII behind a host of letters, digits, dots
 * and hyphens whose last label is no number. What may be wrong with a label in Punycode only the parser knows.
 */
const usualTarget = /^https?:\/\/(?:(?!xn--)[a-z0-9-]+\.)+(?!xn--)[a-z][a-z0-9-]*(?:[/?#][!-~]*)?$/i;

/**
 * Whether a link may lead there: an http(s) URL with a host, with nothing in it that would end or
 * split the Location header, and no space at its ends, which a header would lose.
 */
export function isRedirectTarget(text: string): boolean {
  if (text.length <= Longest.originalUrl && usualTarget.test(text)) return true;
  return (
    absoluteHttpUrl.test(text) &&
    isStorable(text, Longest.originalUrl) &&
    !controlCharacter.test(text) &&
    text.trim() === text &&
    URL.canParse(text)
  );
}

/** Trimmed, or `undefined` when nothing is left, it has line breaks or can't be stored. */
export function usableName(text: string, longest: number): string | undefined {
  const trimmed = text.trim();
  if (trimmed === '' || lineBreak.test(trimmed)) return undefined;
  return isStorable(trimmed, longest) ? trimmed : undefined;
}

/** A name with an `@` that has something on either side. */
export function usableEmail(text: string): string | undefined {
  const email = usableName(text, Longest.email);
  return email !== undefined && /.@./.test(email) ? email : undefined;
}

/** PostgreSQL's own words for a boolean, in any case. */
export function parseBoolean(text: string): boolean | undefined {
  const word = text.trim().toLowerCase();
  if (['true', 't', 'yes', 'y', 'on', '1'].includes(word)) return true;
  if (['false', 'f', 'no', 'n', 'off', '0'].includes(word)) return false;
  return undefined;
}

/** Milliseconds since 1970 as `YYYY-MM-DD HH:MM:SS.mmm` in UTC, the store's form of a time. */
export function formatTimestamp(milliseconds: number): string {
  return new Date(milliseconds).toISOString().replace('T', ' ').slice(0, 23);
}

const idPattern = /^\d{1,40}$/;
const MAX_ID = 2n ** 63n - 1n;

/** Whether a path segment is an id at all; one that is not names no route. */
export function isIdText(text: string): boolean {
  return idPattern.test(text);
}

/** The id without leading zeros, or `undefined` when no row can have it. */
export function usableId(text: string): string | undefined {
  if (!idPattern.test(text)) return undefined;
  const id = BigInt(text);
  return id <= MAX_ID ? String(id) : undefined;
}
