import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Options, optionsOf, parseOptions } from '../../bench/simulate/options.js';
import { type Result, simulate, type Window } from '../../bench/simulate/simulation.js';
import { ZipfRanks } from '../../bench/simulate/zipf.js';
import { Random } from '../../csv/random.js';

const root = path.resolve(import.meta.dirname, '../..');

const hitRatio = ({ hits, requests }: Window): number => hits / requests;

const run = (given: Partial<Options>): Result => simulate(optionsOf({ warm: 0, windows: 4, ...given }));

/** One gateway whose look-ups take no time: nothing but its cache decides. */
const oneCache = { servers: 1, queryMs: 0, codeMicros: 0, links: 20_000, seconds: 20 };

/** The hit ratio of an LRU cache under independent visits, by Che's approximation. */
function cheRatio(links: number, zipf: number, cache: number): number {
  const weights = Array.from({ length: links }, (_, index) => (index + 1) ** -zipf);
  const sum = weights.reduce((all, weight) => all + weight, 0);
  const shares = weights.map((weight) => weight / sum);
  const cachedAt = (time: number): number =>
    shares.reduce((all, share) => all + 1 - Math.exp(-share * time), 0);
  let low = 0;
  let high = 1e9;
  for (let step = 0; step < 100; step += 1) {
    const middle = (low + high) / 2;
    if (cachedAt(middle) < cache) low = middle;
    else high = middle;
  }
  return shares.reduce((all, share) => all + share * (1 - Math.exp(-share * low)), 0);
}

describe('ranks by Zipf', () => {
  it.each([0, 0.8, 1, 1.3])('come as often as rank^-%s says', (exponent) => {
    const count = 1000;
    const ranks = new ZipfRanks(count, exponent, new Random(7));
    const draws = 200_000;
    const seen = new Float64Array(count + 1);
    for (let draw = 0; draw < draws; draw += 1) {
      const rank = ranks.next();
      seen[rank] = (seen[rank] ?? 0) + 1;
    }
    expect(seen[0]).toBe(0);
    const weights = Array.from({ length: count }, (_, index) => (index + 1) ** -exponent);
    const sum = (values: readonly number[]): number => values.reduce((all, value) => all + value, 0);
    for (const first of [1, 2, 10, 100, 999]) {
      const share = sum(weights.slice(0, first)) / sum(weights);
      expect(sum([...seen.slice(1, first + 1)]) / draws).toBeCloseTo(share, 2);
    }
  });
});

