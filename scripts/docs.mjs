// Writes the tables that come from the code into the documents that hold them; with --check it only
// says which of them are out of date. Needs dist/.
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const { describeSettings } = await import('../dist/src/config.js');
const { describeMetrics } = await import('../dist/src/ops/metrics.js');

/** What differs from machine to machine must not differ from document to document. */
const machineDefaults = { GATEWAY_THREADS: 'cores − 1' };

const settings = describeSettings().map((setting) => ({
  ...setting,
  fallback: machineDefaults[setting.name] ?? setting.fallback,
}));

const settingsTable = [
  '| variable | default | meaning |',
  '|---|---|---|',
  ...settings.map(
    ({ name, fallback, description }) =>
      `| \`${name}\` | ${fallback === '' ? '' : `\`${fallback}\``} | ${description.replaceAll('|', '\\|')} |`,
  ),
].join('\n');

const metricsTable = [
  '| metric | type | labels | meaning |',
  '|---|---|---|---|',
  ...describeMetrics().map(
    ({ name, type, labels, help }) =>
      `| \`${name}\` | ${type} | ${labels.map((label) => `\`${label}\``).join(', ')} | ${help.replaceAll('|', '\\|')} |`,
  ),
].join('\n');

const exampleEnvironment = settings
  .map(({ name, fallback, description }) => {
    const value = machineDefaults[name] === undefined ? fallback : '';
    return `# ${description.replaceAll('`', '')}\n#${name}=${value}`;
  })
  .join('\n\n');

/** The part of a document between the two marks, and what belongs there. */
const parts = [
  [
    'Docs/CONFIGURATION.md',
    '<!-- settings: from src/config.ts -->',
    '<!-- end of settings -->',
    settingsTable,
  ],
  [
    'src/ops/METRICS.md',
    '<!-- metrics: from src/memory/metric-catalogue.ts -->',
    '<!-- end of metrics -->',
    metricsTable,
  ],
  ['.env.example', '# --- settings: from src/config.ts ---', '# --- end of settings ---', exampleEnvironment],
];

let stale = 0;
for (const [name, start, end, table] of parts) {
  const file = path.join(root, name);
  const text = readFileSync(file, 'utf8');
  const from = text.indexOf(start);
  const to = text.indexOf(end);
  if (from === -1 || to === -1) throw new Error(`${name} lacks the marks "${start}" and "${end}"`);
  const wanted = `${text.slice(0, from + start.length)}\n\n${table}\n\n${text.slice(to)}`;
  if (wanted === text) continue;
  stale += 1;
  if (process.argv.includes('--check')) console.error(`${name} is out of date: run "npm run docs"`);
  else writeFileSync(file, wanted);
}
if (process.argv.includes('--check') && stale > 0) process.exit(1);
