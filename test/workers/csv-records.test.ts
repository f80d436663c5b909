import { Readable } from 'node:stream';
import { CsvError, parse } from 'csv-parse';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { linesOf, recordBatches } from '../../src/workers/transfers/csv-records.js';
import { lineBlocks, MAX_LINE_BYTES } from '../../src/workers/transfers/line-blocks.js';

async function recordsOf(bytes: readonly Buffer[]): Promise<string[][]> {
  const records: string[][] = [];
  for await (const batch of recordBatches({ bytes: Readable.from(bytes), isUnnamed: false }))
    records.push(...batch);
  return records;
}

/** What the parser makes of a file if it alone gets all of it, byte after byte. */
async function parsedAlone(bytes: Buffer): Promise<string[][]> {
  const parser = parse({
    relax_quotes: true,
    relax_column_count: true,
    skip_empty_lines: false,
    record_delimiter: ['\r\n', '\n', '\r'],
    max_record_size: 1024 * 1024,
  });
  parser.end(bytes);
  return parser.toArray() as Promise<string[][]>;
}

/** Records, or what was said against them. */
async function outcomeOf(records: Promise<string[][]>): Promise<string[][] | string> {
  return records.catch((error: unknown) => {
    if (error instanceof CsvError) return error.message;
    throw error;
  });
}

/** Bytes cut at any places. */
function pieces(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const ends = [...new Set([...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length])].sort(
    (a, b) => a - b,
  );
  return ends
    .map((end, index) => bytes.subarray(ends[index - 1] ?? 0, end))
    .filter(({ length }) => length > 0);
}

const plainBits = [
  'a',
  'bc',
  ' ',
  ',',
  ',',
  '\n',
  '\n',
  '\r\n',
  '\r',
  'ü',
  '路',
  '\u{1F600}',
  '\ufeff',
  '\t',
  "'",
  '\\',
  '\0',
];
const quotedBits = [...plainBits, '"', '""', '"a"', '"a,\nb"', ',"', '",', '"\n', '\n"'];
const cuts = fc.array(fc.nat(), { maxLength: 6 });

describe('records of a CSV file', () => {
  it.each([
    ['without a quote', plainBits],
    ['with quotes where they belong, and where they do not', quotedBits],
  ])('are those that the parser finds, in a file %s', async (_, bits) => {
    const file = fc.array(fc.constantFrom(...bits), { maxLength: 60 }).map((all) => all.join(''));
    await fc.assert(
      fc.asyncProperty(file, cuts, async (text, where) => {
        const bytes = Buffer.from(text.replace(/^\ufeff+/, ''));
        const wanted = await outcomeOf(parsedAlone(bytes));
        expect(await outcomeOf(recordsOf(pieces(bytes, where)))).toEqual(wanted);
        // A mark before it changes nothing, though it may be cut.
        const marked = Buffer.concat([Buffer.from('\ufeff'), bytes]);
        if (bytes.length > 0) expect(await outcomeOf(recordsOf(pieces(marked, where)))).toEqual(wanted);
      }),
      { numRuns: 300 },
    );
  });

  it('are found where values in quotes go on over any number of pieces', async () => {
    const rows = Array.from({ length: 2000 }, (_, n) =>
      n % 3 === 0 ? `${n},"a ""${n}"",\r\n${'long '.repeat(n % 50)}",x\n` : `${n},b,c\r\n`,
    );
    const bytes = Buffer.from(rows.join(''));
    const cut = Array.from({ length: 40 }, (_, index) => index * 1777);
    expect(await recordsOf(pieces(bytes, cut))).toEqual(await parsedAlone(bytes));
  });

  it('may be as long as is allowed, and no longer, with a line break or without', async () => {
    const long = (length: number): Buffer => Buffer.from(`a,b\n${'x'.repeat(length)}`);
    const most = long(MAX_LINE_BYTES);
    expect((await recordsOf(pieces(most, [100_000, 700_000]))).map(([cell]) => cell?.length)).toEqual([
      1,
      MAX_LINE_BYTES,
    ]);
    const more = long(MAX_LINE_BYTES + 10);
    const wanted = await outcomeOf(parsedAlone(more));
    expect(wanted).toMatch(/^Max Record Size.*at line 2/);
    expect(await outcomeOf(recordsOf(pieces(more, [100_000, 700_000])))).toBe(wanted);
    expect(await outcomeOf(recordsOf([Buffer.concat([more, Buffer.from('\n1,2\n')])]))).toBe(wanted);
  });

  it('that are no UTF-8 are refused, wherever a piece ends', async () => {
    for (const bad of [
      Buffer.from([0x61, 0x0a, 0xc3]),
      Buffer.from([0xff, 0x0a]),
      Buffer.from([0x22, 0xed, 0xa0, 0x80]),
    ])
      for (const where of [[], [1], [2]])
        await expect(recordsOf(pieces(bad, where))).rejects.toMatchObject({ code: 'CSV_NOT_UTF8' });
  });

  it('may have any number of fields, and cost no error each', async () => {
    const made = Error.captureStackTrace;
    let errors = 0;
    Error.captureStackTrace = (target, behind) => {
      errors += 1;
      made(target, behind);
    };
    try {
      for (const last of ['3', '"3"']) {
        const records = await recordsOf([Buffer.from(`a,b\n${'\n'.repeat(1000)}1\n1,2,${last}\n`)]);
        expect(records).toHaveLength(1003);
        expect([records[0], records[500], records[1001], records[1002]]).toEqual([
          ['a', 'b'],
          [''],
          ['1'],
          ['1', '2', '3'],
        ]);
      }
    } finally {
      Error.captureStackTrace = made;
    }
    expect(errors).toBeLessThan(20);
  });

  it('say how many lines they take', () => {
    expect([['a'], ['a\nb'], ['a\r\nb', 'c\rd'], ['\n\n']].map(linesOf)).toEqual([1, 2, 3, 3]);
  });
});

describe('blocks of lines', () => {
  it('are the bytes, cut behind line feeds only, whatever they come in', async () => {
    const line = fc.string({ unit: fc.constantFrom('a', '\n', '\r', '\r\n'), maxLength: 40 });
    await fc.assert(
      fc.asyncProperty(line, cuts, async (text, where) => {
        const bytes = Buffer.from(text);
        const blocks: Buffer[] = [];
        for await (const block of lineBlocks(Readable.from(pieces(bytes, where)))) {
          expect(block.isWhole).toBe(true);
          blocks.push(Buffer.from(block.bytes));
        }
        expect(Buffer.concat(blocks).equals(bytes)).toBe(true);
        for (const block of blocks.slice(0, -1)) expect(block.at(-1)).toBe(0x0a);
      }),
    );
  });

  it('of a line without an end in reach are passed on, at no more than what they cost', async () => {
    const bytes = Buffer.alloc(3 * MAX_LINE_BYTES, 'x');
    let count = 0;
    const single = function* (): Generator<Buffer> {
      for (let at = 0; at < bytes.length; at += 1000) yield bytes.subarray(at, at + 1000);
    };
    let length = 0;
    for await (const block of lineBlocks(Readable.from(single()))) {
      expect(block.isWhole).toBe(false);
      length += block.bytes.length;
      count += 1;
    }
    expect(length).toBe(bytes.length);
    expect(count).toBeGreaterThan(1000);
  });
});
