import { LRUCache } from 'lru-cache';
import { type ApiKey, coherenceNameOf } from '../../api/key-scopes.js';
import type { ErrorCode } from '../../errors.js';
import { type Coherence, slotOf } from '../../memory/coherence.js';
import { Database, type ServerState } from '../../memory/server-state.js';
import type { CallAnswer, OwnRequest } from '../../messages/calls.js';

/** What became of a key: what may be done with it, or why nothing may. */
export type FoundKey =
  | { readonly ok: true; readonly key: ApiKey }
  | { readonly ok: false; readonly error: ErrorCode };

export interface KeyCacheOptions {
  readonly coherence: Coherence;
  readonly state: ServerState;
  /** Asks a worker. */
  readonly ask: (request: OwnRequest) => Promise<CallAnswer>;
  /** How long a key that nobody has is believed to be unknown. */
  readonly unknownMs: number;
}

/** What was known of coherence before a key was read. */
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

/** A key that is used all the time and everywhere takes about 500 bytes. */
const KEYS_MAX = 10_000;
const UNKNOWN_MAX = 10_000;
/** `last_used_at` is no more exact than this. */
const NOTE_EVERY_MS = 60_000;
const UNAUTHORIZED: FoundKey = { ok: false, error: 'UNAUTHORIZED' };

/**
 * The API keys that a gateway has seen, by the SHA-256 of each, coherent as links are: a key that was changed
 * or revoked is known to be at once on this server and by NOTIFY on the others. While notifications are not
 * heard nothing that is cached is believed: the database is asked each time.
 */
export class KeyCache {
  readonly #options: KeyCacheOptions;
  readonly #keys = new LRUCache<string, Entry>({ max: KEYS_MAX });
  /** Apart, so that whoever guesses can't push keys out. */
  readonly #unknown = new LRUCache<string, Unknown>({ max: UNKNOWN_MAX });
  readonly #flights = new Map<string, Flight>();

  constructor(options: KeyCacheOptions) {
    this.#options = options;
  }

  /** What is known of a key without asking; `undefined` where the database has to be asked. */
  lookup(hash: string): FoundKey | undefined {
    const entry = this.#keys.get(hash);
    const isHeard = this.#options.state.coherent;
    if (entry !== undefined && isHeard && this.#holds(entry, hash)) return this.#use(entry);
    const unknown = this.#unknown.get(hash);
    if (unknown === undefined || performance.now() >= unknown.untilMs) return undefined;
    return this.#holds(unknown, hash) ? UNAUTHORIZED : undefined;
  }

  /** A key that was good when the database was last asked, where it can't be asked any more. */
  lookupSuspect(hash: string): FoundKey | undefined {
    const entry = this.#keys.get(hash);
    if (entry === undefined || this.#options.state.database !== Database.DOWN) return undefined;
    const isTrue = entry.version === this.#options.coherence.version(slotOf(coherenceNameOf(hash)));
    return isTrue ? this.#judge(entry.key) : undefined;
  }

  /** Asks the database; one flight a key, however many wait for it. */
  find(hash: string): Promise<FoundKey> {
    const stamp = this.#stamp(hash);
    const underWay = this.#flights.get(hash);
    // A flight that left before the latest change may bring back what was revoked, and one that left before
    // this request may too while changes go unheard.
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
    return { version: coherence.version(slotOf(coherenceNameOf(hash))), epoch: coherence.epoch() };
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
      // Nobody waits for it, and one that is lost is made up for in a minute.
      void this.#options.ask({ operation: 'noteKeyUse', input: { id: entry.key.id } });
    }
    return found;
  }

  #judge(key: ApiKey): FoundKey {
    const isOver = key.expiresAtMs !== undefined && key.expiresAtMs <= this.#options.state.databaseNowMs;
    return isOver ? UNAUTHORIZED : { ok: true, key };
  }
}
