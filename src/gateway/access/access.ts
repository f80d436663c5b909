import { createHash, timingSafeEqual } from 'node:crypto';
import { type ApiKey, hashOfKey, keyPattern } from '../../api/key-scopes.js';
import type { RouteDeclaration } from '../../api/route.js';
import type { ErrorCode } from '../../errors.js';
import type { Exchange } from '../http/exchange.js';
import type { FoundKey, KeyCache } from './key-cache.js';

/** Permission for a route, or the refusal. `keyId` is empty if the request has no valid key. */
export type Access =
  | { readonly ok: true; readonly grant: Grant }
  | { readonly ok: false; readonly error: ErrorCode; readonly keyId: string };

/** The client. */
export interface Grant {
  /** The key's; `admin` for ADMIN_KEY, `ops` for OPS_KEY, empty if no key was required. */
  readonly keyId: string;
  /** The only user whose links are seen and made. */
  readonly owner: string | undefined;
  /** Whether existing links may be changed, as an import may do. */
  readonly mayChangeLinks: boolean;
}

export interface AccessOptions {
  readonly isOn: boolean;
  readonly adminKey: string | undefined;
  readonly opsKey: string | undefined;
  readonly keys: Pick<KeyCache, 'lookup' | 'lookupSuspect' | 'find'>;
}

const ANYBODY: Access = { ok: true, grant: { keyId: '', owner: undefined, mayChangeLinks: true } };
const UNAUTHORIZED: Access = { ok: false, error: 'UNAUTHORIZED', keyId: '' };
const ADMIN: ApiKey = { id: 'admin', scopes: ['admin'], owner: undefined, expiresAtMs: undefined };
const OPS: ApiKey = { id: 'ops', scopes: ['ops'], owner: undefined, expiresAtMs: undefined };

/** Decides who may do what: compares the scope that a route declares with the request's key. */
export class AccessControl {
  readonly #isOn: boolean;
  readonly #keys: AccessOptions['keys'];
  /** Keys that are settings. */
  readonly #own: readonly { readonly digest: Buffer; readonly key: ApiKey }[];

  constructor({ isOn, adminKey, opsKey, keys }: AccessOptions) {
    this.#isOn = isOn;
    this.#keys = keys;
    this.#own = [
      ...(adminKey === undefined ? [] : [{ digest: digestOf(adminKey), key: ADMIN }]),
      ...(opsKey === undefined ? [] : [{ digest: digestOf(opsKey), key: OPS }]),
    ];
  }

  /** Whether a request to the route needs a key. */
  guards(route: RouteDeclaration): boolean {
    if (route.isAlwaysGuarded === true) return true;
    return this.#isOn && route.scope !== 'public';
  }

  /** Returns a promise only for a key that is not cached. */
  check(route: RouteDeclaration, exchange: Exchange): Access | Promise<Access> {
    if (!this.guards(route)) return ANYBODY;
    const given = givenKey(exchange);
    if (given === undefined) return UNAUTHORIZED;
    const own = this.#ownKey(given);
    if (own !== undefined) return judge(route, { ok: true, key: own });
    if (!keyPattern.test(given)) return UNAUTHORIZED;
    // Looked up by its hash, which a client can't choose: the time reveals nothing about any key.
    const hash = hashOfKey(given);
    const known =
      this.#keys.lookup(hash) ??
      (route.trustsSuspectKeys === true ? this.#keys.lookupSuspect(hash) : undefined);
    if (known !== undefined) return judge(route, known);
    return this.#keys.find(hash).then((found) => judge(route, found));
  }

  /** Takes a time that reveals nothing about the keys, not even their length. */
  #ownKey(given: string): ApiKey | undefined {
    if (this.#own.length === 0) return undefined;
    const digest = digestOf(given);
    const found = this.#own.filter((own) => timingSafeEqual(digest, own.digest));
    return found[0]?.key;
  }
}

function digestOf(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

/** The key of a request, from either header; the first one counts. */
function givenKey(exchange: Exchange): string | undefined {
  const [, bearer] = /^Bearer +(\S+) *$/i.exec(exchange.header('authorization')) ?? [];
  const key = bearer ?? exchange.header('x-api-key').trim();
  return key === '' ? undefined : key;
}

function judge(route: RouteDeclaration, found: FoundKey): Access {
  if (!found.ok) return { ...found, keyId: '' };
  const { id, scopes, owner } = found.key;
  const forbidden: Access = { ok: false, error: 'FORBIDDEN', keyId: id };
  if (!scopes.includes(route.scope) && !scopes.includes('admin')) return forbidden;
  if (owner !== undefined && route.refusesOwners === true) return forbidden;
  const mayChangeLinks = scopes.includes('links:write') || scopes.includes('admin');
  return { ok: true, grant: { keyId: id, owner, mayChangeLinks } };
}