describe('a simulation', () => {
  it('loses no visit and no click, whatever happens', () => {
    const some = fc.record({
      servers: fc.integer({ min: 1, max: 5 }),
      gateways: fc.integer({ min: 1, max: 3 }),
      route: fc.constantFrom('hash', 'random'),
      policy: fc.constantFrom('clock', 'lru'),
      cache: fc.integer({ min: 1, max: 500 }),
      drift: fc.constantFrom(0, 50),
      changes: fc.constantFrom(0, 50),
      queryMs: fc.constantFrom(0, 5, 200),
      batch: fc.constantFrom(1, 512),
      pending: fc.constantFrom(5, 10_000),
      ingest: fc.constantFrom(100, 100_000),
      databaseIngest: fc.constantFrom(500, 1e12),
      restart: fc.constantFrom([], [[1, 2, 0]]),
      outage: fc.constantFrom(
        [],
        [[2, 2]],
        [
          [1, 0],
          [3, 9],
        ],
      ),
      storm: fc.constantFrom([], [[1, 50]], [[1, 5000]]),
      seed: fc.nat(1000),
    });
    fc.assert(
      fc.property(some, (given) => {
        const { total, windows, visitsWaiting, clicksWaiting } = run({
          ...(given as Partial<Options>),
          links: 2000,
          rate: 1000,
          seconds: 5,
        });
        const { requests, hits, misses, flights, coalesced, resolved, failed, ingested } = total;
        expect(hits + misses).toBe(requests);
        // Those that found no server asked nobody.
        expect(flights + coalesced).toBeLessThanOrEqual(misses);
        expect(hits + resolved + failed + visitsWaiting).toBe(requests);
        expect(ingested + clicksWaiting).toBeCloseTo(hits + resolved, 4);
        expect(windows.reduce((sum, window) => sum + window.requests, 0)).toBe(requests);
      }),
      { numRuns: 40, seed: 1 },
    );
  });

  it('is the same for the same seed, and another one for another', () => {
    const given = { rate: 2000, seconds: 5, links: 5000, cache: 300, gateways: 2, restart: [[2]], drift: 20 };
    expect(run({ ...given, seed: 3 })).toEqual(run({ ...given, seed: 3 }));
    expect(run({ ...given, seed: 3 }).total).not.toEqual(run({ ...given, seed: 4 }).total);
  });

  it('has a hit ratio that never falls with an LRU cache’s size, and grows with a clock’s', () => {
    const ratios = (policy: 'lru' | 'clock', sizes: readonly number[]): number[] =>
      sizes.map((cache) => hitRatio(run({ ...oneCache, policy, cache, rate: 2000 }).total));
    const lru = ratios('lru', [1, 2, 3, 50, 51, 400, 401, 3000, 20_000]);
    expect(lru).toEqual(lru.toSorted((a, b) => a - b));
    const clock = ratios('clock', [50, 100, 200, 400, 800, 1600, 3200]);
    for (const [index, ratio] of clock.slice(1).entries()) expect(ratio).toBeGreaterThan(clock[index] ?? 1);
  });

  it.each([
    [0.8, 1000],
    [1, 1000],
    [1.2, 200],
  ])('agrees with Che’s approximation for LRU: rank^-%s, a cache of %s', (zipf, cache) => {
    const { total } = run({ ...oneCache, policy: 'lru', zipf, cache, rate: 20_000, warm: 4 });
    expect(hitRatio(total) / cheRatio(oneCache.links, zipf, cache)).toBeCloseTo(1, 1.7);
  });

  it('hits at least as often by hash as at random, and one cache is all the same', () => {
    for (const seed of [1, 2, 3]) {
      const both = (servers: number): number[] =>
        (['hash', 'random'] as const).map((route) =>
          hitRatio(run({ servers, route, seed, cache: 500, links: 20_000, rate: 5000, seconds: 10 }).total),
        );
      const [hashed = 0, spread = 0] = both(4);
      expect(hashed).toBeGreaterThan(spread * 1.1);
      const [one, same] = both(1);
      expect(one).toBe(same);
    }
  });

  it('says on a scale of one to ten what it says of the whole', () => {
    const given = { servers: 2, links: 200_000, cache: 20_000, rate: 20_000, seconds: 20, warm: 10 };
    const whole = run(given).total;
    const small = run({ ...given, scale: 0.1 }).total;
    expect(hitRatio(small) / hitRatio(whole)).toBeCloseTo(1, 1.7);
    expect(small.requests / whole.requests).toBeCloseTo(1, 1.7);
    expect(small.flights / whole.flights).toBeCloseTo(1, 1);
  });

  it('asks for a link once, however many wait for it', () => {
    const { total } = run({ servers: 1, links: 1, rate: 1000, queryMs: 1000, seconds: 5 });
    expect(total.flights).toBe(1);
    expect(total.coalesced).toBe(total.misses - 1);
    expect(total.coalesced).toBeGreaterThan(700);
  });

  it('fails nothing that is cached while the database is away, and asks for all of it anew afterwards', () => {
    const given = { servers: 1, links: 100, zipf: 0, rate: 2000, seconds: 20 };
    const [, , away, back] = run({ ...given, outage: [[10, 5]] }).windows as [Window, Window, Window, Window];
    expect([away.misses, away.failed]).toEqual([0, 0]);
    expect(away.clicksWaiting).toBeGreaterThan(0.9 * 5 * given.rate);
    expect([back.flights, back.failed]).toEqual([given.links, 0]);
  });

  it('keeps no more clicks waiting than come faster than they are ingested', () => {
    const { total, clicksWaiting } = run({ servers: 4, rate: 4000, ingest: 900, links: 10_000, seconds: 20 });
    const even = 20 * (4000 - 4 * 900);
    expect(clicksWaiting / even).toBeGreaterThan(0.8);
    expect(clicksWaiting / even).toBeLessThan(3);
    expect(total.longestJournal).toBeGreaterThan(clicksWaiting / 4);
  });

  it('sends the links of a server that is gone to the others, and has cold caches when it is back', () => {
    const given = { servers: 2, links: 1000, rate: 5000, seconds: 40, cache: 1000 };
    const [first, gone, back, last] = run({ ...given, restart: [[10, 10, 0]] }).windows as [
      Window,
      Window,
      Window,
      Window,
    ];
    expect(first.misses).toBeGreaterThanOrEqual(900);
    // Half of the links moved, and moved back.
    for (const window of [gone, back]) {
      expect(window.flights).toBeGreaterThan(400);
      expect(window.flights).toBeLessThan(600);
      expect(window.failed).toBeLessThanOrEqual(5);
    }
    expect(last.misses).toBeLessThan(20);
  });

  it('empties every cache for more than a thousand changes at once, and only the changed for fewer', () => {
    const given = { servers: 1, links: 2000, zipf: 0, rate: 20_000, seconds: 4 };
    const lookUps = (links: number): number =>
      run({ ...given, storm: [[2, links]] })
        .windows.slice(2)
        .reduce((sum, { flights }) => sum + flights, 0);
    expect(lookUps(500)).toBe(500);
    expect(lookUps(1001)).toBe(2000);
  });
});

