/**
 * Whether an If-None-Match names a version of what would be answered (RFC 9110, 13.1.2).
 * @param given The header; empty where there is none. @param tag In quotes.
 */
export function isKnownTag(given: string, tag: string): boolean {
  if (given.trim() === '*') return true;
  return given.split(',').some((one) => one.trim().replace(/^W\//, '') === tag);
}
