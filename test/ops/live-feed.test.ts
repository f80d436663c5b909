import { describe, expect, it } from 'vitest';
import { httpSeries } from '../../src/api/http-series.js';
import type { LiveFigures } from '../../src/api/live.js';
import { Counters, latencyBuckets } from '../../src/memory/counters.js';
import { type LiveCounts, quantileOf } from '../../src/memory/live-counts.js';
import { figuresBetween, LiveFeed } from '../../src/ops/live-feed.js';
import { eventually } from '../support/machine/wait.js';

const none = (): number[] => new Array<number>(latencyBuckets.length + 1).fill(0);
const standing = { clicks_pending: 3, threads: 5, connections: 7 };

function counts(fields: Partial<LiveCounts> = {}): LiveCounts {
  return { redirects: 0, misses: 0, notFound: 0, created: 0, latencies: none(), ...fields };
}

describe('a quantile of latencies', () => {
  const of = (filled: Readonly<Record<number, number>>): number[] => Object.assign(none(), filled);

  it('lies within the bucket that it falls into', () => {
    // 100 answers between 25 and 50 µs.
    expect(quantileOf(of({ 2: 100 }), 0.99)).toBeCloseTo(0.00004975, 9);
    expect(quantileOf(of({ 0: 100 }), 0.5)).toBeCloseTo(0.000005, 9);
    // The last one of 100 is the slow one.
    expect(quantileOf(of({ 0: 99, 12: 1 }), 0.99)).toBeCloseTo(0.00001, 9);
    expect(quantileOf(of({ 0: 98, 12: 2 }), 0.99)).toBeCloseTo(0.075, 9);
  });

  it('is the last bound beyond it, and nothing of nothing', () => {
    expect(quantileOf(of({ [latencyBuckets.length]: 1 }), 0.99)).toBe(2.5);
    expect(quantileOf(none(), 0.99)).toBeUndefined();
  });
});

describe('the figures of a second', () => {
  it('are what was counted since the last look', () => {
    const before = counts({ redirects: 10, misses: 2, latencies: Object.assign(none(), { 0: 10 }) });
    const now = counts({
      redirects: 110,
      misses: 5,
      notFound: 1,
      created: 4,
      latencies: Object.assign(none(), { 0: 10, 6: 100 }),
    });
    const { at, ...figures } = figuresBetween(before, now, 1004, standing);
    expect(at).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$/);
    expect(figures).toEqual({
      redirects: 100,
      misses: 3,
      not_found: 1,
      created: 4,
      ...standing,
      p99_ms: 0.995,
    });
    expect(figuresBetween(now, now, 1000, standing)).toMatchObject({ redirects: 0, p99_ms: null });
  });

  it('are those of a mean second where the look was held up', () => {
    const figures = figuresBetween(counts(), counts({ redirects: 5000, created: 1 }), 5000, standing);
    expect(figures).toMatchObject({ redirects: 1000, created: 0 });
  });
});

it('threads that have ended stay counted, and nobody is sent what nobody hears', async () => {
  const counters = new Counters(httpSeries.count);
  const series = httpSeries.indexOf('GET', '/:short_code', 302);
  const first = counters.claim('gateway');
  first.counters.observe(series, 0.001, 40);
  const heard: LiveFigures[] = [];
  let isHeard = false;
  const feed = new LiveFeed({
    counters,
    standing: () => standing,
    isHeard: () => isHeard,
    onFigures: (figures) => heard.push(figures),
  });
  first.counters.observe(series, 0.001, 2);
  first.release();
  counters.claim('ingest').counters.add('linksCreated', 3);
  isHeard = true;
  await eventually(() => heard.length > 0);
  isHeard = false;
  expect(heard[0]).toMatchObject({ redirects: 2, created: 3, not_found: 0 });
  feed.stop();
});
