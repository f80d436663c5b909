import { constants } from 'node:fs';
import { lstat, open, readdir, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { parseSegmentFile } from './format.js';
import { parseKeptFile } from './kept-segments.js';

/** What was found in a folder whose owner is no more. */
export interface FolderSurvey {
  /** Journals that have a segment in it, or what may have been one. */
  readonly journals: readonly string[];
  /** Files that bore a segment's name and are none; they are `….damaged` now. */
  readonly setAside: readonly string[];
  /** What bears a segment's name and is no file (a pipe, a folder, a link): left as it is. */
  readonly foreign: readonly string[];
}

/** What every segment begins with, whatever its version; one that was made ready and not used is all zeros. */
const MAGIC = Buffer.from('SWYCLICK', 'latin1');
const UNUSED = Buffer.alloc(MAGIC.length);

/**
 * Looks through a folder once, so that what can't be a journal costs no transaction: junk is put away, and
 * nothing but regular files is opened. @throws when the folder can't be read.
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
      // A copy that its maker did not finish.
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
  // A note outlives its journal when its server ends in between.
  for (const name of notes)
    if (!journals.has(parseKeptFile(name) ?? '')) await rm(path.join(folder, name), { force: true });
  return { journals: [...journals], setAside, foreign };
}

async function isJunk(file: string): Promise<boolean> {
  const handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW);
  try {
    const { bytesRead, buffer } = await handle.read(Buffer.alloc(MAGIC.length), 0, MAGIC.length, 0);
    const start = buffer.subarray(0, bytesRead);
    // A segment that was cut short begins like one, however short it is.
    return !start.equals(MAGIC.subarray(0, bytesRead)) && !start.equals(UNUSED.subarray(0, bytesRead));
  } finally {
    await handle.close();
  }
}
