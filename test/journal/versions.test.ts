import { randomUUID } from 'node:crypto';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { crc32 } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { decodeHeader, HEADER_BYTES, segmentFile, VisitKind } from '../../src/journal/format.js';
import { checkOf, headOf, OTHER } from '../../src/journal/records.js';
import { summarise } from '../../src/journal/summary.js';
import { writeFirstVersion } from '../support/journal/journal-v1.js';
import { CREATED_MS, makeLink, openJournal, readJournal } from '../support/journal/journals.js';
import { makeFolder } from '../support/machine/folders.js';

let folder: string;

beforeEach(() => {
  folder = makeFolder('versions');
});

afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

describe('a file of version 1', () => {
  it('is read to its end, plain and detailed', () => {
    const timeMs = Date.UTC(2026, 5, 1);
    const click = (urlId: number) => ({
      urlId,
      shortCode: `c${urlId}`,
      target: `https://example.com/${urlId}`,
    });
    const plain = randomUUID();
    writeFirstVersion(folder, plain, [[click(1), click(2)], [click(1)], [click(3), click(3)]], timeMs);
    const { clicks, unreadable, damages } = readJournal(folder, plain);
    expect(clicks.map(({ link }) => link.urlId)).toEqual(['1', '2', '1', '3', '3']);
    expect(clicks[0]).toEqual({
      link: {
        urlId: '1',
        userId: null,
        shortCode: 'c1',
        target: 'https://example.com/1',
        createdMs: undefined,
      },
      timeMs,
      visit: undefined,
    });
    expect([unreadable, damages]).toEqual([0, []]);
    const detailed = randomUUID();
    const visit = ['news.example', 'Mozilla/5.0', 'DE', ''] as const;
    writeFirstVersion(
      folder,
      detailed,
      [
        [
          { ...click(1), visit },
          { ...click(1), visit, isHead: true },
        ],
      ],
      timeMs,
    );
    expect(readJournal(folder, detailed).clicks.map((one) => one.visit?.kind)).toEqual([
      VisitKind.CLICK,
      VisitKind.HEAD,
    ]);
    expect(summarise(folder, plain, () => undefined)).toMatchObject({ clicks: 5, turns: 3, damages: [] });
  });
});

describe('a file of a later version', () => {
  it('stays where it is: nothing of it is read, set aside or removed', () => {
    const { journal, journalId } = openJournal(folder);
    journal.record(makeLink(1));
    journal.close();
    const file = path.join(folder, segmentFile(journalId, 1));
    const bytes = readFileSync(file);
    bytes.writeUInt32LE(3, 8);
    bytes.writeUInt32LE(crc32(bytes.subarray(48, HEADER_BYTES), crc32(bytes.subarray(0, 44))), 44);
    expect(decodeHeader(bytes.subarray(0, HEADER_BYTES))).toBe('newer');
    writeFileSync(file, bytes);
    const { clicks, damages, reader } = readJournal(folder, journalId);
    expect([clicks, damages]).toEqual([[], []]);
    reader.seek({ segment: 9, offset: 9 });
    expect(reader.removeIngested(undefined)).toBe(0);
    expect([reader.isGone, reader.isForOthers, existsSync(file)]).toEqual([false, true, true]);
    expect(summarise(folder, journalId, () => undefined)).toMatchObject({ newer: 1, damages: [] });
  });
});

describe('a record of a kind that this version does not know, or longer than it knows', () => {
  it('is passed over by its size', () => {
    const { journal, journalId } = openJournal(folder);
    const link = makeLink(1);
    journal.record(link);
    journal.close();
    const file = path.join(folder, segmentFile(journalId, 1));
    const bytes = readFileSync(file);
    const header = decodeHeader(bytes.subarray(0, HEADER_BYTES));
    const seed = typeof header === 'object' && 'seed' in header ? header.seed : 0;
    const append = (before: Buffer, words: number[]): Buffer => {
      const record = new Uint32Array(words);
      record[0] = checkOf(seed, before.length, record, 0, record.length);
      return Buffer.concat([before, Buffer.from(record.buffer)]);
    };
    const unknown = append(bytes, [0, headOf(99, 6), 1, 2, 3, 4]);
    const longVisit = append(unknown, [0, headOf(4, 12), 0, VisitKind.PREVIEW, 0, 0, 0, 0, 7, 7, 7, 7]);
    writeFileSync(file, longVisit);
    const { clicks, damages } = readJournal(folder, journalId);
    expect(damages).toEqual([]);
    expect(clicks).toHaveLength(2);
    expect(clicks[1]?.visit?.kind).toBe(VisitKind.PREVIEW);
    expect(clicks[0]?.link).toMatchObject({ urlId: '1', shortCode: 'c1', createdMs: CREATED_MS });
    expect(OTHER >>> 28).toBe(1);
  });
});
