import { describe, expect, it } from 'vitest';
import { decodeProgress, encodeProgress } from '../../src/stream/journal-progress.js';
import { type ClickRecord, decodeClick, describeClickRecord, encodeClick } from '../../src/stream/record.js';

const click: ClickRecord = {
  v: 1,
  code: 'abc',
  link: '9007199254740993',
  made: 1_700_000_000_123,
  at: 1_700_000_100_456,
  target: 'https://example.com/ä?q=1',
  kind: 'preview',
  referrer: 'example.org',
  bot: true,
  method: 'HEAD',
};

describe('the record of a click', () => {
  it('is read as it was written, an id beyond the whole numbers of JSON included', () => {
    expect(decodeClick(Buffer.from(encodeClick(click)))).toEqual(click);
  });

  it('is compact JSON, without what is unknown', () => {
    const { v, code, link, at, target } = click;
    expect(encodeClick({ v, code, link, at, target })).toBe(
      '{"v":1,"code":"abc","link":"9007199254740993","at":1700000100456,"target":"https://example.com/ä?q=1"}',
    );
  });

  it('may have fields of a later version', () => {
    const later = Buffer.from(JSON.stringify({ ...click, weather: 'fair' }));
    expect(decodeClick(later)).toEqual(click);
  });

  it.each([
    [null, 'no value'],
    ['', 'no JSON'],
    ['{"v":1', 'no JSON'],
    ['7', 'value: '],
    [JSON.stringify({ ...click, v: 2 }), 'v: '],
    [JSON.stringify({ ...click, link: 7 }), 'link: '],
    [JSON.stringify({ ...click, link: '0' }), 'link: '],
    [JSON.stringify({ ...click, at: '2026-01-01' }), 'at: '],
    [JSON.stringify({ ...click, code: undefined }), 'code: '],
    [JSON.stringify({ ...click, kind: 'click' }), 'kind: '],
  ])('is refused with a reason, not thrown: %s', (text, reason) => {
    const decoded = decodeClick(text === null ? null : Buffer.from(text));
    expect(decoded).toEqual({ reason: expect.stringContaining(reason) });
  });

  it('has a line of documentation for each field', () => {
    const fields = describeClickRecord();
    expect(fields.map(({ field }) => field)).toContain('target');
    expect(fields.find(({ field }) => field === 'made')?.type).toContain('optional');
    for (const { field, meaning } of fields) expect([field, meaning.length > 3]).toEqual([field, true]);
  });
});

describe('the position of a journal', () => {
  it('is read as it was written', () => {
    const progress = { segment: 3, offset: 16_384, clicks: 12 };
    expect(decodeProgress(Buffer.from(encodeProgress(progress)))).toEqual(progress);
  });

  it.each([
    null,
    '',
    '{}',
    '{"v":2,"segment":1,"offset":1,"clicks":1}',
    '{"v":1,"segment":-1,"offset":1,"clicks":1}',
  ])('is nothing where it can not be read: %s', (text) => {
    expect(decodeProgress(text === null ? null : Buffer.from(text))).toBeUndefined();
  });
});
