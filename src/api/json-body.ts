import type { Checked } from './check.js';
import { parseJsonObject } from './json-object.js';
import type { JsonLimits } from './json-text.js';
import type { RouteDeclaration } from './route.js';

/** A body as it was sent, unpacked. */
export interface SentBody {
  readonly contentType: string;
  readonly bytes: Buffer;
  readonly limits: JsonLimits;
}

/**
 * A route's parsed body, or why it is refused.
 * @param check The route's schema.
 */
export function checkJsonBody(
  route: RouteDeclaration,
  { contentType, bytes, limits }: SentBody,
  check: (members: Readonly<Record<string, unknown>>) => Checked,
): Checked {
  const { noObject = 'INVALID_JSON', exactMembers = [] } = route;
  const json = parseJsonObject(contentType, bytes, limits);
  if (!json.ok) return { ok: false, error: json.error ?? noObject };
  const checked = check(json.members);
  if (!checked.ok || exactMembers.length === 0) return checked;
  const exact = exactMembers.flatMap((name) => {
    const text = json.exactTextOf(name);
    return text === undefined ? [] : [[name, text]];
  });
  return { ok: true, value: { ...checked.value, ...Object.fromEntries(exact) } };
}
