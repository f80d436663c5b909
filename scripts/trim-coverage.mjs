// Takes out of the raw coverage in a folder what is not of files that were compiled here. Every thread of every server that
// ran writes down all of Node and of its packages too, sixteen times as much, and c8 would merge and convert all of it.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { isMainThread, Worker, workerData } from 'node:worker_threads';

const [folder] = process.argv.slice(2);
const counted = `${pathToFileURL(path.resolve(fileURLToPath(import.meta.url), '../../dist')).href}/`;
/** One file has the source map of a module; all have the same. */
const mapped = new Set();

if (isMainThread) {
  const files = readdirSync(folder);
  const threads = os.availableParallelism();
  for (let thread = 0; thread < threads; thread += 1) {
    const share = files.filter((_, index) => index % threads === thread);
    new Worker(fileURLToPath(import.meta.url), { argv: [folder], workerData: share });
  }
} else for (const name of workerData) trim(path.join(folder, name));

function trim(file) {
  let coverage;
  try {
    coverage = JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    // Of a process that was killed while it wrote: c8 leaves it out too.
    return;
  }
  const result = coverage.result.filter(({ url }) => url.startsWith(counted));
  const maps = Object.entries(coverage['source-map-cache'] ?? {}).filter(
    ([url]) => url.startsWith(counted) && !mapped.has(url),
  );
  for (const [url] of maps) mapped.add(url);
  writeFileSync(file, JSON.stringify({ result, 'source-map-cache': Object.fromEntries(maps) }));
}
