import { readFileSync, rmSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { makeLink, readJournal } from '../support/journal/journals.js';
import { type MappedJournal, openMapped } from '../support/journal/mapped-journals.js';
import { makeFolder } from '../support/machine/folders.js';
import { eventually } from '../support/machine/wait.js';

const MEBIBYTE = 1024 * 1024;
const SEGMENT_BYTES = 16 * MEBIBYTE;

let folder: string;
let journal: MappedJournal;

beforeEach(async () => {
  folder = makeFolder('populate');
  journal = await openMapped(folder, { segmentBytes: SEGMENT_BYTES, sync: { everyMs: 3_600_000 } });
});

afterEach(async () => {
  await journal.end();
  rmSync(folder, { recursive: true, force: true });
});

/** Bytes of the mappings of the journal's files that are in memory, the largest first. */
function residentBytes(): number[] {
  const sizes: number[] = [];
  let isOurs = false;
  for (const line of readFileSync('/proc/self/smaps', 'utf8').split('\n')) {
    if (/^[0-9a-f]+-[0-9a-f]+ /.test(line)) isOurs = line.includes(journal.journalId);
    const kibibytes = isOurs ? /^Rss:\s+(\d+) kB$/.exec(line)?.[1] : undefined;
    if (kibibytes !== undefined) sizes.push(Number(kibibytes) * 1024);
  }
  return sizes.sort((a, b) => b - a);
}

/** Stores clicks until the open segment has so many bytes. */
function fill(bytes: number): void {
  const link = makeLink(1);
  const clicks = Math.ceil(bytes / 8);
  for (let click = 0; click < clicks; click += 1) journal.journal.record(link);
  journal.journal.flush();
}

describe.runIf(process.platform === 'linux')('pages of a mapped segment', () => {
  it('are in memory ahead of its records, and no more of them than its records are worth', async () => {
    await eventually(() => residentBytes().length === 2);
    for (const size of residentBytes()) expect(size).toBeLessThanOrEqual(1.5 * MEBIBYTE);
    fill(3 * MEBIBYTE);
    const before = residentBytes()[0] as number;
    expect(before).toBeLessThan(5 * MEBIBYTE);
    const { segment } = journal.asked.find(({ kind }) => kind === 'prepare') as { segment: number };
    journal.supply.sync(segment, 3 * MEBIBYTE);
    await eventually(() => (residentBytes()[0] as number) >= 7 * MEBIBYTE);
    expect(residentBytes()[0]).toBeLessThanOrEqual(7.5 * MEBIBYTE);
    // Populating changes nothing that is stored.
    const { clicks, damages } = readJournal(folder, journal.journalId);
    expect([clicks.length, damages]).toEqual([(3 * MEBIBYTE) / 8, []]);
  });

  it('are in memory as far as the previous segment was used', async () => {
    fill(3 * MEBIBYTE);
    journal.journal.setDatabase('another');
    await eventually(() => journal.answered.filter(({ kind }) => kind === 'ready').length === 3);
    const sizes = residentBytes();
    expect(sizes[0]).toBeGreaterThanOrEqual(7 * MEBIBYTE);
    expect(sizes[0]).toBeLessThanOrEqual(7.5 * MEBIBYTE);
  });
});
