import { describe, expect, it } from 'vitest';
import { Counters } from '../../src/memory/counters.js';

describe('counters of threads', () => {
  it('are taken over by the next thread of the kind, totals and all', () => {
    const counters = new Counters();
    const first = counters.claim('gateway');
    const second = counters.claim('gateway');
    expect([first.ordinal, second.ordinal]).toEqual([0, 1]);
    first.counters.add('redirectMisses', 5);
    second.counters.add('redirectMisses', 2);
    first.release();
    expect(counters.slots().map(({ ordinal, alive }) => [ordinal, alive])).toEqual([
      [0, false],
      [1, true],
    ]);
    // A thread of another kind must not go on with a gateway's totals.
    expect(counters.claim('ingest').counters.get('redirectMisses')).toBe(0);
    const third = counters.claim('gateway');
    expect([third.ordinal, third.counters.get('redirectMisses')]).toEqual([0, 5]);
    expect(counters.total('redirectMisses')).toBe(7);
    // Another thread sees them through the same memory.
    expect(new Counters(counters.buffer).total('redirectMisses')).toBe(7);
  });

  it('that tell how things stand begin anew', () => {
    const counters = new Counters();
    const first = counters.claim('transfer');
    first.counters.add('transfersActive');
    first.counters.add('listedRows', 500);
    first.release();
    const next = counters.claim('transfer');
    expect([next.counters.get('transfersActive'), next.counters.get('listedRows')]).toEqual([0, 500]);
  });

  it('are refused, with a word, once there are too many threads', () => {
    const counters = new Counters();
    const claimed: { release: () => void }[] = [];
    expect(() => {
      for (;;) claimed.push(counters.claim('gateway'));
    }).toThrow(/^more than \d+ threads/);
    // As many as the settings allow: 64 gateways, 16 workers, and the others.
    expect(claimed.length).toBeGreaterThanOrEqual(64 + 16 + 3);
    claimed[7]?.release();
    expect(counters.claim('gateway').ordinal).toBe(7);
  });
});
