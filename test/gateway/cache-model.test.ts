import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type FlightStamp, LinkCache } from '../../src/gateway/redirect/link-cache.js';
import { Coherence } from '../../src/memory/coherence.js';
import { Counters } from '../../src/memory/counters.js';

/**
 * A model of one server's caches against one database, with another server beside it. Each step is
 * one thing that happens in one place; fast-check puts them in any order.
 *
 * - A change by this server: commit, then invalidate, then the answer.
 * - A change by the other server: commit, and a notification that arrives later, or never when the
 *   LISTEN connection is lost.
 * - A fill: the stamp is taken, then the row is read, then it is kept.
 * - After a loss, LISTEN is there again and a new epoch begins; what was sent meanwhile is gone.
 */
type Step =
  | { readonly do: 'commit'; readonly code: number; readonly gone: boolean }
  | { readonly do: 'invalidate'; readonly change: number }
  | { readonly do: 'answer'; readonly change: number }
  | { readonly do: 'remoteCommit'; readonly code: number; readonly gone: boolean }
  | { readonly do: 'hear' }
  | { readonly do: 'loseListen' }
  | { readonly do: 'listenAgain' }
  | { readonly do: 'stamp'; readonly gateway: number; readonly code: number }
  | { readonly do: 'readRow'; readonly fill: number }
  | { readonly do: 'keep'; readonly fill: number };

const codes = ['aaaaaa', 'bbbbbb', 'cccccc'];
const code = fc.nat({ max: codes.length - 1 });
const gateway = fc.nat({ max: 1 });
const gone = fc.boolean();
const pick = fc.nat({ max: 5 });
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ do: fc.constant('commit' as const), code, gone }),
  fc.record({ do: fc.constant('invalidate' as const), change: pick }),
  fc.record({ do: fc.constant('answer' as const), change: pick }),
  fc.record({ do: fc.constant('remoteCommit' as const), code, gone }),
  fc.record({ do: fc.constant('hear' as const) }),
  fc.record({ do: fc.constant('loseListen' as const) }),
  fc.record({ do: fc.constant('listenAgain' as const) }),
  fc.record({ do: fc.constant('stamp' as const), gateway, code }),
  fc.record({ do: fc.constant('readRow' as const), fill: pick }),
  fc.record({ do: fc.constant('keep' as const), fill: pick }),
);

interface Change {
  readonly code: number;
  readonly version: number;
  isInvalidated: boolean;
}

interface Fill {
  readonly gateway: number;
  readonly code: number;
  readonly stamp: FlightStamp;
  row: { version: number; gone: boolean } | undefined;
}

/** Megabytes each, and no worse for having been used before: versions only ever go up. */
const sharedCoherence = new Coherence();
const sharedCounters = new Counters().claim('gateway').counters;

class Model {
  readonly #coherence = sharedCoherence;
  readonly #caches: LinkCache[];
  /** What the database has: a number for each state that a link was ever in. */
  readonly #rows = codes.map(() => ({ version: 0, gone: false }));
  /** The state that nobody may be shown anything older than. */
  readonly #floor = codes.map(() => 0);
  #changes: Change[] = [];
  #fills: Fill[] = [];
  #inFlight: { code: number; version: number }[] = [];
  #isListening = true;
  hits = 0;

