import { createHash } from 'node:crypto';
import { isStorable, Longest, usableId } from './values.js';

/** Where a page of a list ended: the list's key, as the database writes it, and the row's id. */
export interface Position {
  readonly key: string;
  readonly id: string;
}

interface Cursor extends Position {
  /** Of the list, its filters and its order. */
  readonly digest: string;
}

/** Raise this when the format of cursors or a list's order changes: older cursors are then refused, never misread. */
const VERSION = 1;
const DIGEST_CHARACTERS = 11;
/** Room for the longest title, whose characters may take four bytes each, and JSON's escapes. */
const MAX_CHARACTERS = 8192;

/** Members of a checked query that choose a page or its form, not the rows of the list. */
const pageMembers: ReadonlySet<string> = new Set([
  'limit',
  'after',
  'page',
  'per_page',
  'with_total',
  'format',
  'raw',
]);

/** The list, its filters and its order, in a few characters. @param input A checked query. */
export function listDigest(list: string, input: Readonly<Record<string, unknown>>): string {
  const filters = Object.entries(input)
    .filter(([name, value]) => value !== undefined && !pageMembers.has(name))
    .sort(([one], [other]) => (one < other ? -1 : 1));
  const hash = createHash('sha256').update(JSON.stringify([list, filters]));
  return hash.digest('base64url').slice(0, DIGEST_CHARACTERS);
}

export function encodeCursor(digest: string, { key, id }: Position): string {
  return Buffer.from(JSON.stringify([VERSION, digest, key, id])).toString('base64url');
}

/** @returns `undefined` for a cursor that no list of this version issued. */
export function decodeCursor(text: string): Cursor | undefined {
  if (text.length > MAX_CHARACTERS || !/^[\w-]+$/.test(text)) return undefined;
  const parts = parseArray(Buffer.from(text, 'base64url').toString());
  if (parts?.length !== 4) return undefined;
  const [version, digest, key, id] = parts;
  if (version !== VERSION || typeof digest !== 'string' || typeof key !== 'string' || typeof id !== 'string')
    return undefined;
  if (!isStorable(key, Longest.title) || usableId(id) !== id) return undefined;
  return { digest, key, id };
}

function parseArray(json: string): unknown[] | undefined {
  try {
    const value: unknown = JSON.parse(json);
    return Array.isArray(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
