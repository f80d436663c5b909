import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  isIdText,
  isRedirectTarget,
  isStorable,
  parseBoolean,
  usableEmail,
  usableId,
  usableName,
} from '../../src/api/values.js';

describe('isRedirectTarget', () => {
  it.each([
    'http://a',
    'https://example.com',
    'HTTPS://EXAMPLE.COM/x',
    'https://user:pw@[::1]:8080/?q#f',
    'https://exämple.com/ü',
    'https://example.com/a b',
  ])('takes %s', (url) => {
    expect(isRedirectTarget(url)).toBe(true);
  });

  it.each([
    '',
    'example.com',
    'ftp://example.com',
    'javascript:alert(1)',
    'https:example.com',
    'https://',
    'https:///x',
    'https://?x',
    'https://#x',
    'https:\\\\example.com',
    'https://a:99999/',
    'https://exa mple.com',
    'https://a/\n',
    'https://a/\u0000',
    'https://a/\u007f',
    ' https://a',
    'https://a ',
    `https://a/${'x'.repeat(8200)}`,
    'https://a/\ud800',
  ])('refuses %j', (url) => {
    expect(isRedirectTarget(url)).toBe(false);
  });

  it('says of the usual ones, too, what the parser would', () => {
    const label = fc.string({ unit: fc.constantFrom(...'azAZ09-x'), minLength: 1, maxLength: 70 });
    const odd = fc.constantFrom(
      'xn--mnchen-3ya',
      'XN--a',
      '0x1',
      '1',
      'a.',
      '..',
      'example',
      'ab--c',
      '-',
      '',
    );
    const host = fc.array(fc.oneof(label, odd), { minLength: 1, maxLength: 5 }).map((all) => all.join('.'));
    const rest = fc.oneof(
      fc.constant(''),
      fc.string().map((text) => `/${text}`),
      fc.string(),
    );
    fc.assert(
      fc.property(fc.constantFrom('http://', 'HTTPS://'), host, rest, (scheme, name, tail) => {
        const url = `${scheme}${name}${tail}`;
        if (isRedirectTarget(url)) expect(URL.canParse(url)).toBe(true);
      }),
      { numRuns: 5000 },
    );
  });

  it('never lets through what would end a header', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (tail) => {
        const url = `https://example.com/${tail}`;
        if (isRedirectTarget(url)) expect(url).not.toMatch(/[\r\n\0]/);
      }),
      { numRuns: 2000 },
    );
  });
});

describe('names and ids', () => {
  it('counts characters as PostgreSQL does', () => {
    expect(isStorable('🚦'.repeat(100), 100)).toBe(true);
    expect(isStorable('🚦'.repeat(101), 100)).toBe(false);
    expect(isStorable('x'.repeat(101), 100)).toBe(false);
    expect(isStorable('x'.repeat(201), 100)).toBe(false);
    expect(isStorable('a\ud800', 100)).toBe(false);
  });

  it('trims, and refuses what is left empty or without @', () => {
    expect(usableName(' a\t', 10)).toBe('a');
    expect(usableName(' \n', 10)).toBeUndefined();
    expect(usableEmail(' a@b ')).toBe('a@b');
    for (const email of ['ab', '@', '@b', 'a@', 'a@b\nc', 'a@b\u2028c'])
      expect(usableEmail(email)).toBeUndefined();
    for (const name of ['a\nb', 'a\rb', 'a\u0085b']) expect(usableName(name, 10)).toBeUndefined();
    expect(['T', 'yes', '1', 'off', ' f ', 'maybe', ''].map(parseBoolean)).toEqual([
      true,
      true,
      true,
      false,
      false,
      undefined,
      undefined,
    ]);
  });

  it('knows an id from what is none, and one that no row can have', () => {
    expect(usableId('007')).toBe('7');
    expect(usableId('9223372036854775807')).toBe('9223372036854775807');
    expect(usableId('9223372036854775808')).toBeUndefined();
    expect(usableId('-1')).toBeUndefined();
    expect(isIdText('1'.repeat(40))).toBe(true);
    expect(isIdText('1'.repeat(41))).toBe(false);
    expect(isIdText('1a')).toBe(false);
  });
});
