import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';

/**
 * The place of this package. The calling code runs compiled, one file for each module (dist/src/), or
 * bundled, one file for each entry point (dist/server/): nothing may be found by its place beside the code
 * that needs it.
 */
export const packageRoot = rootOf(import.meta.dirname);

const isBundled = path.dirname(import.meta.dirname) === path.join(packageRoot, 'dist');

const { version } = JSON.parse(readFileSync(path.join(packageRoot, 'package.json'), 'utf8')) as {
  version: string;
};

/** From the package's own manifest; read once, before anything is served. */
export function packageVersion(): string {
  return version;
}

/**
 * A file that the build has put beside the compiled code. @param name From `src/`, such as
 * `store/migrations`.
 */
export function packagedFolder(name: string): string {
  return path.join(packageRoot, 'dist/src', name);
}

/** The file that a thread begins with. @param module From `src/`, such as `gateway/gateway`. */
export function entryPoint(
  module: 'gateway/gateway' | 'workers/tasks' | 'workers/stream/stream-tasks',
): string {
  return isBundled
    ? path.join(import.meta.dirname, `${path.basename(module)}.js`)
    : packagedFolder(`${module}.js`);
}

function rootOf(folder: string): string {
  return existsSync(path.join(folder, 'package.json')) ? folder : rootOf(path.dirname(folder));
}
