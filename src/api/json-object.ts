import { hasUnstorableText, type JsonLimits, jsonExcess, memberText, textOf } from './json-text.js';

/** A JSON object as it was sent. */
export interface JsonObject {
  readonly ok: true;
  readonly members: Readonly<Record<string, unknown>>;
  /**
   * The text of a member whose numbers JavaScript would change; `undefined` if `JSON.stringify` gives the
   * same.
   */
  exactTextOf(name: string): string | undefined;
}

/** `undefined` if it is not such an object. */
export interface JsonRefusal {
  readonly ok: false;
  readonly error: 'JSON_TOO_DEEP' | 'JSON_TOO_MANY_VALUES' | undefined;
}

const utf8 = new TextDecoder('utf-8', { fatal: true });

/** Numbers that a double can't hold exactly: many digits, or a large exponent. */
const delicateNumber = /\d{16}|\d[eE][+-]?\d{3}/;

/** Reads a request's JSON: an object with at least one member, sent as JSON. */
export function parseJsonObject(
  contentType: string,
  bytes: Buffer,
  limits: JsonLimits,
): JsonObject | JsonRefusal {
  if (!/^application\/([\w.-]+\+)?json\s*(;|$)/i.test(contentType)) return { ok: false, error: undefined };
  const excess = jsonExcess(bytes, limits);
  if (excess !== undefined)
    return { ok: false, error: excess === 'depth' ? 'JSON_TOO_DEEP' : 'JSON_TOO_MANY_VALUES' };
  let text: string;
  let value: unknown;
  try {
    text = utf8.decode(bytes);
    value = JSON.parse(text);
  } catch {
    return { ok: false, error: undefined };
  }
  if (!isObject(value) || Object.keys(value).length === 0) return { ok: false, error: undefined };
  return {
    ok: true,
    members: value,
    exactTextOf(name) {
      if (!delicateNumber.test(text)) return undefined;
      const sent = memberText(bytes, name);
      // If a member comes twice, the parsed value shows only one of the two.
      return sent === undefined || hasUnstorableText(sent) ? undefined : textOf(sent).trim();
    },
  };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
