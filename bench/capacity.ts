import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import {
  type Assumptions,
  defaultAssumptions,
  linkStorage,
  planFor,
  saturations,
  type UnitCosts,
  unitCostNames,
} from './capacity-model.js';
import type { BenchResults } from './report/results.js';
import { figure, table } from './report/text.js';
import { root } from './root.js';

/**
 * From the bench's measurements to machines:
 *
 *     node dist/bench/capacity.js [results.json…] [--hitShare=0.98 …]
 *
 * Without files, all in bench/results; of each cost the newest measurement counts.
 */
const RATES = [1e3, 1e4, 1e5, 1e6, 1e7];
const LINKS = [1e6, 1e7, 1e8, 1e9];
/** Links that one gateway keeps, by default. */
const CACHED_LINKS = 500_000;

function resultFiles(args: readonly string[]): string[] {
  const given = args.filter((arg) => !arg.startsWith('--'));
  if (given.length > 0) return [...given];
  const folder = path.join(root, 'bench/results');
  return readdirSync(folder)
    .filter((name) => name.endsWith('.json'))
    .sort()
    .map((name) => path.join(folder, name));
}

/** The last measurement of each cost; the files come oldest first. */
function collect(files: readonly string[]): UnitCosts {
  const costs: Record<string, number> = {};
  for (const file of files) {
    const { scenarios } = JSON.parse(readFileSync(file, 'utf8')) as BenchResults;
    for (const { unitCosts } of scenarios) {
      for (const [name, value] of Object.entries(unitCosts)) if (Number.isFinite(value)) costs[name] = value;
    }
  }
  const missing = unitCostNames.filter((name) => costs[name] === undefined);
  if (missing.length > 0) {
    throw new Error(`not measured yet: ${missing.join(', ')}: run "npm run bench"`);
  }
  return costs as unknown as UnitCosts;
}

function assumptionsOf(args: readonly string[]): Assumptions {
  const changed: Record<string, number> = {};
  for (const arg of args) {
    const match = /^--(\w+)=([\d.e]+)$/i.exec(arg);
    if (match === null) {
      if (arg.startsWith('--')) throw new Error(`${arg} is not --name=number`);
      continue;
    }
    if (!((match[1] ?? '') in defaultAssumptions)) {
      throw new Error(
        `no such assumption: ${match[1]}; there are ${Object.keys(defaultAssumptions).join(', ')}`,
      );
    }
    changed[match[1] ?? ''] = Number(match[2]);
  }
  return { ...defaultAssumptions, ...changed };
}

const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];

function bytes(value: number): string {
  const power = Math.min(units.length - 1, Math.max(0, Math.floor(Math.log10(Math.max(1, value)) / 3)));
  return `${figure(value / 1000 ** power)} ${units[power]}`;
}

function main(): void {
  const args = process.argv.slice(2);
  const costs = collect(resultFiles(args));
  const assumptions = assumptionsOf(args);
  console.log('Measured\n');
  console.log(table([['cost', 'value'], ...unitCostNames.map((name) => [name, figure(costs[name])])]));
  console.log('\nAssumed\n');
  console.log(
    table([
      ['assumption', 'value'],
      ...Object.entries(assumptions).map(([name, value]) => [name, String(value)]),
    ]),
  );
  console.log('\nAt the peak\n');
  const plans = RATES.map((rate) => planFor(rate, costs, assumptions));
  console.log(
    table([
      [
        'redirects/s',
        'serving cores',
        'ingest cores',
        'servers',
        'database cores',
        'databases',
        'ingest connections',
        'journal/s',
        'WAL/s',
        'events/day',
        'events kept',
      ],
      ...plans.map((plan) => [
        plan.redirectsPerSecond.toLocaleString('en-US'),
        figure(plan.servingCores),
        figure(plan.ingestCores),
        String(plan.servers),
        figure(plan.databaseCores),
        String(plan.databases),
        String(plan.ingestConnections),
        bytes(plan.journalBytesPerSecond),
        bytes(plan.walBytesPerSecond),
        bytes(plan.eventBytesPerDay),
        bytes(plan.eventBytes),
      ]),
    ]),
  );
  console.log('\nLinks\n');
  console.log(
    table([
      ['links', 'in the database'],
      ...LINKS.map((links) => [
        links.toLocaleString('en-US'),
        bytes(linkStorage(links, 0, costs).databaseBytes),
      ]),
    ]),
  );
  const { cacheBytes } = linkStorage(0, CACHED_LINKS, costs);
  console.log(
    `\nA gateway that keeps ${CACHED_LINKS.toLocaleString('en-US')} links takes ${bytes(cacheBytes)} for them.`,
  );
  console.log('\nWhere it ends\n');
  console.log(
    table([
      ['part', 'redirects/s', 'what then'],
      ...saturations(costs, assumptions).map(({ part, redirectsPerSecond, remedy }) => [
        part,
        Math.round(redirectsPerSecond).toLocaleString('en-US'),
        remedy,
      ]),
    ]),
  );
}

try {
  main();
} catch (error) {
  console.error(`capacity: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}
