import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Histogram } from '../../bench/measure/histogram.js';
import { compare, median, noiseOf, percentile } from '../../bench/measure/statistics.js';

describe('percentiles', () => {
  test('are values that were there, by the nearest rank', () => {
    const values = [15, 20, 35, 40, 50];
    expect(percentile(values, 0.05)).toBe(15);
    expect(percentile(values, 0.3)).toBe(20);
    expect(percentile(values, 0.4)).toBe(20);
    expect(percentile(values, 0.5)).toBe(35);
    expect(percentile(values, 1)).toBe(50);
    expect(percentile([], 0.5)).toBeNaN();
  });

  test('do not depend on the order and leave the values as they were', () => {
    const values = [3, 1, 2];
    expect(percentile(values, 0.5)).toBe(2);
    expect(median(values)).toBe(2);
    expect(values).toEqual([3, 1, 2]);
  });

  test('the median of an even number lies between the two in the middle', () => {
    expect(median([1, 2, 3, 10])).toBe(2.5);
    expect(median([])).toBeNaN();
  });
});

describe('the histogram', () => {
  test('is at most two percent above the true percentile, and never below it', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 10_000_000 }), { minLength: 1, maxLength: 500 }),
        fc.constantFrom(0.01, 0.5, 0.9, 0.99, 0.999, 1),
        (values, share) => {
          const histogram = new Histogram();
          for (const value of values) histogram.record(value);
          const exact = percentile(values, share);
          const told = histogram.percentile(share);
          expect(histogram.count).toBe(values.length);
          expect(told).toBeGreaterThanOrEqual(exact * 0.999_999);
          expect(told).toBeLessThanOrEqual(exact * 1.02);
        },
      ),
    );
  });

  test('takes values below a microsecond and far above a day', () => {
    const histogram = new Histogram();
    histogram.record(0);
    histogram.record(1e12);
    expect(histogram.percentile(1)).toBe(1e12);
  });
});

describe('noise', () => {
  test('is the median difference of twins, so that one bad round is not all of it', () => {
    expect(noiseOf({ first: [100, 100, 100], twin: [100, 102, 150] })).toBeCloseTo(0.0198, 3);
    expect(noiseOf({ first: [0], twin: [0] })).toBe(0);
  });
});

describe('the verdict', () => {
  /** Five rounds of an arm whose twins are alike. */
  const five = (...values: number[]) => {
    const first = Array.from({ length: 5 }, (_, round) => values[round % values.length] ?? 0);
    return { first, twin: first };
  };
  const steady = five(100);

  test('says higher when every round is, by more than 2 % and more than the noise', () => {
    const { verdict, ratio } = compare(steady, five(110, 112, 111));
    expect(verdict).toBe('higher');
    expect(ratio).toBeCloseTo(1.11);
    expect(compare(five(110, 112), steady).verdict).toBe('lower');
  });

  test('says nothing of a difference below 2 %', () => {
    expect(compare(steady, five(101)).verdict).toBe('same');
  });

  test('says nothing when one round disagrees', () => {
    expect(compare(steady, five(120, 120, 120, 120, 99)).verdict).toBe('same');
  });

  test('says nothing of a difference within the noise of either arm', () => {
    const noisy = { first: five(100).first, twin: five(120).first };
    expect(compare(noisy, five(118)).verdict).toBe('same');
    expect(compare(five(105), { first: five(90).first, twin: five(110).first }).verdict).toBe('same');
  });

  test('gives none after fewer than five rounds', () => {
    const four = (value: number) => ({ first: Array(4).fill(value), twin: Array(4).fill(value) });
    expect(compare(four(100), four(200)).verdict).toBe('none');
    expect(compare({ first: [], twin: [] }, { first: [], twin: [] }).verdict).toBe('none');
  });
});