describe('the capacity plan', () => {
  const plan = readFileSync(path.join(root, 'Docs/CAPACITY_PLAN.md'), 'utf8');
  const commands = new Map(
    [...plan.matchAll(/^npm run simulate -- (.+?) +# (\w)$/gm)].map(([, args = '', run = '']) => [run, args]),
  );

  it('has commands that can be run, one for each row', () => {
    const rows = [...plan.matchAll(/^\| ([A-Z]) \|/gm)].map(([, run]) => run);
    expect([...commands.keys()].sort()).toEqual([...new Set(rows)].sort());
    for (const args of commands.values()) expect(parseOptions(args.split(' ')).options.seed).toBe(1);
  });

  it('says what a command finds', () => {
    const { total } = simulate(parseOptions((commands.get('A') ?? '').split(' ')).options);
    const row = plan.split('\n').find((line) => line.startsWith('| A |'));
    expect(row).toContain(` ${(hitRatio(total) * 100).toFixed(1)} % `);
    expect(row).toContain(` ${(total.flights / (total.to - total.from)).toFixed(1)} `);
  });
});

describe('its command', () => {
  it('prints a table, or JSON with its options, and says what it can’t do', () => {
    const command = (...args: string[]): string =>
      execFileSync(process.execPath, [path.join(root, 'dist/bench/simulate.js'), ...args], {
        encoding: 'utf8',
      });
    const args = [
      '--rate',
      '500',
      '--seconds',
      '4',
      '--windows',
      '2',
      '--restart',
      '1:1:0',
      '--restart',
      '2:1:1',
    ];
    expect(command(...args).split('\n')[0]).toMatch(/^seconds +redirects\/s +hits +misses\/s/);
    const { options } = JSON.parse(command(...args, '--json')) as Result;
    expect(options).toEqual(parseOptions(args).options);
    expect(options.restart).toEqual([
      [1, 1, 0],
      [2, 1, 1],
    ]);
    expect(command('--help')).toContain('--databaseIngest');
    expect(() => parseOptions(['--servers', '501'])).toThrow('at most 500 gateways');
    expect(() => parseOptions(['--rate', 'much'])).toThrow('--rate must be a number');
    expect(() => parseOptions(['--route', 'sideways'])).toThrow('--route must be hash or random');
    expect(() => parseOptions(['--outage', 'now'])).toThrow('--outage is at:seconds');
  });
});
