import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { withQuery } from '../../src/gateway/redirect/forward-query.js';

describe('a forwarded query', () => {
  it.each([
    ['http://e.com/', '', 'http://e.com/'],
    ['http://e.com/', 'a=1', 'http://e.com/?a=1'],
    ['http://e.com', 'a=1', 'http://e.com?a=1'],
    ['http://e.com/?b=2', 'a=1', 'http://e.com/?b=2&a=1'],
    ['http://e.com/?a=2', 'a=1&a=1', 'http://e.com/?a=2&a=1&a=1'],
    ['http://e.com/?', 'a=1', 'http://e.com/?a=1'],
    ['http://e.com/?b=2&', 'a=1', 'http://e.com/?b=2&a=1'],
    ['http://e.com/#part', 'a=1', 'http://e.com/?a=1#part'],
    ['http://e.com/?b#part?x&', 'a=1', 'http://e.com/?b&a=1#part?x&'],
    ['http://e.com/', 'a[]=A%2BB%3D&x="<>"', 'http://e.com/?a[]=A%2BB%3D&x="<>"'],
    ['http://e.com/', 'n=\u00c3\u00a4', 'http://e.com/?n=%C3%A4'],
  ])('%j and %j make %j', (location, query, expected) => {
    expect(withQuery(location, query)).toBe(expected);
  });

  it('is always printable ASCII, and keeps what was there', () => {
    const latin1 = fc.string({
      unit: fc.integer({ min: 1, max: 255 }).map((code) => String.fromCharCode(code)),
    });
    fc.assert(
      fc.property(
        fc.webUrl({ withFragments: true, withQueryParameters: true }),
        latin1,
        (location, query) => {
          const made = withQuery(location, query);
          expect(made).toMatch(/^[!-~]+$/);
          const [before = '', fragment] = location.split('#', 2);
          expect(made.startsWith(before)).toBe(true);
          if (fragment !== undefined) expect(made.endsWith(`#${fragment}`)).toBe(true);
        },
      ),
    );
  });
});
