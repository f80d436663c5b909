import { execFileSync, spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { makeFolder } from './folders.js';

/** A small file system of a test's own takes root; elsewhere such tests can't be run. */
export const canMount = process.getuid?.() === 0 && process.platform === 'linux' && tryToMount();

function tryToMount(): boolean {
  const folder = makeFolder('mount');
  const isMounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', folder]).status === 0;
  if (isMounted) execFileSync('umount', [folder]);
  rmSync(folder, { recursive: true });
  return isMounted;
}

export function mountTmpfs(folder: string, size: string): void {
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', folder]);
}

export function unmount(folder: string): void {
  execFileSync('umount', ['-l', folder]);
}
