import { randomUUID } from 'node:crypto';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { JournalFollower } from '../../src/journal/follower.js';
import { KeptSegments, removedClicks } from '../../src/journal/kept-segments.js';
import type { JournalledClick } from '../../src/journal/known.js';
import type { JournalPosition } from '../../src/journal/position.js';
import { makeLink, openJournal, readJournal, type TestJournal } from '../support/journal/journals.js';
import { makeFolder } from '../support/machine/folders.js';

const START = { segment: 0, offset: 0 };

function write(journal: TestJournal, clicks: number): void {
  for (let click = 0; click < clicks; click += 1) {
    journal.journal.record(makeLink((click % 5) + 1));
    if (click % 20 === 0) journal.journal.flush();
  }
  journal.journal.flush();
}

/** Reads to the end in pieces. */
function follow(
  follower: JournalFollower,
  from: JournalPosition,
  most: number,
  written?: JournalPosition,
): { clicks: JournalledClick[]; unreadable: number; at: JournalPosition } {
  const clicks: JournalledClick[] = [];
  let [at, unreadable] = [from, 0];
  for (let piece = follower.read(at, most, written); piece !== undefined; ) {
    clicks.push(...piece.clicks);
    unreadable += piece.unreadable;
    at = piece.to;
    piece = follower.read(at, most, written);
  }
  return { clicks, unreadable, at };
}

describe('the follower of a journal', () => {
  it('reads what its ingest reads, in pieces of any size, over segments', () => {
    const folder = makeFolder('follower');
    const journal = openJournal(folder, { segmentBytes: 4096 });
    write(journal, 2000);
    journal.journal.close();
    const { clicks } = readJournal(folder, journal.journalId);
    for (const most of [1, 100, 100_000]) {
      const followed = follow(new JournalFollower(folder, journal.journalId), START, most);
      expect(followed.clicks.map(({ link, timeMs }) => [link.urlId, timeMs])).toEqual(
        clicks.map(({ link, timeMs }) => [link.urlId, timeMs]),
      );
    }
  });

  it('goes on where it was while the journal is written, and knows the bytes behind its position', () => {
    const folder = makeFolder('follower');
    const journal = openJournal(folder, { segmentBytes: 4096 });
    const follower = new JournalFollower(folder, journal.journalId);
    write(journal, 50);
    const first = follow(follower, START, 1000, journal.slot.written);
    expect(first.clicks).toHaveLength(50);
    expect(follower.pendingBytes(first.at, journal.slot.written)).toBe(0);
    write(journal, 700);
    expect(follower.pendingBytes(first.at, journal.slot.written)).toBeGreaterThan(0);
    const second = follow(follower, first.at, 1000, journal.slot.written);
    expect(second.clicks).toHaveLength(700);
    journal.journal.close();
  });

  it('counts clicks that are damaged, and leaves the bytes to the ingest', () => {
    const folder = makeFolder('follower');
    const journal = openJournal(folder);
    write(journal, 400);
    journal.journal.close();
    const [name = ''] = readdirSync(folder);
    const bytes = readFileSync(path.join(folder, name));
    bytes.fill(0xff, Math.floor(bytes.length / 2), Math.floor(bytes.length / 2) + 64);
    writeFileSync(path.join(folder, name), bytes);
    const { clicks, unreadable } = follow(new JournalFollower(folder, journal.journalId), START, 1000);
    expect(unreadable).toBeGreaterThan(0);
    expect(clicks.length + unreadable).toBe(400);
    expect(readdirSync(folder)).toEqual([name]);
  });
});

describe('a kept segment that the stream lacks', () => {
  const totals = (clicks: number) => ({ clicks, dropped: 0, rejected: 0, unreadable: 0 });
  const databaseId = randomUUID();
  const position = { segment: 9, offset: 0 };

  function keptOf(folder: string, journalId: string): KeptSegments {
    const kept = new KeptSegments(folder, journalId);
    for (const segment of [1, 2, 3])
      kept.add({ segment, end: 100, bytes: 100, databaseId, totals: totals(segment * 10) });
    return kept;
  }

  it('stays behind its time, and is waited for by nobody', () => {
    const kept = keptOf(makeFolder('kept'), randomUUID());
    const over = { ms: 0, bytes: 1000 };
    const passed = (segment: number, offset: number) =>
      kept
        .expired({ ...over, passed: { segment, offset } }, position, databaseId)
        .map((entry) => entry.segment);
    expect(passed(0, 0)).toEqual([]);
    expect(passed(1, 99)).toEqual([]);
    expect(passed(1, 100)).toEqual([1]);
    expect(passed(3, 100)).toEqual([1, 2, 3]);
    expect(kept.msToNext({ ...over, passed: START }, databaseId)).toBeUndefined();
    expect(kept.msToNext(over, databaseId)).toBe(0);
  });

  it('goes beyond the bytes, oldest first, and the note says of how many clicks', () => {
    const folder = makeFolder('kept');
    const journalId = randomUUID();
    const kept = keptOf(folder, journalId);
    expect(removedClicks(folder, journalId)).toBeUndefined();
    const expired = kept.expired({ ms: 60_000, bytes: 150, passed: START }, position, databaseId);
    expect(expired.map(({ segment }) => segment)).toEqual([1, 2]);
    for (const segment of expired) kept.removed(segment, true);
    kept.save();
    expect(removedClicks(folder, journalId)).toEqual({ segment: 2, clicks: 20, isStreamed: true });
    expect(new JournalFollower(folder, journalId).removed).toEqual({
      segment: 2,
      clicks: 20,
      isStreamed: true,
    });
  });
});
