import { isLosslessNumber, parse as parseLossless, stringify as stringifyLossless } from 'lossless-json';
import type { Body } from './bodies.js';
import type { Exchange } from './exchange.js';

/** A JSON object as it was sent, with the text of its members where JavaScript would change them. */
export interface JsonObject {
  readonly members: Readonly<Record<string, unknown>>;
  /** The JSON text of a member that is an object; `undefined` when it can't be stored as it is. */
  textOf(name: string): string | undefined;
}

const utf8 = new TextDecoder('utf-8', { fatal: true });

/** Deeper nesting is refused: PostgreSQL's parser, and others', work on a stack. */
const DEEPEST = 200;

/** Numbers that a double can't hold exactly: many digits, or a large exponent. */
const delicateNumber = /\d{16}|\d[eE][+-]?\d{3}/;

/**
 * Reads a request's JSON: an object with at least one member, sent as JSON.
 * @returns `undefined` for anything else.
 */
export function parseJsonObject(exchange: Exchange, body: Body): JsonObject | undefined {
  if (!body.ok || !/^application\/([\w.-]+\+)?json\s*(;|$)/i.test(exchange.contentType)) return undefined;
  let text: string;
  let value: unknown;
  try {
    text = utf8.decode(body.bytes);
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!isObject(value) || Object.keys(value).length === 0) return undefined;
  return { members: value, textOf: (name) => textOf(text, value, name) };
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function textOf(
  source: string,
  members: Readonly<Record<string, unknown>>,
  name: string,
): string | undefined {
  if (!isStorableJson(members[name])) return undefined;
  if (!delicateNumber.test(source)) return JSON.stringify(members[name]);
  const exact = parseLossless(source) as Record<string, unknown>;
  return stringifyLossless(exact[name]);
}

/** Walks without recursion: the depth is the client's choice. */
function isStorableJson(root: unknown): boolean {
  const toVisit: (readonly [value: unknown, depth: number])[] = [[root, 1]];
  for (let entry = toVisit.pop(); entry !== undefined; entry = toVisit.pop()) {
    const [value, depth] = entry;
    if (typeof value === 'string' && !isStorableText(value)) return false;
    if (typeof value !== 'object' || value === null || isLosslessNumber(value)) continue;
    if (depth > DEEPEST) return false;
    for (const [key, member] of Object.entries(value)) {
      if (!isStorableText(key)) return false;
      toVisit.push([member, depth + 1]);
    }
  }
  return true;
}

function isStorableText(text: string): boolean {
  return !text.includes('\0') && text.isWellFormed();
}
