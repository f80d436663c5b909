import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { locationOf } from '../../src/api/location.js';
import { TABLE_EPOCH_SECONDS } from '../../src/gateway/redirect/freshness.js';
import { CachedLink } from '../../src/gateway/redirect/link-cache.js';
import { plainOptions, redirectStatuses } from '../../src/gateway/redirect/link-options.js';
import { LinkTable, type Stamp } from '../../src/gateway/redirect/link-table.js';
import { unpackCode } from '../../src/gateway/redirect/packed-code.js';

const stamp: Stamp = { stripe: 7, version: 3, epoch: 2 };
const usual = fc.string({
  minLength: 1,
  maxLength: 12,
  unit: fc.constantFrom(...'ABYZabyz0189-_'),
});
const anyCode = fc.oneof({ weight: 4, arbitrary: usual }, fc.string({ minLength: 1, unit: 'binary' }));
const rowOf = (shortCode: string, id: string): Parameters<LinkTable['put']>[0] => ({
  urlId: id,
  userId: null,
  shortCode,
  target: Number(id) % 3 === 0 ? `https://example.com/ä${id}` : `https://example.com/${id}`,
  createdMs: 1,
});

describe('the table of links', () => {
  it('gives back what was put in, whatever the code is made of', () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(anyCode, { maxLength: 60 }),
        fc.bigInt({ min: 1n, max: 2n ** 63n - 1n }),
        fc.option(fc.bigInt({ min: 1n, max: 2n ** 63n - 1n })),
        fc.webUrl({ withQueryParameters: true }),
        fc.string({ unit: 'grapheme' }),
        (codes, id, user, url, more) => {
          const table = new LinkTable(60);
          const link = new CachedLink(table);
          const userId = user === null ? null : String(user);
          for (const [index, shortCode] of codes.entries())
            table.put(
              { urlId: String(id), userId, shortCode, target: `${url}#${index}${more}`, createdMs: index },
              stamp,
            );
          expect(table.size).toBe(codes.length);
          for (const [index, shortCode] of codes.entries()) {
            const entry = table.find(shortCode);
            const { urlId, userId: itsUser, shortCode: itsCode, target, head, location } = link.at(entry);
            const wanted = `${url}#${index}${more}`;
            expect([urlId, itsUser, itsCode, target]).toEqual([String(id), userId, shortCode, wanted]);
            expect(location).toBe(locationOf(wanted));
            expect(head).toBe(`302 Found\r\nLocation: ${location}`);
            expect([table.stripe(entry), table.version(entry), table.epoch(entry)]).toEqual([7, 3, 2]);
          }
        },
      ),
      { numRuns: 500 },
    );
  });

  it('agrees with a map, in any order of puts and removals', () => {
    const step = fc.record({ put: fc.boolean(), code: anyCode });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 300, size: 'max' }), (steps) => {
        const table = new LinkTable(300);
        const model = new Map<string, string>();
        for (const [index, { put, code }] of steps.entries()) {
          if (put) {
            table.put(rowOf(code, String(index + 1)), stamp);
            model.set(code, String(index + 1));
          } else {
            table.remove(code);
            model.delete(code);
          }
        }
        expect(table.size).toBe(model.size);
        for (const { code } of steps) {
          const entry = table.find(code);
          const id = model.get(code);
          expect(entry === LinkTable.none ? undefined : String(table.urlId(entry))).toBe(id);
          if (id !== undefined) expect(table.target(entry)).toBe(rowOf(code, id).target);
        }
      }),
      { numRuns: 500 },
    );
  });

  it('never holds more than it may, and never loses or invents one of them', () => {
    fc.assert(
      fc.property(
        fc.array(anyCode, { maxLength: 200, size: 'max' }),
        fc.integer({ min: 1, max: 9 }),
        (codes, most) => {
          const table = new LinkTable(most);
          for (const [index, code] of codes.entries()) {
            const entry = table.put(rowOf(code, String(index + 1)), stamp);
            expect(table.find(code)).toBe(entry);
            expect(table.shortCode(entry)).toBe(code);
          }
          const distinct = new Set(codes);
          const found = [...distinct].filter((code) => table.find(code) !== LinkTable.none);
          expect(found).toHaveLength(Math.min(most, distinct.size));
          expect(table.size).toBe(found.length);
        },
      ),
      { numRuns: 500 },
    );
  });

  it('keeps what is used when others come and go', () => {
    const table = new LinkTable(100);
    const favourites = Array.from({ length: 20 }, (_, index) => `fav${index}`);
    for (const code of favourites) table.put(rowOf(code, '1'), stamp);
    for (let round = 0; round < 50; round += 1) {
      for (const code of favourites) table.touch(table.find(code));
      for (let index = 0; index < 40; index += 1) table.put(rowOf(`s${round}x${index}`, '2'), stamp);
    }
    for (const code of favourites) expect(table.find(code)).not.toBe(LinkTable.none);
    expect(table.size).toBe(100);
  });

  it('putTransients a link without keeping it', () => {
    const table = new LinkTable(2);
    const link = new CachedLink(table);
    table.put(rowOf('kept', '1'), stamp);
    const { shortCode, urlId } = link.at(table.putTransient(rowOf('lent', '2'), stamp));
    expect([shortCode, urlId]).toEqual(['lent', '2']);
    expect(table.find('lent')).toBe(LinkTable.none);
    expect(table.size).toBe(1);
    expect(link.at(table.putTransient(rowOf('other', '3'), stamp)).shortCode).toBe('other');
    expect(link.at(table.find('kept')).shortCode).toBe('kept');
  });

  it('keeps what a link takes besides its head through every move', () => {
    const options = { ...plainOptions, status: 308 as const, expiresAtMs: (TABLE_EPOCH_SECONDS + 50) * 1000 };
    const table = new LinkTable(200);
    const link = new CachedLink(table);
    for (let id = 1; id <= 150; id += 1) {
      table.put({ ...rowOf(`c${id}`, String(id)), options: id % 2 === 0 ? options : undefined }, stamp);
    }
    for (let id = 1; id <= 150; id += 3) table.remove(`c${id}`);
    for (let id = 2; id <= 150; id += 1) {
      if (id % 3 === 1) continue;
      const entry = table.find(`c${id}`);
      const isSpecial = id % 2 === 0;
      expect(link.at(entry).options).toEqual(isSpecial ? options : plainOptions);
      expect(redirectStatuses[link.statusIndex]).toBe(isSpecial ? 308 : 302);
      expect(link.head.startsWith(isSpecial ? '308 Permanent Redirect' : '302 Found')).toBe(true);
      expect([table.isFresh(entry, 49), table.isFresh(entry, 50)]).toEqual([true, !isSpecial]);
      expect(table.stripe(entry)).toBe(stamp.stripe);
    }
  });

  it('never answers from the head alone for a link that takes more', () => {
    const table = new LinkTable(10);
    table.put(
      { ...rowOf('slow', '1'), options: { ...plainOptions, isLimited: true, isBaked: false } },
      stamp,
    );
    expect(table.isFresh(table.find('slow'), -0x80000000)).toBe(false);
  });

  it('finds 50,000 codes that one known hash sends to one place as fast as any others', () => {
    const random = Array.from({ length: 50_000 }, (_, index) => codeOf(index * 40_503));
    const colliding = collidingCodes(50_000);
    expect(new Set(colliding).size).toBe(50_000);
    const probesOf = (codes: readonly string[]): number => {
      const table = new LinkTable(100_000);
      for (const [index, code] of codes.entries()) table.put(rowOf(code, String(index + 1)), stamp);
      return codes.reduce((sum, code) => sum + table.probes(code), 0) / codes.length;
    };
    // Before the hash had a secret: 25,000 a code.
    expect(probesOf(colliding)).toBeLessThan(probesOf(random) + 2);
  });
});

/** Ten characters from a number. */
function codeOf(number: number): string {
  const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
  let code = '';
  for (let rest = number + 1, place = 0; place < 10; place += 1, rest = Math.floor(rest / 3) + place)
    code += letters[(rest * 7 + place) % 52];
  return `${code.slice(0, 5)}${number.toString(36).padStart(5, 'a')}`;
}

/** Codes of ten characters that all get the number 0 from a murmur-like hash without a secret. */
function collidingCodes(count: number): string[] {
  const codes: string[] = [];
  for (let seed = 0; codes.length < count; seed += 1) {
    const high = ((10 >> 2) << 30) | (Math.imul(seed, 0x2545f491) >>> 2);
    // Its steps can all be undone, so the lower word follows from the upper one; two bits of it must fit.
    const low = Math.imul(high, 0x9e3779b1) | 0;
    if (low >>> 30 === (10 & 3)) codes.push(unpackCode(low, high));
  }
  return codes;
}
