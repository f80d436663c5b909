import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { locationOf } from '../../src/api/location.js';
import { CachedLink } from '../../src/gateway/redirect/link-cache.js';
import { LinkTable, type Stamp } from '../../src/gateway/redirect/link-table.js';

const stamp: Stamp = { slot: 7, version: 3, epoch: 2 };
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
            table.put({ urlId: String(id), userId, shortCode, target: `${url}#${index}${more}` }, stamp);
          expect(table.size).toBe(codes.length);
          for (const [index, shortCode] of codes.entries()) {
            const entry = table.find(shortCode);
            const { urlId, userId: itsUser, shortCode: itsCode, target, head, location } = link.at(entry);
            const wanted = `${url}#${index}${more}`;
            expect([urlId, itsUser, itsCode, target]).toEqual([String(id), userId, shortCode, wanted]);
            expect(location).toBe(locationOf(wanted));
            expect(head).toBe(`302 Found\r\nLocation: ${location}`);
            expect([table.slot(entry), table.version(entry), table.epoch(entry)]).toEqual([7, 3, 2]);
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

  it('lends a link without keeping it', () => {
    const table = new LinkTable(2);
    const link = new CachedLink(table);
    table.put(rowOf('kept', '1'), stamp);
    const { shortCode, urlId } = link.at(table.lend(rowOf('lent', '2'), stamp));
    expect([shortCode, urlId]).toEqual(['lent', '2']);
    expect(table.find('lent')).toBe(LinkTable.none);
    expect(table.size).toBe(1);
    expect(link.at(table.lend(rowOf('other', '3'), stamp)).shortCode).toBe('other');
    expect(link.at(table.find('kept')).shortCode).toBe('kept');
  });
});
