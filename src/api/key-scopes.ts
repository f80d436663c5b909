import { createHash } from 'node:crypto';
import type { Scope } from './route.js';

/** The scopes of keys; `admin` is all of them, and /keys. */
export const keyScopes = [
  'links:read',
  'links:create',
  'links:write',
  'stats:read',
  'users',
  'events',
  'ops',
  'admin',
] as const satisfies readonly Exclude<Scope, 'public'>[];

export type KeyScope = (typeof keyScopes)[number];

/** A key's record: plain data, because it crosses threads. */
export interface ApiKey {
  readonly id: string;
  readonly scopes: readonly string[];
  /** The user whose links it sees and makes; `undefined` for one that sees all. */
  readonly owner: string | undefined;
  /** Milliseconds since 1970. */
  readonly expiresAtMs: number | undefined;
}

/** The form of a made key: 32 random bytes behind a prefix that says whose it is. */
export const KEY_PREFIX = 'sw_';
export const keyPattern = /^sw_[\w-]{43}$/;

/** SHA-256, in hexadecimal: the stored form of a key, by which it is looked up. */
export function hashOfKey(key: string): string {
  return createHash('sha256').update(key).digest('hex');
}

/** A key's name in coherence, among the short codes: none of them has a blank. */
export function coherenceNameOf(keyHash: string): string {
  return `key ${keyHash}`;
}
