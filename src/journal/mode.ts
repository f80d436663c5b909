import { mkdirSync, statfsSync } from 'node:fs';
import { loadKoffi, type NativeMemory, openNative } from './native.js';

/** How a journal stores clicks, and why not in the better way, if it does not. */
export type JournalMode =
  | { readonly kind: 'mapped'; readonly native: NativeMemory }
  | { readonly kind: 'written'; readonly reason: string };

/** `CLICK_JOURNAL_MODE=mapped` is impossible here. */
export class JournalModeError extends Error {
  override readonly name = 'JournalModeError';
}

/**
 * Linux file systems on which later stores use the allocated space, by their `statfs` type. On one that
 * copies on write, or is on another machine, allocation promises nothing, and a store to a mapping could end
 * the process; on an untested one it might.
 */
const trusted = new Map([
  [0xef53, 'ext2, ext3, ext4'],
  [0x58465342, 'xfs'],
  [0x01021994, 'tmpfs'],
]);

/**
 * Whether clicks can be stored in mapped memory in a folder.
 * @throws JournalModeError if they must be but can't.
 */
export function journalMode(wanted: 'mapped' | 'written' | 'auto', folder: string): JournalMode {
  if (wanted === 'written') return { kind: 'written', reason: 'CLICK_JOURNAL_MODE=written' };
  const koffi = loadKoffi();
  if (typeof koffi === 'string') return refused(wanted, koffi);
  if (wanted === 'auto' && process.platform === 'linux') {
    mkdirSync(folder, { recursive: true });
    const type = statfsSync(folder).type;
    if (!trusted.has(type)) {
      return refused(
        wanted,
        `the file system (type 0x${type.toString(16)}) is not known to keep allocated space`,
      );
    }
  }
  try {
    return { kind: 'mapped', native: openNative(koffi) };
  } catch (error) {
    return refused(wanted, `the system lacks a call: ${(error as Error).message}`);
  }
}

function refused(wanted: 'mapped' | 'auto', reason: string): JournalMode {
  if (wanted === 'mapped') throw new JournalModeError(`CLICK_JOURNAL_MODE=mapped is not possible: ${reason}`);
  return { kind: 'written', reason };
}
