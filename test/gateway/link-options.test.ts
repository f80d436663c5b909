import { describe, expect, it } from 'vitest';
import {
  bakedHead,
  headersOf,
  type LinkOptions,
  locationIn,
  parseLinkOptions,
  plainOptions,
} from '../../src/gateway/redirect/link-options.js';
import { hasPrefetchToken } from '../../src/gateway/redirect/pending-visit.js';

const stored = {
  status: 302,
  cache: null,
  since: null,
  until: null,
  expired_url: null,
  limited: false,
  password: false,
  query: false,
};
const parse = (change: object, nowMs = 1_000_000): LinkOptions | undefined =>
  parseLinkOptions(JSON.stringify({ ...stored, ...change }), nowMs);

describe('what a redirect knows of a link', () => {
  it('is nothing for a plain one', () => {
    expect(parseLinkOptions(null, 0)).toBeUndefined();
    expect(bakedHead(plainOptions, 'http://e.com/')).toBe('302 Found\r\nLocation: http://e.com/');
  });

  it.each([
    [{ status: 301 }, true],
    [{ cache: 60 }, true],
    [{ until: 5000 }, true],
    [{ cache: 60, until: 5000 }, false],
    [{ since: 900 }, true],
    [{ since: 5000 }, false],
    [{ limited: true }, false],
    [{ password: true }, false],
    [{ query: true }, false],
  ])('%j is answered from the head alone: %s', (change, isBaked) => {
    expect(parse(change)?.isBaked).toBe(isBaked);
  });

  it.each([
    [{}, undefined],
    [{ status: 307 }, undefined],
    [{ status: 301 }, 'private, no-store'],
    [{ status: 308 }, 'private, no-store'],
    [{ status: 301, cache: 60 }, 'private, max-age=60'],
    [{ cache: 0 }, 'private, max-age=0'],
    [{ cache: 60, until: 1030 }, 'private, max-age=30'],
    [{ cache: 60, until: 1060 }, 'private, max-age=60'],
    [{ cache: 60, limited: true }, 'private, no-store'],
    [{ cache: 60, password: true }, 'private, no-store'],
  ])('%j is cached as %s', (change, expected) => {
    expect(new Map(headersOf(parse(change) ?? plainOptions, 1_000_000)).get('Cache-Control')).toBe(expected);
  });

  it('keeps the Location readable behind any other header', () => {
    const head = bakedHead({ ...plainOptions, status: 308, cacheSeconds: 5 }, 'http://e.com/?Location: x');
    expect(head).toBe(
      '308 Permanent Redirect\r\nCache-Control: private, max-age=5\r\nLocation: http://e.com/?Location: x',
    );
    expect(locationIn(head)).toBe('http://e.com/?Location: x');
  });
});

describe('a prefetch', () => {
  it.each([
    ['prefetch', true],
    ['prefetch;prerender', true],
    ['prefetch; anonymous-client-ip', true],
    ['Prefetch', true],
    ['x, prefetch', true],
    ['', false],
    ['prefetched', false],
    ['preview', false],
    ['x;prefetch', false],
  ])('is said by %j: %s', (value, expected) => {
    expect(hasPrefetchToken(value)).toBe(expected);
  });
});
