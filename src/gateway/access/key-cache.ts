import { LRUCache } from 'lru-cache';
import { type ApiKey, coherenceNameOf } from '../../api/key-scopes.js';
import type { ErrorCode } from '../../errors.js';
import { type Coherence, stripeOf } from '../../memory/coherence.js';
import { Database, type ServerState } from '../../memory/server-state.js';
import type { CallAnswer, OwnRequest } from '../../messages/calls.js';

/** The verdict on a key: what it permits, or why it permits nothing. */
export type FoundKey =
  | { readonly ok: true; readonly key: ApiKey }
  | { readonly ok: false; readonly error: ErrorCode };

export interface KeyCacheOptions {
  readonly coherence: Coherence;
  readonly state: ServerState;
  /** Asks a worker. */
  readonly ask: (request: OwnRequest) => Promise<CallAnswer>;
  /** How long an unknown key is remembered as unknown. */
  readonly unknownMs: number;
}

/** The state of coherence before a key was read. */
interface Stamp {
  readonly version: number;
  readonly epoch: number;
}

interface Entry extends Stamp {
  readonly key: ApiKey;
  usedAtMs: number;
}

interface Unknown extends Stamp {
  readonly untilMs: number;
}

interface Flight extends Stamp {
  readonly found: Promise<FoundKey>;
}

/** A key takes about 500 bytes at most. */
const KEYS_MAX = 10_000;
const UNKNOWN_MAX = 10_000;
/** The precision of `last_used_at`. */
const NOTE_EVERY_MS = 60_000;
const UNAUTHORIZED: FoundKey = { ok: false, error: 'UNAUTHORIZED' };

/**
 * The API keys that a gateway has seen, by their SHA-256, coherent as links are: this server learns of a
 * changed or revoked key at once, the others by NOTIFY. While notifications are not heard, the gateway trusts
 * no cached key and asks the database each time.
 */
export class KeyCache {
  readonly #options: KeyCacheOptions;
  readonly #keys = new LRUCache<string, Entry>({ max: KEYS_MAX });
  /** Separate, to keep guesses from pushing keys out. */
  readonly #unknown = new LRUCache<string, Unknown>({ max: UNKNOWN_MAX });
  readonly #flights = new Map<string, Flight>();

  constructor(options: KeyCacheOptions) {
    this.#options = options;
  }

  /** What the cache knows of a key; `undefined` if the database has to be asked. */
  lookup(hash: string): FoundKey | undefined {
    const entry = this.#keys.get(hash);
    const isHeard = this.#options.state.coherent;
    if (entry !== undefined && isHeard && this.#holds(entry, hash)) return this.#use(entry);
    const unknown = this.#unknown.get(hash);
    if (unknown === undefined || performance.now() >= unknown.untilMs) return undefined;
    return this.#holds(unknown, hash) ? UNAUTHORIZED : undefined;
  }

  /** A key that was good when the database last answered, for when it can't be asked. */
  lookupSuspect(hash: string): FoundKey | undefined {
    const entry = this.#keys.get(hash);
    if (entry === undefined || this.#options.state.database !== Database.DOWN) return undefined;
    const isTrue = entry.version === this.#options.coherence.version(stripeOf(coherenceNameOf(hash)));
    return isTrue ? this.#judge(entry.key) : undefined;
  }

  /** Asks the database, with one flight for each key, however many requests wait for it. */
  find(hash: string): Promise<FoundKey> {
    const stamp = this.#stamp(hash);
    const underWay = this.#flights.get(hash);
    // A flight that left before the latest change may bring back a revoked key, and so may one that left
    // before this request while changes go unheard.
    const isGood = underWay?.version === stamp.version && underWay.epoch === stamp.epoch;
    if (underWay !== undefined && isGood && this.#options.state.coherent) return underWay.found;
    const found = this.#read(hash, stamp).finally(() => {
      if (this.#flights.get(hash) === flight) this.#flights.delete(hash);
    });
    const flight: Flight = { ...stamp, found };
    this.#flights.set(hash, flight);
    return found;
  }

  async #read(hash: string, stamp: Stamp): Promise<FoundKey> {
    const { ask, unknownMs } = this.#options;
    const answer = await ask({ operation: 'findKey', input: { hash } });
    const isTrue = stamp.version === this.#stamp(hash).version;
    if (answer.ok) {
      const key = JSON.parse(answer.body) as ApiKey;
      const entry = { ...stamp, key, usedAtMs: this.#keys.get(hash)?.usedAtMs ?? Number.NEGATIVE_INFINITY };
      if (isTrue) this.#keys.set(hash, entry);
      return this.#use(entry);
    }
    if (answer.error !== 'UNAUTHORIZED') return { ok: false, error: 'UNAVAILABLE' };
    this.#keys.delete(hash);
    if (isTrue) this.#unknown.set(hash, { ...stamp, untilMs: performance.now() + unknownMs });
    return UNAUTHORIZED;
  }

  #stamp(hash: string): Stamp {
    const { coherence } = this.#options;
    return { version: coherence.version(stripeOf(coherenceNameOf(hash))), epoch: coherence.epoch() };
  }

  #holds(entry: Stamp, hash: string): boolean {
    const { version, epoch } = this.#stamp(hash);
    return entry.version === version && entry.epoch === epoch;
  }

  #use(entry: Entry): FoundKey {
    const found = this.#judge(entry.key);
    const nowMs = performance.now();
    if (found.ok && nowMs - entry.usedAtMs >= NOTE_EVERY_MS) {
      entry.usedAtMs = nowMs;
      // Nothing waits for it, and the next one, a minute later, makes up for a lost one.
      void this.#options.ask({ operation: 'noteKeyUse', input: { id: entry.key.id } });
    }
    return found;
  }

  #judge(key: ApiKey): FoundKey {
    const isOver = key.expiresAtMs !== undefined && key.expiresAtMs <= this.#options.state.databaseNowMs;
    return isOver ? UNAUTHORIZED : { ok: true, key };
  }
}
