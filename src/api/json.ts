import type { ErrorCode } from '../errors.js';
import { isWellFormed } from './values.js';

/** Deeper nesting is refused: PostgreSQL's parser, and others', work on a stack. */
const MAX_DEPTH = 200;

/** Why a value can't be stored as a JSON object and returned unchanged. */
export function jsonFault(value: unknown): ErrorCode | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return 'INVALID_DETAILS';
  // Without recursion, because the client chooses the depth.
  const toVisit: (readonly [value: unknown, depth: number])[] = [[value, 1]];
  for (let entry = toVisit.pop(); entry !== undefined; entry = toVisit.pop()) {
    const [one, depth] = entry;
    if (typeof one === 'string' && !isWellFormed(one)) return 'DETAILS_TEXT';
    if (typeof one !== 'object' || one === null) continue;
    if (depth > MAX_DEPTH) return 'JSON_TOO_DEEP';
    for (const [key, member] of Object.entries(one)) {
      if (!isWellFormed(key)) return 'DETAILS_TEXT';
      toVisit.push([member, depth + 1]);
    }
  }
  return undefined;
}
