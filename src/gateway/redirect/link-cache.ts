import { LRUCache } from 'lru-cache';
import type { NumberedLink } from '../../journal/recorder.js';
import { type Coherence, stripeOf } from '../../memory/coherence.js';
import type { ThreadCounters } from '../../memory/counters.js';
import type { LinkOptions } from './link-options.js';
import { type LinkRow, LinkTable, type Stamp } from './link-table.js';

/**
 * A cached link. Each cache has one of these objects, for the link found last: use it at once and don't keep
 * it.
 */
export class CachedLink implements NumberedLink {
  readonly #table: LinkTable;
  #entry = 0;

  constructor(table: LinkTable) {
    this.#table = table;
  }

  at(entry: number): this {
    this.#entry = entry;
    return this;
  }

  /** Status and Location header of the answer, for `writeStatus`. */
  get head(): string {
    return this.#table.head(this.#entry);
  }

  get location(): string {
    return this.#table.location(this.#entry);
  }

  /** The index of its status in `redirectStatuses`. */
  get statusIndex(): number {
    return this.#table.statusIndex(this.#entry);
  }

  get options(): LinkOptions {
    return this.#table.options(this.#entry);
  }

  /** Its target, as given. */
  get target(): string {
    return this.#table.target(this.#entry);
  }

  get shortCode(): string {
    return this.#table.shortCode(this.#entry);
  }

  get urlId(): string {
    return String(this.#table.urlId(this.#entry));
  }

  get userId(): string | null {
    const userId = this.#table.userId(this.#entry);
    return userId === 0n ? null : String(userId);
  }

  get createdMs(): number {
    return this.#table.createdMs(this.#entry);
  }

  get journalSegment(): number {
    return this.#table.journalSegment(this.#entry);
  }

  get journalRef(): number {
    return this.#table.journalRef(this.#entry);
  }

  setJournalRef(segment: number, ref: number): void {
    this.#table.setJournalRef(this.#entry, segment, ref);
  }
}

/** The state before a code was looked up. */
export interface FlightStamp extends Stamp {
  /** The number of codes chosen by clients: a new one may be another spelling. */
  readonly chosenCodes: number;
}

/** A code without a link, or another spelling of a link's code. */
interface OtherCode extends FlightStamp {
  readonly untilMs: number;
  /** The link's own code, if this is another spelling of it. */
  readonly ownCode: string | undefined;
}

export interface LinkCacheOptions {
  readonly maxLinks: number;
  readonly maxUnknown: number;
  readonly unknownMs: number;
  readonly coherence: Coherence;
  readonly counters: ThreadCounters;
}

/**
 * One gateway's links and, separately, to keep a scanner from pushing links out, the codes that do not exist
 * or are other spellings. An entry is used only while its stamp is valid.
 */
export class LinkCache {
  readonly #maxLinks: number;
  #links: LinkTable;
  #found: CachedLink;
  readonly #others: LRUCache<string, OtherCode>;
  readonly #coherence: Coherence;
  readonly #counters: ThreadCounters;
  readonly #unknownMs: number;

  constructor(options: LinkCacheOptions) {
    this.#maxLinks = options.maxLinks;
    this.#links = new LinkTable(options.maxLinks);
    this.#found = new CachedLink(this.#links);
    this.#others = new LRUCache({ max: options.maxUnknown });
    this.#coherence = options.coherence;
    this.#counters = options.counters;
    this.#unknownMs = options.unknownMs;
  }

