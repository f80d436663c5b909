import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { linksByAsked } from '../../src/api/redirect-link.js';
import { type FlightStamp, LinkCache } from '../../src/gateway/redirect/link-cache.js';
import { Coherence } from '../../src/memory/coherence.js';
import { Counters } from '../../src/memory/counters.js';
import { provenLinks } from '../../src/workers/calls/standby-resolves.js';

/**
 * A model of one server whose misses are read from a standby, as `cache-model.test.ts` without one. The primary's log
 * has changes and proofs, in the order of their commits. The standby has replayed a part of it; it lags, stands
 * still, goes back (after a crash), and follows another primary's log for a while, where links change too.
 */
type Step =
  | {
      readonly do: 'commit' | 'remoteCommit' | 'commitElsewhere';
      readonly code: number;
      readonly gone: boolean;
    }
  | { readonly do: 'invalidate' | 'answer'; readonly change: number }
  | { readonly do: 'replay' | 'goBack'; readonly by: number }
  | { readonly do: 'stamp'; readonly code: number }
  | { readonly do: 'ask' | 'readRow' | 'keep'; readonly fill: number }
  | {
      readonly do:
        | 'hear'
        | 'loseListen'
        | 'listenAgain'
        | 'markAgain'
        | 'beginProof'
        | 'commitProof'
        | 'followAnother'
        | 'followOurs';
    };

const codes = ['aaaaaa', 'bbbbbb', 'cccccc'];
const code = fc.nat({ max: codes.length - 1 });
const gone = fc.boolean();
const pick = fc.nat({ max: 5 });
const by = fc.nat({ max: 4 });
const of = <Name extends string>(...names: Name[]): fc.Arbitrary<Name> => fc.constantFrom(...names);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: of('commit', 'remoteCommit', 'commitElsewhere'), code, gone }) },
  { weight: 4, arbitrary: fc.record({ do: of('invalidate', 'answer'), change: pick }) },
  { weight: 4, arbitrary: fc.record({ do: of('replay', 'replay', 'replay', 'goBack'), by }) },
  { weight: 3, arbitrary: fc.record({ do: of('stamp'), code }) },
  { weight: 9, arbitrary: fc.record({ do: of('ask', 'readRow', 'keep'), fill: pick }) },
  { weight: 6, arbitrary: fc.record({ do: of('beginProof', 'commitProof', 'hear') }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: of('loseListen', 'listenAgain', 'markAgain', 'followAnother', 'followOurs'),
    }),
  },
);

interface Row {
  readonly version: number;
  readonly gone: boolean;
}

type Entry =
  | { readonly code: number; readonly row: Row }
  | { readonly series: number; readonly proof: number };

interface Change {
  readonly code: number;
  readonly version: number;
  isInvalidated: boolean;
}

interface Fill {
  readonly code: number;
  readonly stamp: FlightStamp;
  /** The oldest state that its visitor may be shown. */
  readonly floor: number;
  /** The series of marks that a standby must have, or that no standby may be used; `undefined` until it is asked for. */
  mark: { readonly series: number | undefined } | undefined;
  row: Row | undefined;
}

/** Megabytes, and no worse for having been used before: numbers only ever go up. */
const coherence = new Coherence();
const counters = new Counters().claim('gateway').counters;
let lastSeries = 0;

class Model {
  readonly #cache = new LinkCache({ maxLinks: 2, maxUnknown: 2, unknownMs: 1000, coherence, counters });
  readonly #log: Entry[] = [];
  readonly #rows: Row[] = codes.map(() => ({ version: 0, gone: false }));
  /** The state that nobody may be shown anything older than. */
  readonly #floor = codes.map(() => 0);
  readonly #changes: Change[] = [];
  readonly #fills: Fill[] = [];
  #inFlight: { code: number; version: number }[] = [];
  #isListening = true;
  /** Of the marks that standbys must have; none while changes are not heard. */
  #series: number | undefined;
  #proofs: { readonly series: number; readonly proof: number }[] = [];
  /** What the standby follows: our log, or another one that was the same up to some point. */
  #followed = this.#log;
  #replayed = 0;
  fromStandby = 0;
  fromElsewhere = 0;

