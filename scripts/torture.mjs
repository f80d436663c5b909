// `npm run torture [-- --seed N] [filter…]`: the tests of test/torture with many rounds, one after the
// other, and a table of what they counted. The seed is printed; the same seed makes the same choices.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const usage = 'usage: npm run torture [-- [--seed <n>] [--short] [filter…]]';
const { values, positionals } = parseOptions();
if (values.help) {
  console.log(usage);
  process.exit(0);
}

function parseOptions() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        seed: { type: 'string' },
        short: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    });
  } catch (error) {
    console.error(`${error.message}\n${usage}`);
    process.exit(2);
  }
}
const seed = values.seed ?? String(Math.floor(Math.random() * 2 ** 31));
const folder = mkdtempSync(path.join(tmpdir(), 'switchyard-torture-'));
const file = path.join(folder, 'accounts.ndjson');

const run = (args, environment = {}) =>
  spawnSync(process.execPath, args, { cwd: root, stdio: 'inherit', env: { ...process.env, ...environment } })
    .status ?? 1;

let status = run(['scripts/build.mjs', '--if-needed']);
if (status === 0) {
  const filters =
    positionals.length > 0 ? positionals.map((name) => `test/torture/${name}`) : ['test/torture'];
  status = run(['node_modules/vitest/vitest.mjs', 'run', '--no-file-parallelism', ...filters], {
    TORTURE: values.short ? 'short' : 'long',
    TORTURE_SEED: seed,
    TORTURE_REPORT: file,
  });
}

const rows = existsSync(file)
  ? readFileSync(file, 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
  : [];
rmSync(folder, { recursive: true });
const columns = ['run', 'faults', 'redirects', 'unknown', 'clicks', 'lost', 'twice'];
console.log(`\nseed ${seed}\n`);
console.log(`| ${columns.join(' | ')} |`);
console.log(`|---|${'---:|'.repeat(columns.length - 1)}`);
for (const row of rows) {
  console.log(
    `| ${columns.map((name) => (typeof row[name] === 'number' ? row[name].toLocaleString('en') : row[name])).join(' | ')} |`,
  );
}
process.exit(status);
