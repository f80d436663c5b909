import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { HEADER_BYTES, segmentFile, VisitKind } from '../../src/journal/format.js';
import { CLASS_SHIFT, wordsOf } from '../../src/journal/records.js';
import { summarise } from '../../src/journal/summary.js';
import { makeLink, openJournal, readJournal } from '../support/journal/journals.js';
import { makeFolder } from '../support/machine/folders.js';

let folder: string;

beforeEach(() => {
  folder = makeFolder('damage');
});

afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

interface Written {
  readonly journalId: string;
  readonly file: string;
  readonly bytes: Buffer;
  /** What was clicked, in order. */
  readonly urlIds: readonly string[];
}

/** A small segment: 12 turns, new links now and then. */
function writeSegment(isDetailed = false): Written {
  const { journal, journalId } = openJournal(folder);
  const links = Array.from({ length: 6 }, (_, index) => makeLink(index + 1));
  const urlIds: string[] = [];
  for (let turn = 0; turn < 12; turn += 1) {
    for (let count = 0; count <= turn % 3; count += 1) {
      const link =
        links[Math.min(5, Math.floor(turn / 2)) - (count % 2)] ?? (links[0] as ReturnType<typeof makeLink>);
      const visit = {
        referrer: `r${turn}`,
        userAgent: 'agent',
        country: 'DE',
        address: '',
        kind: VisitKind.CLICK,
      };
      if (isDetailed) journal.recordVisit(link, visit);
      else journal.record(link);
      urlIds.push(link.urlId);
    }
    journal.flush();
  }
  journal.close();
  const file = path.join(folder, segmentFile(journalId, 1));
  return { journalId, file, bytes: readFileSync(file), urlIds };
}

/** Where each record begins, with its second word. */
function* recordsOf(bytes: Buffer): Generator<{ offset: number; head: number }> {
  for (let offset = HEADER_BYTES; offset < bytes.length; ) {
    const head = bytes.readUInt32LE(offset + 4);
    yield { offset, head };
    offset += wordsOf(head) * 4;
  }
}

/** Whether `part` is `whole` with some elements left out. */
function isSubsequence(part: readonly string[], whole: readonly string[]): boolean {
  let index = 0;
  for (const one of whole) if (index < part.length && part[index] === one) index += 1;
  return index === part.length;
}

function leftovers(): string[] {
  return readdirSync(folder).filter((name) => name.endsWith('.damaged'));
}

describe('a segment cut short', () => {
  it('at any byte yields the whole frames before the cut, and keeps the rest aside', () => {
    const { journalId, file, bytes, urlIds } = writeSegment();
    for (let length = bytes.length; length >= 0; length -= 1) {
      // Anew each time: one without a whole header is put away.
      writeFileSync(file, bytes.subarray(0, length));
      const { clicks, damages, reader } = readJournal(folder, journalId);
      expect(clicks.map(({ link }) => link.urlId)).toEqual(urlIds.slice(0, clicks.length));
      const lost = damages.reduce((sum, damage) => sum + damage.bytes, 0);
      const kept = length - lost;
      // Bytes are whole frames, or reported as damage; none is passed over.
      expect(damages.length).toBeLessThanOrEqual(1);
      if (length >= HEADER_BYTES) expect(kept).toBeGreaterThanOrEqual(HEADER_BYTES);
      for (const { keptAs } of damages) {
        expect(readFileSync(path.join(folder, keptAs ?? ''))).toEqual(bytes.subarray(kept, length));
      }
      expect(reader.pendingBytes(undefined)).toBe(0);
      for (const name of leftovers()) rmSync(path.join(folder, name));
    }
  });

  it('while its writer lives is not damage beyond what the writer has said', () => {
    const { journalId, bytes, file } = writeSegment();
    for (let written = HEADER_BYTES; written < bytes.length; written += 1) {
      const before = readJournal(folder, journalId, { written: { segment: 1, offset: written } });
      // The writer only ever says frame ends; anything else it says is believed to be one.
      if (before.damages.length > 0) expect(before.damages[0]?.reason).toBe('no record');
    }
    writeFileSync(file, '');
    const started = readJournal(folder, journalId, { written: { segment: 1, offset: 0 } });
    expect([started.clicks, started.damages]).toEqual([[], []]);
  });

  it('within its header, which its writer is storing just now, is read once the writer is behind it', () => {
    const { journalId, bytes, file, urlIds } = writeSegment();
    const laterOnly = Buffer.from(bytes).fill(0, 0, HEADER_BYTES);
    for (let stored = 0; stored < HEADER_BYTES; stored += 1) {
      const soFar = Buffer.alloc(bytes.length);
      bytes.copy(soFar, 0, 0, stored);
      // Or its header was looked at before it was stored, and what is behind it later.
      for (const content of [soFar, laterOnly]) {
        writeFileSync(file, content);
        const { reader, damages } = readJournal(folder, journalId, { written: { segment: 1, offset: 0 } });
        writeFileSync(file, bytes);
        const piece = reader.read(1000, { segment: 2, offset: 0 });
        expect(piece?.clicks.map(({ link }) => link.urlId)).toEqual(urlIds);
        expect(damages).toEqual([]);
      }
    }
  });
});

