import { spawnSync } from 'node:child_process';
import { availableParallelism, cpus, release, totalmem, type } from 'node:os';
import type { BenchPostgres } from './data/database.js';
import type { Machine } from './report/results.js';
import { root } from './root.js';

export async function describeMachine(postgres: BenchPostgres): Promise<Machine> {
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    memoryBytes: totalmem(),
    kernel: `${type()} ${release()}`,
    node: process.version,
    postgres: await postgres.setting('server_version'),
  };
}

/** The commit that is checked out, with a plus if the work tree differs from it. */
export function describeRevision(folder: string = root): string {
  const git = (...args: string[]): string =>
    spawnSync('git', args, { cwd: folder, encoding: 'utf8' }).stdout?.trim() ?? '';
  const commit = git('rev-parse', '--short', 'HEAD');
  if (commit === '') return 'unknown';
  return git('status', '--porcelain', '--untracked-files=no') === '' ? commit : `${commit}+`;
}
