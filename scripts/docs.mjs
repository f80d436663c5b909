// Writes what comes from the code into the documents and configurations that hold it; with --check it only
// says which of them are out of date. Needs dist/.
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const { describeSettings } = await import('../dist/src/config.js');
const { allowedMethods, reservedWords, routes } = await import('../dist/src/api/registry.js');
const { describeMetrics } = await import('../dist/src/ops/metrics.js');
const { describeConsumeMetrics } = await import('../dist/src/consume/consume-metrics.js');
const { describeClickRecord } = await import('../dist/src/stream/record.js');

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

const consumeMetricsTable = [
  '| metric | type | meaning |',
  '|---|---|---|',
  ...describeConsumeMetrics().map(({ name, kind, help }) => `| \`${name}\` | ${kind} | ${help} |`),
].join('\n');

const recordTable = [
  '| field | type | meaning |',
  '|---|---|---|',
  ...describeClickRecord().map(({ field, type, meaning }) => `| \`${field}\` | ${type} | ${meaning} |`),
].join('\n');

const exampleEnvironment = settings
  .map(({ name, fallback, description }) => {
    const value = machineDefaults[name] === undefined ? fallback : '';
    return `# ${description.replaceAll('`', '')}\n#${name}=${value}`;
  })
  .join('\n\n');

/** Paths in the order of the registry, each with its methods and what they do. */
const routesTable = [
  '| call | what it does |',
  '|---|---|',
  ...[...new Set(routes.map(({ path }) => path))].flatMap((path) =>
    routes
      .filter((route) => route.path === path)
      .map(({ method, summary }) => {
        const methods =
          method === 'GET' && allowedMethods(path).includes('HEAD') ? '`GET`, `HEAD`' : `\`${method}\``;
        return `| ${methods} \`${path.replaceAll(/:(\w+)/g, '<$1>')}\` | ${summary.replaceAll('|', '\\|')} |`;
      }),
  ),
].join('\n');

/** Settings that the compose file does not give the server a value of its own for. */
const composeText = readFileSync(path.join(root, 'docker-compose.yml'), 'utf8');
const composeMarks = ['# --- passed on: from src/config.ts ---', '      # --- end of passed on ---'];
const composeOwn = composeText
  .slice(composeText.indexOf('\n  app:\n'))
  .replace(new RegExp(`${composeMarks[0]}.*${composeMarks[1]}`, 's'), '');
const passedOn = settings
  .filter(({ name }) => !new RegExp(`^      ${name}:`, 'm').test(composeOwn))
  .map(({ name }) => `      ${name}:`)
  .join('\n');

/**
 * Redirects: /<code>, /urls/<code>/redirect, and what the gateway forgives: a slash, closing punctuation,
 * "+". Files such as /robots.txt have a dot and match nothing here.
 */
const codeLocation = [
  `location ~ "^/(?!(?:${reservedWords.filter((word) => !word.includes('.')).join('|')})/?$)[A-Za-z0-9_-]{1,255}(?:\\+|[.,;:!?)\\]}>'\\"]*/?)$" {`,
  '    include conf.d/redirect.inc;',
  '}',
].join('\n');

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
  [
    'src/ops/METRICS.md',
    '<!-- metrics of a consumer: from src/consume/consume-metrics.ts -->',
    '<!-- end of metrics of a consumer -->',
    consumeMetricsTable,
  ],
  [
    'Docs/CLICK_STREAM.md',
    '<!-- record: from src/stream/record.ts -->',
    '<!-- end of record -->',
    recordTable,
  ],
  ['README.md', '<!-- routes: from src/api -->', '<!-- end of routes -->', routesTable],
  ['docker-compose.yml', ...composeMarks, passedOn],
  [
    'ops/nginx/templates/routes.inc.template',
    '# --- codes: from src/api ---',
    '# --- end of codes ---',
    codeLocation,
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
