import { rmSync } from 'node:fs';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { VisitKind } from '../../src/journal/format.js';
import type { Visit } from '../../src/journal/recorder.js';
import { makeLink, openJournal, readJournal } from '../support/journal/journals.js';
import { makeFolder } from '../support/machine/folders.js';

let folder: string;

beforeEach(() => {
  folder = makeFolder('journal');
});

afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

const LINKS = 12;
const text = fc.oneof(
  fc.constant(''),
  fc.string({ unit: 'grapheme', maxLength: 20 }),
  fc.constantFrom('Mozilla/5.0', 'DE', 'ü'.repeat(400)),
);
const visit: fc.Arbitrary<Visit> = fc.record({
  referrer: text,
  userAgent: text,
  country: text,
  address: text,
  kind: fc.constantFrom(...Object.values(VisitKind)),
});
const target = fc.oneof(
  fc.webUrl(),
  fc.string({ unit: 'grapheme', minLength: 1, maxLength: 50 }),
  fc.constant('x'.repeat(8192)),
);
const targets = fc.array(target, { minLength: LINKS, maxLength: LINKS });
const owner = fc.option(fc.bigInt({ min: 1n, max: 2n ** 63n - 1n }).map(String), { nil: null });
const click = fc.record({ link: fc.nat({ max: LINKS - 1 }), visit });
const turns = fc.array(fc.array(click, { maxLength: 30 }), { maxLength: 25, size: 'max' });
const layout = fc.record({
  segmentBytes: fc.constantFrom(4096, 20_000, 16 * 1024 * 1024),
  most: fc.constantFrom(1, 7, 1000),
  restart: fc.boolean(),
  isDetailed: fc.boolean(),
});

describe('a journal', () => {
  it('reads back as it was written: any clicks, in any turns, segments and pieces', () => {
    fc.assert(
      fc.property(
        targets,
        owner,
        turns,
        layout,
        (urls, userId, allTurns, { segmentBytes, most, restart, isDetailed }) => {
          const { journal, journalId, slot } = openJournal(folder, { segmentBytes });
          const links = urls.map((url, index) => makeLink(index + 1, url.toWellFormed(), userId));
          const written: { urlId: string; target: string; visit: Visit | undefined }[] = [];
          for (const clicks of allTurns) {
            for (const one of clicks) {
              const link = links[one.link] as ReturnType<typeof makeLink>;
              const noted = {
                ...one.visit,
                referrer: one.visit.referrer.toWellFormed(),
                userAgent: one.visit.userAgent.toWellFormed(),
                country: one.visit.country.toWellFormed(),
                address: one.visit.address.toWellFormed(),
              };
              if (isDetailed) journal.recordVisit(link, noted);
              else journal.record(link);
              written.push({ urlId: link.urlId, target: link.target, visit: isDetailed ? noted : undefined });
            }
            journal.flush();
          }
          journal.close();
          const { clicks, unreadable, damages, reader } = readJournal(folder, journalId, { most, restart });
          expect(
            clicks.map(({ link, visit: seen }) => ({ urlId: link.urlId, target: link.target, visit: seen })),
          ).toEqual(written);
          for (const one of clicks) {
            expect(one.link.userId).toBe(userId);
            expect(Math.abs(one.timeMs - Date.now())).toBeLessThan(60_000);
          }
          expect([unreadable, damages]).toEqual([0, []]);
          expect(slot.get('accepted')).toBe(written.length);
          expect(slot.get('framed')).toBe(written.length);
          expect(reader.pendingBytes(undefined)).toBe(0);
          reader.removeIngested(undefined);
          expect(reader.isGone).toBe(true);
        },
      ),
      { numRuns: 150 },
    );
  });

  it('can be read while it is written, up to what its writer has said', () => {
    const { journal, journalId, slot } = openJournal(folder, { segmentBytes: 4096 });
    let written = 0;
    for (let turn = 0; turn < 100; turn += 1) {
      for (let count = 0; count <= turn % 7; count += 1) journal.record(makeLink((turn * 7 + count) % 50));
      journal.flush();
      written += 1 + (turn % 7);
      const { clicks, damages } = readJournal(folder, journalId, { written: slot.written });
      expect([clicks.length, damages.length]).toEqual([written, 0]);
    }
    journal.close();
  });

  it('of many clicks in one turn makes several frames', () => {
    const { journal, journalId } = openJournal(folder);
    const link = makeLink(1);
    for (let count = 0; count < 50_000; count += 1) journal.record(link);
    journal.flush();
    journal.close();
    expect(readJournal(folder, journalId).clicks).toHaveLength(50_000);
  });
});
