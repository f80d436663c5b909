import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseConfig } from '../../src/config.js';
import {
  IngestPolicy,
  JournalTurn,
  type Occasion,
  type Phase,
  transitions,
} from '../../src/ops/ingest-policy.js';

const timing = { lingerMs: 50, settleMs: 5, backoff: { firstMs: 50, maxMs: 5000 } };
const PLACES = 2;
const BATCH = 10;

interface Simulated {
  readonly turn: JournalTurn;
  readonly isLive: boolean;
  behindSinceMs: number | undefined;
  /** Clicks to ingest. */
  clicks: number;
  failures: number;
  failedAtMs: number;
  restedAtMs: number;
  starts: number;
  startedAs: number;
}

/** Journals, a clock and a database that are not there; the policy is the real one. */
class World {
  readonly journals: Simulated[] = [];
  readonly #policy = new IngestPolicy();
  #started = 0;
  nowMs = 0;
  isUrgent = false;
  isFailing = false;
  againMs: number | undefined;

  add(isLive: boolean): void {
    const journal = { isLive, behindSinceMs: isLive ? undefined : this.nowMs, clicks: isLive ? 0 : BATCH };
    const accounts = { failures: 0, failedAtMs: 0, restedAtMs: 0, starts: 0, startedAs: 0 };
    this.journals.push({ turn: new JournalTurn(timing), ...journal, ...accounts });
  }

  /** In the order in which they were started. */
  get running(): Simulated[] {
    return this.journals
      .filter(({ turn }) => turn.phase === 'running')
      .sort((one, other) => one.startedAs - other.startedAs);
  }

  pump(): void {
    const waiting = this.journals.filter(({ clicks }) => clicks > 0);
    const places = PLACES - this.running.length;
    const { start, againMs } = this.#policy.choose(waiting, places, this.nowMs, this.isUrgent);
    this.againMs = againMs;
    for (const journal of start) {
      expect(journal.clicks).toBeGreaterThan(0);
      expect(journal.turn.phase).not.toBe('running');
      // A failure holds whatever the hurry; a pause holds while there is none.
      const sinceFailure = this.nowMs - journal.failedAtMs;
      if (journal.failures > 0)
        expect(sinceFailure).toBeGreaterThanOrEqual(Math.min(5000, 50 * 2 ** (journal.failures - 1)) / 2);
      if (!this.isUrgent) expect(this.nowMs).toBeGreaterThanOrEqual(journal.restedAtMs);
      journal.turn.on('start', this.nowMs);
      journal.starts += 1;
      this.#started += 1;
      journal.startedAs = this.#started;
    }
    expect(this.running.length).toBeLessThanOrEqual(PLACES);
    // Whoever may run and has clicks does, as long as there are places.
    if (this.running.length < PLACES) {
      for (const { clicks, turn } of this.journals) {
        if (clicks > 0) expect(turn.earliestMs(this.isUrgent)).toBeGreaterThan(this.nowMs);
      }
    }
  }

  finish(journal: Simulated): void {
    if (this.isFailing) {
      journal.failures += 1;
      journal.failedAtMs = this.nowMs;
      journal.turn.on('failed', this.nowMs);
    } else {
      journal.failures = 0;
      journal.clicks = Math.max(0, journal.clicks - BATCH);
      const hasMore = journal.clicks > 0;
      journal.restedAtMs = this.nowMs + (hasMore ? 0 : timing.lingerMs);
      journal.turn.on(hasMore ? 'more' : 'done', this.nowMs);
    }
    this.pump();
  }
}

const step = fc.oneof(
  fc.record({
    kind: fc.constant('clicks' as const),
    journal: fc.nat(5),
    count: fc.integer({ min: 1, max: 60 }),
  }),
  fc.record({ kind: fc.constant('time' as const), ms: fc.integer({ min: 1, max: 400 }) }),
  fc.record({ kind: fc.constant('finish' as const), which: fc.nat(PLACES - 1) }),
  fc.record({ kind: fc.constant('urgent' as const), value: fc.boolean() }),
  fc.record({ kind: fc.constant('failing' as const), value: fc.boolean() }),
  fc.record({ kind: fc.constant('back' as const) }),
);

/** Transactions of one journal for clicks that come steadily, each of which takes a while. */
function transactionsOf(rate: number, seconds: number, batch: number, isUrgent = false): number {
  const turn = new JournalTurn({ ...timing, lingerMs: LINGER_MS });
  const policy = new IngestPolicy();
  let [transactions, ingested, nowMs] = [0, 0, 0];
  while (ingested < rate * seconds) {
    const waiting = Math.min(rate * seconds, Math.floor((rate * nowMs) / 1000)) - ingested;
    const { start } = policy.choose(
      waiting > 0 ? [{ turn, isLive: true, behindSinceMs: 0 }] : [],
      1,
      nowMs,
      isUrgent,
    );
    if (start.length === 0) {
      nowMs += 1;
      continue;
    }
    turn.on('start', nowMs);
    const taken = Math.min(batch, waiting);
    nowMs += 1 + taken / 50;
    ingested += taken;
    transactions += 1;
    turn.on(waiting - taken >= batch ? 'more' : 'done', nowMs);
  }
  return transactions;
}

