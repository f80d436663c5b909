import { chmodSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { noteFolder } from '../run/opened.js';

/**
 * A fresh folder that any user may enter, as a PostgreSQL started by root needs it. It is removed with its
 * contents when the tests of the file are over.
 */
export function makeFolder(purpose: string): string {
  const folder = mkdtempSync(path.join(tmpdir(), `switchyard-${purpose}-`));
  chmodSync(folder, 0o755);
  noteFolder(folder);
  return folder;
}
