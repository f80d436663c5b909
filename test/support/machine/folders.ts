import { chmodSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

/** A fresh folder that any user may enter, as a PostgreSQL started by root needs it. */
export function makeFolder(purpose: string): string {
  const folder = mkdtempSync(path.join(tmpdir(), `switchyard-${purpose}-`));
  chmodSync(folder, 0o755);
  return folder;
}
