import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import path from 'node:path';
import { makeFolder } from './data/database.js';
import { root } from './root.js';
import type { Subject } from './scenario.js';

/** A revision in a work tree of its own, compiled. */
export interface Checkout {
  readonly subject: Subject;
  remove(): void;
}

/** @throws if there is no such revision, or it does not build. */
export function checkOut(revision: string): Checkout {
  const parent = makeFolder('base');
  const folder = path.join(parent, 'checkout');
  const remove = (): void => {
    spawnSync('git', ['worktree', 'remove', '--force', folder], { cwd: root });
    rmSync(parent, { recursive: true, force: true });
    spawnSync('git', ['worktree', 'prune'], { cwd: root });
  };
  try {
    run('git', ['worktree', 'add', '--detach', folder, revision], root);
    if (lockFile(folder) === lockFile(root) && existsSync(path.join(root, 'node_modules'))) {
      symlinkSync(path.join(root, 'node_modules'), path.join(folder, 'node_modules'));
    } else {
      run('npm', ['ci', '--no-audit', '--no-fund'], folder);
    }
    run(process.execPath, ['scripts/build.mjs'], folder);
  } catch (error) {
    remove();
    throw error;
  }
  return { subject: { name: revision, root: folder }, remove };
}

function lockFile(folder: string): string {
  return readFileSync(path.join(folder, 'package-lock.json'), 'utf8');
}

function run(command: string, args: readonly string[], cwd: string): void {
  const { status, stderr, stdout } = spawnSync(command, args, { cwd, encoding: 'utf8' });
  if (status !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${status}: ${stderr}${stdout}`);
}

/** The server's entry point in a checkout: bundled, or in releases before that as it was compiled. */
export function mainOf(checkout: string): string {
  const bundled = path.join(checkout, 'dist/server/main.js');
  return existsSync(bundled) ? bundled : path.join(checkout, 'dist/src/main.js');
}
