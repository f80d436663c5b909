import { LRUCache } from 'lru-cache';
import { type Coherence, slotOf } from '../shared/coherence.js';
import type { ThreadCounters } from '../shared/counters.js';

/**
 * A link as a gateway keeps it. All fields are set in the constructor, in one order, so that every
 * entry has the same shape.
 */
export class CachedLink {
  readonly urlId: string;
  readonly userId: string | null;
  readonly shortCode: string;
  /** The value of the Location header. */
  readonly target: string;
  readonly slot: number;
  readonly version: number;
  readonly epoch: number;
  /** The journal segment in which this link has the number `journalRef`; 0 for none. */
  journalSegment: number;
  journalRef: number;

  constructor(row: LinkRow, stamp: Stamp) {
    this.urlId = row.urlId;
    this.userId = row.userId;
    this.shortCode = row.shortCode;
    this.target = row.target;
    this.slot = stamp.slot;
    this.version = stamp.version;
    this.epoch = stamp.epoch;
    this.journalSegment = 0;
    this.journalRef = 0;
  }
}

export interface LinkRow {
  readonly urlId: string;
  readonly userId: string | null;
  readonly shortCode: string;
  readonly target: string;
}

/** What was known of a code's coherence before its row was read; see src/shared/coherence.ts. */
export interface Stamp {
  readonly slot: number;
  readonly version: number;
  readonly epoch: number;
}

interface UnknownCode extends Stamp {
  readonly untilMs: number;
}

export interface LinkCacheOptions {
  readonly maxLinks: number;
  readonly maxUnknown: number;
  readonly unknownMs: number;
  readonly coherence: Coherence;
  readonly counters: ThreadCounters;
}

/**
 * One gateway's links, and beside them, so that a scanner can't push real links out, the codes that
 * were found not to exist. An entry is used only while its stamp holds.
 */
export class LinkCache {
  readonly #links: LRUCache<string, CachedLink>;
  readonly #unknown: LRUCache<string, UnknownCode>;
  readonly #coherence: Coherence;
  readonly #counters: ThreadCounters;
  readonly #unknownMs: number;

  constructor(options: LinkCacheOptions) {
    this.#links = new LRUCache({ max: options.maxLinks });
    this.#unknown = new LRUCache({ max: options.maxUnknown });
    this.#coherence = options.coherence;
    this.#counters = options.counters;
    this.#unknownMs = options.unknownMs;
  }

  /** The link of a code if it may be served as it is. */
  lookup(shortCode: string): CachedLink | undefined {
    const link = this.#links.get(shortCode);
    if (link === undefined) return undefined;
    if (this.#coherence.version(link.slot) !== link.version) return undefined;
    if (this.#coherence.epoch() !== link.epoch) return undefined;
    return link;
  }

  /**
   * The link of a code though it is suspect: nobody has said that it changed, but a change may have
   * gone unheard. To be served only when the database can't be asked.
   */
  lookupSuspect(shortCode: string): CachedLink | undefined {
    const link = this.#links.get(shortCode);
    return link !== undefined && this.#coherence.version(link.slot) === link.version ? link : undefined;
  }

  /** Whether a code is known not to exist, or not to be active. */
  isUnknown(shortCode: string, nowMs: number): boolean {
    const entry = this.#unknown.get(shortCode);
    return (
      entry !== undefined &&
      nowMs < entry.untilMs &&
      this.#coherence.version(entry.slot) === entry.version &&
      this.#coherence.epoch() === entry.epoch
    );
  }

  /** To be taken before the row is read, and given back with what was read. */
  stamp(shortCode: string): Stamp {
    const slot = slotOf(shortCode);
    return { slot, version: this.#coherence.version(slot), epoch: this.#coherence.epoch() };
  }

  /** Keeps what was read after `stamp` was taken; what was invalidated meanwhile is not kept. */
  fill(row: LinkRow, stamp: Stamp): CachedLink {
    const link = new CachedLink(row, stamp);
    if (this.#coherence.version(stamp.slot) === stamp.version) {
      this.#links.set(row.shortCode, link);
      this.#counters.set('cachedLinks', this.#links.size);
    }
    return link;
  }

  fillUnknown(shortCode: string, stamp: Stamp, nowMs: number): void {
    if (this.#coherence.version(stamp.slot) !== stamp.version) return;
    this.#links.delete(shortCode);
    this.#unknown.set(shortCode, { ...stamp, untilMs: nowMs + this.#unknownMs });
    this.#counters.set('cachedLinks', this.#links.size);
    this.#counters.set('cachedUnknown', this.#unknown.size);
  }
}
