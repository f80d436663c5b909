import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseIsoTime, parseTimestamp } from '../../src/api/timestamps.js';
import { formatTimestamp } from '../../src/api/values.js';

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
    ['2024-01-02 03:04:05+00', '2024-01-02 03:04:05.000'],
    ['2024-01-02 03:04:05.57-03', '2024-01-02 06:04:05.570'],
    ['2024-01-02 03:04:05+05:30', '2024-01-01 21:34:05.000'],
    ['1890-01-01 00:00:00+00:53:28', '1889-12-31 23:06:32.000'],
    ['2024-01-02 03:04:05 UTC', '2024-01-02 03:04:05.000'],
    ['2024-01-02t03:04:05z', '2024-01-02 03:04:05.000'],
    ['20240102T030405Z', '2024-01-02 03:04:05.000'],
    ['20240102T0304+0100', '2024-01-02 02:04:00.000'],
    ['2024-01-01 24:00:00', '2024-01-02 00:00:00.000'],
    ['2016-12-31T23:59:60Z', '2017-01-01 00:00:00.000'],
    ['Tue, 02 Jan 2024 03:04:05 GMT', '2024-01-02 03:04:05.000'],
    ['2 Jan 2024 03:04 +0200', '2024-01-02 01:04:00.000'],
    ['02-Jan-2024', '2024-01-02 00:00:00.000'],
    ['Tue Jan 02 03:04:05.678 2024 UTC', '2024-01-02 03:04:05.678'],
    ['Tue Jan  2 03:04:05 2024', '2024-01-02 03:04:05.000'],
    ['Tue Jan  2 03:04:05 UTC 2024', '2024-01-02 03:04:05.000'],
    ['1704164645', '2024-01-02 03:04:05.000'],
    ['1704164645.25', '2024-01-02 03:04:05.250'],
    ['1704164645250', '2024-01-02 03:04:05.250'],
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
    '2024-01-01 24:00:01',
    '2024-01-01 12:00:61',
    '01/02/2024',
    '02.01.2024',
    'Wed, 02 Jan 2024 03:04:05 GMT',
    'Tue, 02 Jan 24 03:04:05 GMT',
    'Tue Jan 02 03:04:05 2024 CET',
    '2024-01-01 12:00:00+16',
    '2024-01-01 12:00:00+01:60',
    '2024-01-01 BC',
    '44-03-15',
    'infinity',
    '10000-01-01',
    '+010000-01-01',
    '9999-12-31T23:59:59-01:00',
    '0100-01-01T00:00:00+01:00',
    '170416464',
    '17041646450',
    '-1704164645',
    '1e9',
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

  it('reads the usual form as the same time written otherwise', () => {
    const two = (max: number): fc.Arbitrary<string> => fc.nat({ max }).map((n) => String(n).padStart(2, '0'));
    const year = fc.nat({ max: 9999 }).map((n) => String(n).padStart(4, '0'));
    fc.assert(
      fc.property(
        year,
        two(14),
        two(33),
        fc.constantFrom(' ', 'T'),
        two(25),
        two(61),
        two(61),
        (...parts) => {
          const [y, mo, d, between, h, mi, s] = parts;
          const text = `${y}-${mo}-${d}${between}${h}:${mi}:${s}`;
          expect(parseTimestamp(text)).toBe(parseTimestamp(` ${text}`));
        },
      ),
      { numRuns: 5000 },
    );
  });
});

describe('parseIsoTime', () => {
  it.each([
    '2024-02-29',
    ' 2024-02-29 12:34:56 ',
    '2024-02-29T12:34:56,5+02:00',
    '20240102T030405Z',
    '2024-01-02 03:04:05+00',
  ])('reads %j as parseTimestamp does', (text) => {
    expect(parseIsoTime(text)).toBe(parseTimestamp(text));
    expect(parseIsoTime(text)).toBeDefined();
  });

  it.each([
    '1704164645',
    '1704164645250',
    'Tue, 02 Jan 2024 03:04:05 GMT',
    '2 Jan 2024',
    'Tue Jan  2 03:04:05 2024',
    '2024-13-01',
  ])('does not read %j', (text) => {
    expect(parseIsoTime(text)).toBeUndefined();
  });
});
