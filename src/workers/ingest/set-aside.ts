import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Logger } from '../../runtime/logger.js';

/** What can't be ingested, on the disk before the transaction that passes it commits. */
export interface SetAside {
  /** The transaction has committed. */
  commit(log: Logger): void;
}

/**
 * Keeps lines in a file of their own. Until the commit the file is a `.tmp`; a leftover one does not say whether its
 * clicks were given up. A repeated batch writes the same file.
 * @param what Happened to the clicks, for the log: `12 clicks were rejected`.
 * @throws if they can't be kept; then the transaction must not commit.
 */
export function setAside(folder: string, name: string, lines: readonly string[], what: string): SetAside {
  const file = path.join(folder, name);
  rmSync(`${file}.tmp`, { force: true });
  const descriptor = openSync(`${file}.tmp`, 'wx', 0o600);
  try {
    writeFileSync(descriptor, lines.map((line) => `${line}\n`).join(''));
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
  return {
    commit: (log) => {
      log.error({ file: name, clicks: lines.length }, `${what} and set aside in ${name}`);
      try {
        renameSync(`${file}.tmp`, file);
      } catch (error) {
        log.error({ error, file: `${name}.tmp` }, `the file of clicks set aside keeps its temporary name`);
      }
    },
  };
}