  constructor() {
    this.#caches = [0, 1].map(
      () =>
        new LinkCache({
          maxLinks: 2,
          maxUnknown: 2,
          unknownMs: 1000,
          coherence: this.#coherence,
          counters: sharedCounters,
        }),
    );
  }

  run(one: Step): void {
    switch (one.do) {
      case 'commit':
        this.#changes.push({
          code: one.code,
          version: this.#commit(one.code, one.gone),
          isInvalidated: false,
        });
        break;
      case 'invalidate': {
        const change = chosen(this.#changes, one.change);
        if (change === undefined) break;
        this.#coherence.invalidate(codes[change.code] ?? '');
        change.isInvalidated = true;
        break;
      }
      case 'answer': {
        // Only what is invalidated may be answered; that is the rule under test.
        const change = chosen(this.#changes, one.change);
        if (change?.isInvalidated !== true) break;
        this.#raise(change.code, change.version);
        this.#changes.splice(this.#changes.indexOf(change), 1);
        break;
      }
      case 'remoteCommit': {
        const version = this.#commit(one.code, one.gone);
        if (this.#isListening) this.#inFlight.push({ code: one.code, version });
        break;
      }
      case 'hear': {
        const heard = this.#inFlight.shift();
        if (heard === undefined) break;
        this.#coherence.invalidate(codes[heard.code] ?? '');
        this.#raise(heard.code, heard.version);
        break;
      }
      case 'loseListen':
        this.#isListening = false;
        this.#inFlight = [];
        break;
      case 'listenAgain':
        if (this.#isListening) break;
        this.#isListening = true;
        this.#coherence.beginEpoch();
        // Whatever was committed before is not to be served from the cache any more.
        for (const [index, row] of this.#rows.entries()) {
          if (!this.#changes.some((change) => change.code === index)) this.#raise(index, row.version);
        }
        break;
      case 'stamp': {
        const cache = this.#caches[one.gateway] as LinkCache;
        const stamp = cache.stamp(codes[one.code] ?? '');
        this.#fills.push({ gateway: one.gateway, code: one.code, stamp, row: undefined });
        break;
      }
      case 'readRow': {
        const fill = chosen(this.#fills, one.fill);
        if (fill !== undefined)
          fill.row ??= { ...(this.#rows[fill.code] as { version: number; gone: boolean }) };
        break;
      }
      case 'keep':
        this.#keep(one.fill);
        break;
      default:
        throw new Error(String(one satisfies never));
    }
  }

  /** Asks both gateways for all codes: after every step, what they would serve must be allowed. */
  check(): void {
    for (const which of this.#caches.keys()) for (const index of codes.keys()) this.#lookup(which, index);
  }

  #commit(index: number, isGone: boolean): number {
    const row = this.#rows[index] as { version: number; gone: boolean };
    row.version += 1;
    row.gone = isGone;
    return row.version;
  }

  #raise(index: number, version: number): void {
    this.#floor[index] = Math.max(this.#floor[index] ?? 0, version);
  }

  #keep(index: number): void {
    const fill = chosen(this.#fills, index);
    if (fill?.row === undefined) return;
    this.#fills.splice(this.#fills.indexOf(fill), 1);
    const cache = this.#caches[fill.gateway] as LinkCache;
    const shortCode = codes[fill.code] ?? '';
    if (fill.row.gone) cache.fillOther(shortCode, fill.stamp, 0);
    else
      cache.fill(
        { urlId: '1', userId: null, shortCode, target: String(fill.row.version), createdMs: 1 },
        fill.stamp,
      );
  }

  #lookup(which: number, index: number): void {
    const cache = this.#caches[which] as LinkCache;
    const link = cache.lookup(codes[index] ?? '', 0);
    const floor = this.#floor[index] ?? 0;
    if (link !== undefined) {
      this.hits += 1;
      expect(Number(link.target)).toBeGreaterThanOrEqual(floor);
    }
    if (cache.isUnknown(codes[index] ?? '', 0)) {
      this.hits += 1;
      const row = this.#rows[index] as { version: number; gone: boolean };
      // "Unknown" may be old, but not older than what was answered: then some later state was gone too.
      expect(row.gone || row.version > floor || floor === 0).toBe(true);
    }
  }
}

function chosen<T>(list: readonly T[], index: number): T | undefined {
  return list[index % Math.max(1, list.length)];
}

describe('the link cache', () => {
  it('never serves what was replaced before the request began, in any interleaving', () => {
    let hits = 0;
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 120, size: 'max' }), (steps) => {
        const model = new Model();
        for (const one of steps) {
          model.run(one);
          model.check();
        }
        hits += model.hits;
      }),
      { numRuns: 10_000 },
    );
    // A cache that never hits would pass as well.
    expect(hits).toBeGreaterThan(1000);
  });

  it('serves what is suspect only when asked for it, and nothing that was invalidated', () => {
    const coherence = new Coherence();
    const { counters } = new Counters().claim('gateway');
    const cache = new LinkCache({ maxLinks: 10, maxUnknown: 10, unknownMs: 100, coherence, counters });
    const row = {
      urlId: '1',
      userId: null,
      shortCode: 'abcdef',
      target: 'https://example.com',
      createdMs: 1,
    };
    cache.fill(row, cache.stamp('abcdef'));
    expect(cache.lookup('abcdef', 0)?.target).toBe(row.target);
    coherence.beginEpoch();
    expect(cache.lookup('abcdef', 0)).toBeUndefined();
    expect(cache.lookupSuspect('abcdef')?.target).toBe(row.target);
    coherence.invalidate('abcdef');
    expect(cache.lookupSuspect('abcdef')).toBeUndefined();
    cache.fill(row, cache.stamp('abcdef'));
    coherence.invalidateAll();
    expect(cache.lookup('abcdef', 0)).toBeUndefined();
  });

  it('believes an unknown code to be unknown for a short time only', () => {
    const coherence = new Coherence();
    const { counters } = new Counters().claim('gateway');
    const cache = new LinkCache({ maxLinks: 10, maxUnknown: 10, unknownMs: 100, coherence, counters });
    cache.fillOther('abcdef', cache.stamp('abcdef'), 1000);
    expect(cache.isUnknown('abcdef', 1099)).toBe(true);
    expect(cache.isUnknown('abcdef', 1100)).toBe(false);
    cache.fillOther('abcdef', cache.stamp('abcdef'), 1000);
    coherence.invalidate('abcdef');
    expect(cache.isUnknown('abcdef', 1001)).toBe(false);
  });
});
