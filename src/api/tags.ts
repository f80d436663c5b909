/**
 * Whether an If-None-Match names the version of the answer (RFC 9110, 13.1.2).
 * @param given The header; empty if absent. @param tag In quotes.
 */
export function isKnownTag(given: string, tag: string): boolean {
  if (given.trim() === '*') return true;
  return given.split(',').some((one) => one.trim().replace(/^W\//, '') === tag);
}
