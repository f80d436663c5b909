import { readFileSync } from 'node:fs';

const manifest = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

/** From the package's own manifest, two folders above the compiled file; read once, before anything is served. */
export function packageVersion(): string {
  return manifest.version;
}