  constructor() {
    this.#markAgain();
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
        coherence.invalidate(codes[change.code] ?? '');
        change.isInvalidated = true;
        break;
      }
      case 'answer': {
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
        coherence.invalidate(codes[heard.code] ?? '');
        this.#raise(heard.code, heard.version);
        break;
      }
      case 'loseListen':
        this.#isListening = false;
        this.#series = undefined;
        this.#inFlight = [];
        break;
      case 'listenAgain':
        this.#isListening = true;
        break;
      case 'markAgain':
        if (this.#isListening && this.#series === undefined) this.#markAgain();
        break;
      case 'beginProof':
        if (this.#series !== undefined)
          this.#proofs.push({ series: this.#series, proof: coherence.beginProof() });
        break;
      case 'commitProof': {
        const proof = this.#proofs.shift();
        if (proof !== undefined) this.#log.push(proof);
        break;
      }
      case 'replay':
        this.#replayed = Math.min(this.#followed.length, this.#replayed + one.by);
        break;
      case 'goBack':
        this.#replayed = Math.max(0, this.#replayed - one.by);
        break;
      case 'followAnother':
        if (this.#followed === this.#log) this.#followed = this.#log.slice(0, this.#replayed);
        break;
      case 'commitElsewhere':
        if (this.#followed !== this.#log) this.#commitElsewhere(one.code, one.gone);
        break;
      case 'followOurs': {
        const common = this.#followed.findIndex((entry, index) => entry !== this.#log[index]);
        this.#replayed = Math.min(this.#replayed, common === -1 ? this.#followed.length : common);
        this.#followed = this.#log;
        break;
      }
      case 'stamp':
        this.#fills.push({
          code: one.code,
          stamp: this.#cache.stamp(codes[one.code] ?? ''),
          floor: this.#floor[one.code] ?? 0,
          mark: undefined,
          row: undefined,
        });
        break;
      case 'ask': {
        const fill = chosen(this.#fills, one.fill);
        if (fill !== undefined) fill.mark ??= { series: this.#series };
        break;
      }
      case 'readRow': {
        const fill = chosen(this.#fills, one.fill);
        if (fill?.mark !== undefined) fill.row ??= this.#read(fill.code, fill.mark.series);
        break;
      }
      case 'keep':
        this.#keep(one.fill);
        break;
      default:
        throw new Error(String(one satisfies never));
    }
  }

  /** Asks the gateway for all codes: after every step, what it would serve must be allowed. */
  check(): void {
    for (const [index, shortCode] of codes.entries()) {
      const link = this.#cache.lookup(shortCode, 0);
      if (link !== undefined) expect(Number(link.target)).toBeGreaterThanOrEqual(this.#floor[index] ?? 0);
    }
  }

  /** LISTEN is there: from its first proof on, changes are heard. */
  #markAgain(): void {
    lastSeries += 1;
    this.#log.push({ series: lastSeries, proof: coherence.beginProof() });
    this.#series = lastSeries;
    coherence.beginEpoch();
    for (const [index, row] of this.#rows.entries()) {
      const isUnheard = this.#inFlight.some((change) => change.code === index);
      if (!isUnheard && !this.#changes.some((change) => change.code === index))
        this.#raise(index, row.version);
    }
  }

  #commit(index: number, isGone: boolean): number {
    const version = (this.#rows[index]?.version ?? 0) + 1;
    this.#rows[index] = { version, gone: isGone };
    this.#log.push({ code: index, row: { version, gone: isGone } });
    return version;
  }

  /** What another primary makes of a link is no newer than what it has from ours. */
  #commitElsewhere(index: number, isGone: boolean): void {
    const { version } = rowIn(this.#followed, index);
    this.#followed.push({ code: index, row: { version, gone: isGone } });
  }

  #read(index: number, series: number | undefined): Row {
    const snapshot = this.#followed.slice(0, this.#replayed);
    const proofs = snapshot.flatMap((entry) =>
      'proof' in entry && entry.series === series ? [entry.proof] : [],
    );
    const row = rowIn(snapshot, index);
    if (proofs.length > 0 && !row.gone) {
      const shortCode = codes[index] ?? '';
      const text = ['', shortCode, '1', '', '1', '', String(row.version)].join('\n');
      const proven = provenLinks({ proof: Math.max(...proofs), text, databaseId: null }, coherence);
      if (linksByAsked(proven).has(shortCode)) {
        this.fromStandby += 1;
        if (this.#followed !== this.#log) this.fromElsewhere += 1;
        return row;
      }
    }
    return this.#rows[index] as Row;
  }

  #raise(index: number, version: number): void {
    this.#floor[index] = Math.max(this.#floor[index] ?? 0, version);
  }

  #keep(index: number): void {
    const fill = chosen(this.#fills, index);
    if (fill?.row === undefined) return;
    this.#fills.splice(this.#fills.indexOf(fill), 1);
    const { row, stamp } = fill;
    const shortCode = codes[fill.code] ?? '';
    // Whether it is kept or not, its visitor is shown it.
    expect(row.version).toBeGreaterThanOrEqual(fill.floor);
    if (row.gone) this.#cache.fillOther(shortCode, stamp, 0);
    else
      this.#cache.fill(
        { urlId: '1', userId: null, shortCode, target: String(row.version), createdMs: 1 },
        stamp,
      );
  }
}

function rowIn(log: readonly Entry[], index: number): Row {
  const last = log.findLast((entry) => 'row' in entry && entry.code === index);
  return last !== undefined && 'row' in last ? last.row : { version: 0, gone: false };
}

function chosen<T>(list: readonly T[], index: number): T | undefined {
  return list[index % Math.max(1, list.length)];
}

describe('links read from a standby', () => {
  it('are never older than what was answered or heard of, however it lags, goes back or strays', () => {
    let fromStandby = 0;
    let fromElsewhere = 0;
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 150, size: 'max' }), (steps) => {
        const model = new Model();
        for (const one of steps) {
          model.run(one);
          model.check();
        }
        fromStandby += model.fromStandby;
        fromElsewhere += model.fromElsewhere;
      }),
      { numRuns: 5000 },
    );
    // A standby that is never read from would pass as well.
    expect(fromStandby).toBeGreaterThan(1000);
    expect(fromElsewhere).toBeGreaterThan(10);
  });
});
