import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  formatTimestamp,
  isIdText,
  isRedirectTarget,
  isStorable,
  parseTimestamp,
  usableEmail,
  usableId,
  usableName,
} from '../../src/api/values.js';

describe('parseTimestamp', () => {
  it.each([
    ['2024-02-29', '2024-02-29 00:00:00.000'],
    ['2024-02-29 12:34', '2024-02-29 12:34:00.000'],
    ['2024-02-29 12:34:56', '2024-02-29 12:34:56.000'],
    ['2024-02-29T12:34:56.7', '2024-02-29 12:34:56.700'],
    ['2024-02-29T12:34:56.789123Z', '2024-02-29 12:34:56.789'],
    ['2024-02-29T12:34:56,5+02:00', '2024-02-29 10:34:56.500'],
    ['2024-03-01T00:30:00-0100', '2024-03-01 01:30:00.000'],
    [' 2024-02-29 12:34:56 ', '2024-02-29 12:34:56.000'],
  ])('reads %s', (text, expected) => {
    expect(parseTimestamp(text)).toBe(expected);
  });

  it.each([
    '',
    'now',
    '2023-02-29',
    '2024-13-01',
    '2024-00-10',
    '2024-01-32',
    '2024-01-01 24:00:00',
    '0000-01-01',
    '0099-12-31',
    '2024-01-01 12:60',
    '20240101',
    '2024-1-1',
    '2024-01-01 12:00:00 CET',
  ])('refuses %j', (text) => {
    expect(parseTimestamp(text)).toBeUndefined();
  });

  it('reads what formatTimestamp writes', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: Date.parse('0100-01-01T00:00:00Z'), max: 253_402_300_799_999 }),
        (milliseconds) => {
          const text = formatTimestamp(milliseconds);
          expect(parseTimestamp(text)).toBe(text);
          expect(Date.parse(`${text.replace(' ', 'T')}Z`)).toBe(milliseconds);
        },
      ),
    );
  });
});

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
    expect(usableEmail('ab')).toBeUndefined();
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
