/**
 * Writes users.csv, urls.csv and events.csv:
 *
 *     node dist/csv/generate.js [--seed N] [--out DIR]
 *
 * Without --out they go to the repository's csv/, without --seed they are the committed files.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { DEFAULT_SEED, makeDataset } from './dataset.js';
import { renderFiles } from './rows.js';

const USAGE = 'usage: node dist/csv/generate.js [--seed N] [--out DIR]';
const DEFAULT_OUT = path.resolve(import.meta.dirname, '../../csv');

interface Options {
  /** A whole number, 0 to 2^32 - 1. */
  readonly seed: number;
  /** The folder to write to; made where it does not exist. */
  readonly out: string;
}

function readOptions(): Options {
  const { values } = parseArgs({ options: { seed: { type: 'string' }, out: { type: 'string' } } });
  return { seed: readSeed(values.seed), out: values.out ?? DEFAULT_OUT };
}

function readSeed(text: string | undefined): number {
  if (text === undefined) return DEFAULT_SEED;
  const seed = Number(text);
  if (!/^\d+$/.test(text) || seed > 0xffffffff)
    throw new RangeError('--seed must be a whole number, 0 to 4294967295');
  return seed;
}

function main(): void {
  const { seed, out } = readOptions();
  mkdirSync(out, { recursive: true });
  for (const [name, text] of renderFiles(makeDataset(seed))) {
    writeFileSync(path.join(out, name), text);
    console.log(path.join(out, name));
  }
}

try {
  main();
} catch (error) {
  console.error(`${error instanceof Error ? error.message : String(error)}\n${USAGE}`);
  process.exitCode = 1;
}
