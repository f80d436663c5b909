/** Lengths that the contract sets, in characters (code points, as PostgreSQL counts them). */
export const Longest = {
  username: 100,
  email: 255,
  title: 255,
  eventType: 50,
  originalUrl: 8192,
} as const;

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for
const controlCharacter = /[\u0000-\u001f\u007f]/;
const absoluteHttpUrl = /^https?:\/\/[^/\\?#]/i;

/**
 * Whether PostgreSQL gives the text back as it was: no NUL, no half of a surrogate pair (which has
 * no UTF-8), and not too long.
 */
export function isStorable(text: string, longest: number): boolean {
  if (text.includes('\0') || !text.isWellFormed()) return false;
  // A code point is one or two UTF-16 units, so most texts need no counting.
  if (text.length <= longest) return true;
  return text.length <= longest * 2 && [...text].length <= longest;
}

export function startsWithHttp(text: string): boolean {
  return /^https?:\/\//i.test(text);
}

/**
 * Whether a link may lead there: an http(s) URL with a host, with nothing in it that would end or
 * split the Location header, and no space at its ends, which a header would lose.
 */
export function isRedirectTarget(text: string): boolean {
  return (
    absoluteHttpUrl.test(text) &&
    isStorable(text, Longest.originalUrl) &&
    !controlCharacter.test(text) &&
    text.trim() === text &&
    URL.canParse(text)
  );
}

/** Trimmed, or `undefined` when nothing is left or it can't be stored. */
export function usableName(text: string, longest: number): string | undefined {
  const trimmed = text.trim();
  return trimmed !== '' && isStorable(trimmed, longest) ? trimmed : undefined;
}

export function usableEmail(text: string): string | undefined {
  const email = usableName(text, Longest.email);
  return email?.includes('@') === true ? email : undefined;
}

const timestampPattern =
  /^(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?)? ?(?:(Z)|([+-])(\d\d):?(\d\d))?$/i;

/**
 * Reads an ISO 8601 date or date and time of the years 100 to 9999; without a zone it is UTC.
 * @returns `YYYY-MM-DD HH:MM:SS.mmm` in UTC, or `undefined` for anything else.
 */
export function parseTimestamp(text: string): string | undefined {
  const match = timestampPattern.exec(text.trim());
  if (match === null) return undefined;
  const part = (index: number): number => Number(match[index] ?? 0);
  const millisecond = Math.trunc(Number(`0.${match[7] ?? 0}`) * 1000);
  const local = Date.UTC(part(1), part(2) - 1, part(3), part(4), part(5), part(6), millisecond);
  const date = new Date(local);
  // Date.UTC carries 31 February over into March, and takes years below 100 for 19xx: none of ours.
  const isReal =
    date.getUTCFullYear() === part(1) &&
    date.getUTCMonth() === part(2) - 1 &&
    date.getUTCDate() === part(3) &&
    date.getUTCHours() === part(4) &&
    date.getUTCMinutes() === part(5) &&
    date.getUTCSeconds() === part(6);
  if (!isReal) return undefined;
  const offsetMinutes = (part(10) * 60 + part(11)) * (match[9] === '-' ? -1 : 1);
  return formatTimestamp(local - offsetMinutes * 60_000);
}

/** Milliseconds since 1970 as `YYYY-MM-DD HH:MM:SS.mmm` in UTC, the store's form of a time. */
export function formatTimestamp(milliseconds: number): string {
  return new Date(milliseconds).toISOString().replace('T', ' ').slice(0, 23);
}

const idPattern = /^\d{1,40}$/;
const LARGEST_ID = 2n ** 63n - 1n;

/** Whether a path segment is an id at all; one that is not names no route. */
export function isIdText(text: string): boolean {
  return idPattern.test(text);
}

/** The id without leading zeros, or `undefined` when no row can have it. */
export function usableId(text: string): string | undefined {
  if (!idPattern.test(text)) return undefined;
  const id = BigInt(text);
  return id <= LARGEST_ID ? String(id) : undefined;
}