const { CLICK_INGEST_BATCH: MAX_BATCH, CLICK_INGEST_LINGER_MS: LINGER_MS } = parseConfig({});

describe('transactions of a steady load', () => {
  it('are no more than the pauses between them, while nobody waits', () => {
    const seconds = 30;
    const most = (seconds * 1000) / LINGER_MS + 2;
    expect(transactionsOf(2000, seconds, MAX_BATCH)).toBeLessThanOrEqual(most);
    // More than a batch comes in a pause: full ones follow each other, and no small one follows them.
    const rate = 1.5 * MAX_BATCH * (1000 / LINGER_MS) * 0.5;
    expect(transactionsOf(rate, seconds, MAX_BATCH)).toBeLessThanOrEqual((rate * seconds) / MAX_BATCH + most);
  });

  it('are as many as readers need, while one waits', () => {
    expect(transactionsOf(2000, 3, MAX_BATCH, true)).toBeGreaterThan(100);
  });
});

describe('the ingest policy', () => {
  it('in any order of events keeps pauses and places, and leaves nobody behind', () => {
    fc.assert(
      fc.property(fc.array(fc.boolean(), { minLength: 6, maxLength: 6 }), fc.array(step), (kinds, steps) => {
        const world = new World();
        for (const isLive of kinds) world.add(isLive);
        world.pump();
        for (const one of steps) {
          const journal = one.kind === 'clicks' ? world.journals[one.journal] : undefined;
          if (one.kind === 'clicks' && journal !== undefined) {
            journal.clicks += one.count;
            journal.behindSinceMs ??= world.nowMs;
          } else if (one.kind === 'time') world.nowMs += one.ms;
          else if (one.kind === 'urgent') world.isUrgent = one.value;
          else if (one.kind === 'failing') world.isFailing = one.value;
          else if (one.kind === 'back') {
            for (const { turn } of world.journals) turn.on('database-back', world.nowMs);
            for (const each of world.journals) each.failures = 0;
          } else if (one.kind === 'finish') {
            const running = world.running[one.which];
            if (running !== undefined) world.finish(running);
          }
          world.pump();
        }
        // From here on all goes well, and only the policy says when to look again.
        world.isFailing = false;
        for (let round = 0; round < 1000 && world.journals.some(({ clicks }) => clicks > 0); round += 1) {
          const [running] = world.running;
          if (running !== undefined) world.finish(running);
          else {
            world.nowMs = world.againMs ?? Number.NaN;
            world.pump();
          }
        }
        expect(world.journals.map(({ clicks }) => clicks)).toEqual(kinds.map(() => 0));
      }),
      { numRuns: 500 },
    );
  });

  it('lets neither a pile of old journals nor a steady load keep the others waiting', () => {
    const world = new World();
    world.isUrgent = true;
    for (let count = 0; count < 300; count += 1) world.add(false);
    world.add(true);
    const living = world.journals.at(-1) as Simulated;
    for (let finished = 0; finished < 610; finished += 1) {
      living.clicks = 1000;
      living.behindSinceMs = world.nowMs;
      world.pump();
      world.finish(world.running[0] as Simulated);
      world.nowMs += 1;
      if (finished > 3) expect(living.starts).toBeGreaterThanOrEqual(finished / 2 - 2);
    }
    expect(world.journals.every(({ starts }) => starts > 0)).toBe(true);
  });

  it('knows each phase’s answer to each occasion, and refuses what can’t be', () => {
    const phases = Object.keys(transitions) as Phase[];
    const reach: Record<Phase, readonly Occasion[]> = {
      resting: [],
      running: ['start'],
      lingering: ['start', 'done'],
      settling: ['start', 'at-end'],
      'backing-off': ['start', 'failed'],
    };
    for (const phase of phases) {
      for (const [occasion, after] of Object.entries(transitions[phase]) as [Occasion, Phase | undefined][]) {
        const turn = new JournalTurn(timing);
        for (const earlier of reach[phase]) turn.on(earlier, 0);
        expect(turn.phase).toBe(phase);
        if (after === undefined) expect(() => turn.on(occasion, 1)).toThrow(`${phase} met ${occasion}`);
        else {
          turn.on(occasion, 1);
          expect(turn.phase).toBe(after);
        }
      }
    }
  });
});
