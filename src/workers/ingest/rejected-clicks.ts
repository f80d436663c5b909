import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { JournalledClick } from '../../journal/known.js';
import type { JournalPosition } from '../../journal/position.js';
import type { Logger } from '../../runtime/logger.js';
import type { RejectedClick } from '../../store/clicks.js';

/** Clicks that PostgreSQL refused, on the disk before the transaction that passes them commits. */
export interface RejectedFile {
  /** The transaction has committed. */
  commit(log: Logger): void;
}

/**
 * Keeps rejected clicks, each with its reason, in a file beside the journal, named after the batch's
 * beginning: a repeated batch writes the same file. Until the commit the file is a `.tmp`; a leftover one
 * does not say whether its clicks were given up.
 * @throws if they can't be kept; then the transaction must not commit.
 */
export function keepRejected(
  folder: string,
  { journalId, from }: { readonly journalId: string; readonly from: JournalPosition },
  rejected: readonly RejectedClick<JournalledClick>[],
): RejectedFile | undefined {
  if (rejected.length === 0) return undefined;
  const name = `${journalId}.${from.segment}.${from.offset}.rejected.ndjson`;
  const file = path.join(folder, name);
  const lines = rejected.map(({ click, reason }) => `${JSON.stringify({ reason, ...click })}\n`);
  rmSync(`${file}.tmp`, { force: true });
  const descriptor = openSync(`${file}.tmp`, 'wx', 0o600);
  try {
    writeFileSync(descriptor, lines.join(''));
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
  return {
    commit: (log) => {
      log.error(
        { file: name, clicks: rejected.length },
        `${rejected.length} clicks were rejected and set aside in ${name}`,
      );
      try {
        renameSync(`${file}.tmp`, file);
      } catch (error) {
        log.error({ error, file: `${name}.tmp` }, 'the file of rejected clicks keeps its temporary name');
      }
    },
  };
}
