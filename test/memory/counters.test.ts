import { describe, expect, it } from 'vitest';
import { HttpSeries } from '../../src/api/http-series.js';
import { Counters } from '../../src/memory/counters.js';
import { httpMetrics, type Metric, serverMetrics, threadMetrics } from '../../src/memory/metric-catalogue.js';

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

  it('tell requests apart by method, route and status, and take no other', () => {
    const series = new HttpSeries(['/a', '/b'], [200, 404]);
    const counters = new Counters(series.count);
    const one = counters.claim('gateway').counters;
    const other = new Counters(counters.buffer).claim('gateway').counters;
    one.observe(series.indexOf('GET', '/a', 200), 0.2);
    other.observe(series.indexOf('GET', '/a', 200), 0.4);
    other.observe(series.indexOf('OTHER', '/b', 404), 5);
    expect(
      counters.series().map(({ index, count, seconds }) => ({ ...series.labelsOf(index), count, seconds })),
    ).toEqual([
      { method: 'GET', route: '/a', status: 200, count: 2, seconds: expect.closeTo(0.6) },
      { method: 'OTHER', route: '/b', status: 404, count: 1, seconds: 5 },
    ]);
    expect(() => series.indexOf('GET', '/a', 500 as never)).toThrow('no series for GET /a 500');
    expect(() => series.labelsOf(series.count)).toThrow(/^no series has the number/);
  });
});

describe('the metric catalogue', () => {
  const all: readonly Metric[] = [threadMetrics, serverMetrics, httpMetrics].flatMap((part): Metric[] =>
    Object.values(part),
  );

  it('has each name once, under our prefix or that of HTTP servers', () => {
    const names = all.flatMap(({ name, alias }) => (alias === undefined ? [name] : [name, alias]));
    expect(new Set(names).size).toBe(names.length);
    for (const { name } of all) expect(name).toMatch(/^(switchyard|http)_[a-z0-9_]+$/);
  });

  it('ends the names of counters, and of no others, in _total', () => {
    for (const { name, kind } of all)
      expect([name, name.endsWith('_total')]).toEqual([name, kind === 'counter']);
  });
});