describe.each([
  ['plain', false],
  ['detailed', true],
] as const)('a damaged segment (%s)', (_, isDetailed) => {
  it('never yields a click that was not written, and says what it can’t read', () => {
    const { journalId, file, bytes, urlIds } = writeSegment(isDetailed);
    const change = fc.record({ at: fc.nat({ max: bytes.length - 1 }), value: fc.nat({ max: 255 }) });
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 8 }), (changes) => {
        const damaged = Buffer.from(bytes);
        for (const { at, value } of changes) damaged[at] = value;
        writeFileSync(file, damaged);
        const { clicks, unreadable, damages, reader } = readJournal(folder, journalId);
        expect(
          isSubsequence(
            clicks.map(({ link }) => link.urlId),
            urlIds,
          ),
        ).toBe(true);
        if (damages.length === 0) expect(clicks).toHaveLength(urlIds.length);
        expect(clicks.length + unreadable).toBeLessThanOrEqual(urlIds.length);
        expect(reader.pendingBytes(undefined)).toBe(0);
        for (const { keptAs } of damages) expect(existsSync(path.join(folder, keptAs ?? ''))).toBe(true);
      }),
      { numRuns: 600 },
    );
  });

  it('never yields a click that was not written when stretches are removed, doubled or overwritten', () => {
    const { journalId, file, bytes, urlIds } = writeSegment(isDetailed);
    const stretch = fc.record({
      from: fc.nat({ max: bytes.length }),
      length: fc.nat({ max: 400 }),
      how: fc.constantFrom('removed', 'zeroed', 'doubled'),
    });
    fc.assert(
      fc.property(stretch, ({ from, length, how }) => {
        const cut = bytes.subarray(from, from + length);
        const middle = {
          removed: Buffer.alloc(0),
          zeroed: Buffer.alloc(cut.length),
          doubled: Buffer.concat([cut, cut]),
        }[how];
        writeFileSync(file, Buffer.concat([bytes.subarray(0, from), middle, bytes.subarray(from + length)]));
        const { clicks } = readJournal(folder, journalId);
        const seen = clicks.map(({ link }) => link.urlId);
        if (how === 'doubled') {
          // A frame that stands there twice is whole each time: only its number says that it came before.
          expect(seen.length).toBeLessThanOrEqual(urlIds.length);
        }
        expect(isSubsequence(seen, urlIds)).toBe(true);
      }),
      { numRuns: 600 },
    );
  });
});

describe('what was lost', () => {
  it('is counted by the turn behind it', () => {
    const { journalId, file, bytes, urlIds } = writeSegment();
    const damaged = Buffer.from(bytes);
    // A click in the middle: the turn behind it tells how many there were.
    const clicks1 = [...recordsOf(bytes)].filter(({ head }) => head >>> CLASS_SHIFT === 0);
    const middle = clicks1[Math.floor(clicks1.length / 2)]?.offset ?? 0;
    damaged[middle] = (damaged[middle] ?? 0) ^ 0xff;
    writeFileSync(file, damaged);
    const { clicks, unreadable, damages } = readJournal(folder, journalId);
    expect(damages).toHaveLength(1);
    expect(unreadable).toBeGreaterThan(0);
    expect(clicks.length + unreadable).toBe(urlIds.length);
  });

  it('with a whole header is the segment', () => {
    const { journalId, file, bytes } = writeSegment();
    for (const header of ['SWYCLICX', 'x']) {
      const damaged = Buffer.from(bytes);
      damaged.write(header, 0, 'latin1');
      writeFileSync(file, damaged);
      const { clicks, damages } = readJournal(folder, journalId);
      expect([clicks.length, damages.map(({ reason }) => reason)]).toEqual([0, ['not a click journal']]);
    }
    const newer = Buffer.from(bytes);
    newer.writeUInt32LE(3, 8);
    writeFileSync(file, newer);
    expect(readJournal(folder, journalId).damages.map(({ reason }) => reason)).toEqual([
      'segment header damaged',
    ]);
  });
});

describe('an inspection', () => {
  it('counts what is there and changes nothing', () => {
    const { journalId, file, bytes, urlIds } = writeSegment();
    const whole = summarise(folder, journalId, () => undefined);
    expect(whole).toMatchObject({
      segments: 1,
      bytes: bytes.length,
      turns: 12,
      clicks: urlIds.length,
      links: 6,
      damages: [],
    });
    const damaged = Buffer.from(bytes);
    damaged[bytes.length - 1] = (damaged[bytes.length - 1] ?? 0) ^ 1;
    writeFileSync(file, damaged);
    const { clicks, damages } = summarise(folder, journalId, () => undefined);
    expect([clicks, damages.map(({ reason }) => reason)]).toEqual([urlIds.length - 1, ['no record']]);
    expect(leftovers()).toEqual([]);
  });
});
