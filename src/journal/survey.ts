import { constants } from 'node:fs';
import { lstat, open, readdir, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { parseSegmentFile } from './format.js';
import { parseKeptFile } from './kept-segments.js';

/** The content of a folder whose owner is gone. */
export interface FolderSurvey {
  /** Journals with a segment in it, or with what may have been one. */
  readonly journals: readonly string[];
  /** Files that had a segment's name but are none; they are `….damaged` now. */
  readonly setAside: readonly string[];
  /** Anything with a segment's name that is no file (a pipe, a folder, a link): left as it is. */
  readonly foreign: readonly string[];
}

/** The first bytes of every segment, whatever its version; a ready but unused one is all zeros. */
const MAGIC = Buffer.from('SWYCLICK', 'latin1');
const UNUSED = Buffer.alloc(MAGIC.length);

/**
 * Looks through a folder once, to save transactions on files that can't be journals: sets junk aside, and
 * opens only regular files. @throws if the folder can't be read.
 */
export async function surveyFolder(folder: string): Promise<FolderSurvey> {
  const journals = new Set<string>();
  const setAside: string[] = [];
  const foreign: string[] = [];
  const notes: string[] = [];
  for (const name of await readdir(folder)) {
    const parsed = parseSegmentFile(name);
    if (parsed === undefined) {
      if (parseKeptFile(name) !== undefined) notes.push(name);
      // An unfinished copy.
      else if (name.endsWith('.clicks.tmp')) await rm(path.join(folder, name), { force: true });
      continue;
    }
    const file = path.join(folder, name);
    if (!(await lstat(file)).isFile()) foreign.push(name);
    else if (await isJunk(file)) {
      await rename(file, `${file}.0.damaged`);
      setAside.push(name);
    } else journals.add(parsed.journalId);
  }
  // A note outlives its journal if its server ends in between.
  for (const name of notes)
    if (!journals.has(parseKeptFile(name) ?? '')) await rm(path.join(folder, name), { force: true });
  return { journals: [...journals], setAside, foreign };
}

async function isJunk(file: string): Promise<boolean> {
  const handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW);
  try {
    const { bytesRead, buffer } = await handle.read(Buffer.alloc(MAGIC.length), 0, MAGIC.length, 0);
    const start = buffer.subarray(0, bytesRead);
    // A truncated segment begins like one, however short it is.
    return !start.equals(MAGIC.subarray(0, bytesRead)) && !start.equals(UNUSED.subarray(0, bytesRead));
  } finally {
    await handle.close();
  }
}
