// Writes Grafana's dashboards from ops/grafana/boards/; with --check it only says which are out of date.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { clicks } from '../ops/grafana/boards/clicks.mjs';
import { goldenSignals } from '../ops/grafana/boards/golden-signals.mjs';
import { imports } from '../ops/grafana/boards/imports.mjs';
import { postgres } from '../ops/grafana/boards/postgres.mjs';
import { redirectEngine } from '../ops/grafana/boards/redirect-engine.mjs';

const folder = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../ops/grafana/dashboards');
const boards = {
  'golden-signals': goldenSignals,
  'redirect-engine': redirectEngine,
  clicks,
  postgres,
  imports,
};

let stale = 0;
for (const [name, board] of Object.entries(boards)) {
  const file = path.join(folder, `${name}.json`);
  const wanted = `${JSON.stringify(board, null, 2)}\n`;
  if (existsSync(file) && readFileSync(file, 'utf8') === wanted) continue;
  stale += 1;
  if (process.argv.includes('--check')) console.error(`${file} is out of date: run "npm run dashboards"`);
  else writeFileSync(file, wanted);
}
if (process.argv.includes('--check') && stale > 0) process.exit(1);
