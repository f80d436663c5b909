import { parse as parseLossless, stringify as stringifyLossless } from 'lossless-json';

/** A JSON object as it was sent. */
export interface JsonObject {
  readonly members: Readonly<Record<string, unknown>>;
  /**
   * The text of a member whose numbers JavaScript would change; `undefined` where `JSON.stringify` of
   * it is as good.
   */
  exactTextOf(name: string): string | undefined;
}

const utf8 = new TextDecoder('utf-8', { fatal: true });

/** Numbers that a double can't hold exactly: many digits, or a large exponent. */
const delicateNumber = /\d{16}|\d[eE][+-]?\d{3}/;

/**
 * Reads a request's JSON: an object with at least one member, sent as JSON.
 * @returns `undefined` for anything else.
 */
export function parseJsonObject(contentType: string, bytes: Buffer): JsonObject | undefined {
  if (!/^application\/([\w.-]+\+)?json\s*(;|$)/i.test(contentType)) return undefined;
  let text: string;
  let value: unknown;
  try {
    text = utf8.decode(bytes);
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!isObject(value) || Object.keys(value).length === 0) return undefined;
  return {
    members: value,
    exactTextOf(name) {
      if (!delicateNumber.test(text)) return undefined;
      return stringifyLossless((parseLossless(text) as Record<string, unknown>)[name]);
    },
  };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
