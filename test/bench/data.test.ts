import { describe, expect, test } from 'vitest';
import { clickedLinks, clickRows } from '../../bench/data/clicks.js';
import { codeOf, scatter, targetOf } from '../../bench/data/links.js';
import { Zipf } from '../../bench/data/zipf.js';

describe('the Zipf generator', () => {
  test('draws ranks within the range, the first ones as often as the law says', () => {
    const ranks = 1000;
    const draws = 200_000;
    const zipf = new Zipf(ranks, 1, 7);
    const counts = new Map<number, number>();
    for (let draw = 0; draw < draws; draw += 1) {
      const rank = zipf.next();
      counts.set(rank, (counts.get(rank) ?? 0) + 1);
    }
    const harmonic = Array.from({ length: ranks }, (_, index) => 1 / (index + 1)).reduce(
      (sum, one) => sum + one,
      0,
    );
    expect(Math.min(...counts.keys())).toBe(1);
    expect(Math.max(...counts.keys())).toBeLessThanOrEqual(ranks);
    for (const rank of [1, 2, 3, 10, 100]) {
      const expected = draws / rank / harmonic;
      expect(Math.abs((counts.get(rank) ?? 0) - expected)).toBeLessThan(5 * Math.sqrt(expected));
    }
  });

  test('is the same for the same seed, and another for another', () => {
    const draw = (seed: number): number[] => {
      const zipf = new Zipf(100_000, 1, seed);
      return Array.from({ length: 50 }, () => zipf.next());
    };
    expect(draw(1)).toEqual(draw(1));
    expect(draw(1)).not.toEqual(draw(2));
  });

  test('with exponent 0 all ranks are alike; a single rank is always drawn', () => {
    const even = new Zipf(2, 0, 3);
    const ones = Array.from({ length: 10_000 }, () => even.next()).filter((rank) => rank === 1).length;
    expect(Math.abs(ones - 5000)).toBeLessThan(300);
    expect(new Zipf(1, 1, 3).next()).toBe(1);
  });
});

describe('the links', () => {
  test('have codes of six characters, all different, and targets of one length', () => {
    const codes = new Set(Array.from({ length: 200_000 }, (_, index) => codeOf(index + 1)));
    expect(codes.size).toBe(200_000);
    for (const code of codes) if (!/^[0-9a-f]{6}$/.test(code)) throw new Error(code);
    expect(targetOf(1)).toHaveLength(targetOf(999_999).length);
  });

  test('ranks are scattered over all links, each once', () => {
    const numbers = new Set(Array.from({ length: 100_000 }, (_, index) => scatter(index + 1, 100_000)));
    expect(numbers.size).toBe(100_000);
    expect(Math.min(...numbers)).toBe(1);
    expect(Math.max(...numbers)).toBe(100_000);
  });
});

test('rows to copy hold the clicks of the journal, in batches, with their counts', () => {
  const clicked = [...clickedLinks(2500, 300)];
  const batches = clickRows(2500, 300, 1000);
  expect(batches.map(({ counts }) => counts.reduce((sum, one) => sum + one, 0))).toEqual([1000, 1000, 500]);
  const ids = batches.flatMap(({ rows }) =>
    rows
      .toString()
      .trimEnd()
      .split('\n')
      .map((row) => Number(row.split('\t')[0])),
  );
  expect(ids).toEqual(clicked);
});