  /**
   * The link of a code if it is coherent and its head is its whole answer.
   * @param nowSeconds Since TABLE_EPOCH_SECONDS.
   */
  lookup(shortCode: string, nowSeconds: number): CachedLink | undefined {
    const entry = this.#links.find(shortCode);
    if (entry === LinkTable.none) return undefined;
    if (!this.#links.isFresh(entry, nowSeconds)) return undefined;
    if (!this.#isCoherent(entry)) return undefined;
    this.#links.touch(entry);
    return this.#found.at(entry);
  }

  /** The link of a code if it is coherent, whatever it takes to answer. */
  lookupAny(shortCode: string): CachedLink | undefined {
    const entry = this.#links.find(shortCode);
    if (entry === LinkTable.none || !this.#isCoherent(entry)) return undefined;
    this.#links.touch(entry);
    return this.#found.at(entry);
  }

  /**
   * The link of a code though it is suspect: no change was reported, but one may have gone unheard. Serve it
   * only when the database can't be asked.
   */
  lookupSuspect(shortCode: string): CachedLink | undefined {
    const entry = this.#links.find(shortCode);
    if (entry === LinkTable.none) return undefined;
    const isTrue = this.#coherence.version(this.#links.stripe(entry)) === this.#links.version(entry);
    return isTrue ? this.#found.at(entry) : undefined;
  }

  #isCoherent(entry: number): boolean {
    const links = this.#links;
    return (
      this.#coherence.version(links.stripe(entry)) === links.version(entry) &&
      this.#coherence.epoch() === links.epoch(entry)
    );
  }

  /** Whether the code is known to be missing or inactive. */
  isUnknown(shortCode: string, nowMs: number): boolean {
    const entry = this.#others.get(shortCode);
    return entry !== undefined && entry.ownCode === undefined && this.#holds(entry, nowMs);
  }

  /** The link's own code, if this one is known to be another spelling of it. */
  ownCodeOf(shortCode: string, nowMs: number): string | undefined {
    const entry = this.#others.get(shortCode);
    return entry !== undefined && this.#holds(entry, nowMs) ? entry.ownCode : undefined;
  }

  #holds(entry: OtherCode, nowMs: number): boolean {
    return (
      nowMs < entry.untilMs &&
      this.#coherence.version(entry.stripe) === entry.version &&
      this.#coherence.epoch() === entry.epoch &&
      this.#coherence.chosenCodes() === entry.chosenCodes
    );
  }

  /** Forgets everything, because it is about another database. */
  clear(): void {
    this.#links = new LinkTable(this.#maxLinks);
    this.#found = new CachedLink(this.#links);
    this.#others.clear();
  }

  /** Take it before the row is read, and return it with the result. */
  stamp(shortCode: string): FlightStamp {
    const stripe = stripeOf(shortCode);
    const coherence = this.#coherence;
    return {
      stripe,
      version: coherence.version(stripe),
      epoch: coherence.epoch(),
      chosenCodes: coherence.chosenCodes(),
    };
  }

  /**
   * Keeps what was read after `stamp` was taken; if it was invalidated meanwhile, it is valid only this once.
   */
  fill(row: LinkRow, stamp: Stamp): CachedLink {
    const isTrue = this.#coherence.version(stamp.stripe) === stamp.version;
    const entry = isTrue ? this.#links.put(row, stamp) : this.#links.putTransient(row, stamp);
    this.#counters.set('cachedLinks', this.#links.size);
    return this.#found.at(entry);
  }

  /** A link found under another spelling: valid only this once, because nothing is known about its own code. */
  transient(row: LinkRow, stamp: Stamp): CachedLink {
    return this.#found.at(this.#links.putTransient(row, stamp));
  }

  /**
   * Remembers for a short time that a code is unknown, or another spelling.
   * @param stamp Taken before it was looked up.
   */
  fillOther(shortCode: string, stamp: FlightStamp, nowMs: number, ownCode?: string): void {
    if (this.#coherence.version(stamp.stripe) !== stamp.version) return;
    this.#links.remove(shortCode);
    this.#others.set(shortCode, { ...stamp, untilMs: nowMs + this.#unknownMs, ownCode });
    this.#counters.set('cachedLinks', this.#links.size);
    this.#counters.set('cachedUnknown', this.#others.size);
  }
}
