import { afterEach, describe, expect, it, vi } from 'vitest';
import { eventRoutes } from '../../src/api/events.js';
import { checkJsonBody } from '../../src/api/json-body.js';
import { hasUnstorableText, memberText } from '../../src/api/json-text.js';
import { PARSED_HERE_BYTES } from '../../src/gateway/body-checks.js';
import { bodyClasses } from '../../src/gateway/http/body-limits.js';

/** POST /events, of whose details the digits are kept. */
const [, route] = eventRoutes;
const { json: one, bulk } = bodyClasses(1024 * 1024);

afterEach(() => vi.restoreAllMocks());

/** What a text costs: how often and with how many characters the parser is called. */
function costOf(
  text: string,
  limits = one.json,
): { error: string | undefined; calls: number; characters: number } {
  const parse = vi.spyOn(JSON, 'parse');
  const sent = { contentType: 'application/json', bytes: Buffer.from(text), limits };
  const checked = checkJsonBody(route, sent, (members) => ({ ok: true, value: members }));
  const characters = parse.mock.calls.reduce((sum, [parsed]) => sum + parsed.length, 0);
  const calls = parse.mock.calls.length;
  parse.mockRestore();
  return { error: checked.ok ? undefined : checked.error, calls, characters };
}

const padded = (text: string): string => text.padEnd(PARSED_HERE_BYTES, ' ');
const repeat = (text: string, count: number): string => Array(count).fill(text).join();
const member = (value: string): string =>
  `{"event_type":"x","details":{"n":1234567890123456789,"a":${value}}}`;

describe('a body that a gateway parses', () => {
  it.each([
    ['empty arrays', member(`[${repeat('[]', 40_000)}]`)],
    ['numbers', member(`[${repeat('1', 49_000)}]`)],
    ['texts with escapes', member(`[${repeat('"\\n"', 20_000)}]`)],
    ['names with escapes', `{${repeat('"\\u0061":1', 10_000)},"details":{"n":1234567890123456789}}`],
    ['one name again and again', `{${repeat('"a":1', 20_000)},"details":{"n":1234567890123456789}}`],
    ['one member again and again', `{${repeat('"details":1234567890123456789', 4000)}}`],
    ['deep arrays', member(`[${repeat(`${'['.repeat(190)}${']'.repeat(190)}`, 200)}]`)],
    ['a text that is nearly all escapes', member(`"${'\\\\'.repeat(60_000)}"`)],
    ['a quote that is never closed', `{"details":"${'x'.repeat(100_000)}`],
    ['space', padded('{"details":{"n":1234567890123456789}}')],
  ])('of %s costs one parse of it, and no more than its names besides', (_, text) => {
    expect(text.length).toBeLessThanOrEqual(PARSED_HERE_BYTES);
    const { calls, characters, error } = costOf(text);
    expect([undefined, 'INVALID_JSON']).toContain(error);
    // Members of the object itself whose names are written with escapes.
    const escaped = text.match(/"\\u0061"/g)?.length ?? 0;
    expect(calls).toBeLessThanOrEqual(1 + escaped);
    expect(characters).toBeLessThanOrEqual(2 * text.length);
  });

  it.each([
    ['values', `[${'[],'.repeat(300_000)}[]]`, 'JSON_TOO_MANY_VALUES'],
    ['members', `{${'"":0,'.repeat(200_000)}"":0}`, 'JSON_TOO_MANY_VALUES'],
    ['depth', '['.repeat(1_000_000), 'JSON_TOO_DEEP'],
  ])('is not parsed at all beyond its limit of %s', (_, text, error) => {
    expect(costOf(text)).toEqual({ error, calls: 0, characters: 0 });
    expect(bulk.json.values).toBe(10 * one.json.values);
  });

  it('can have no more values than any route allows, whatever it holds', () => {
    // The shortest value and its comma are two bytes; a worker parses what could have more.
    expect(PARSED_HERE_BYTES / 2).toBeLessThan(bulk.json.values);
    expect(costOf(`[${repeat('0', PARSED_HERE_BYTES / 2 - 1)}]`).error).toBe('JSON_TOO_MANY_VALUES');
  });
});

describe('the text of a member', () => {
  const textOf = (text: string, name = 'details'): string | undefined => {
    const found = memberText(Buffer.from(text), name);
    return found === undefined ? undefined : Buffer.from(found).toString();
  };

  it('is that of the last one, however its name is written', () => {
    expect(textOf('{"details":1,"details": [1, 2] ,"x":3}')).toBe('[1, 2] ');
    expect(textOf('{"d\\u0065tails":{"a":"}"},"details\\n":2}')).toBe('{"a":"}"}');
    expect(textOf('{"\\u0064\\u0065\\u0074\\u0061\\u0069\\u006c\\u0073":"é"}')).toBe('"é"');
    expect(textOf('{"detailz":1}')).toBeUndefined();
    expect(textOf('{}')).toBeUndefined();
  });
});

describe('text that the database can not store', () => {
  it.each([
    ['"\\u0000"', true],
    ['"\\ud800"', true],
    ['"\\uDC00"', true],
    ['"\\ud800\\ud800"', true],
    ['"\\udbff\\ue000"', true],
    ['"\\ud83d\\ude00"', false],
    ['"\\ud83d\\uDE00\\u0041"', false],
    ['"\\ud83d\\\\ude00"', true],
    ['"\\\\u0000"', false],
    ['"\\\\\\u0000"', true],
    ['"\\n\\"\\/"', false],
    ['"0000"', false],
    ['{"\\u0000":1}', true],
  ])('%s: %s', (text, isIt) => {
    expect(hasUnstorableText(Buffer.from(text))).toBe(isIt);
    const value: unknown = JSON.parse(text);
    const flat = typeof value === 'string' ? value : Object.keys(value as object).join();
    expect(flat.includes('\0') || !flat.isWellFormed()).toBe(isIt);
  });
});
