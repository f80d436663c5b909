import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { checkOut } from './checkout.js';
import { BenchPostgres, makeFolder } from './data/database.js';
import { bestGenerator } from './load/load.js';
import { describeMachine, describeRevision } from './machine.js';
import { type BenchOptions, parseOptions, usage } from './options.js';
import { summariseProfiles } from './profiles.js';
import { htmlReport } from './report/html.js';
import { markdownReport } from './report/markdown.js';
import { createProgress } from './report/progress.js';
import { type BenchResults, errorsIn, type ScenarioResult } from './report/results.js';
import { describeScenario } from './report/text.js';
import { root } from './root.js';
import type { Bench, Scenario, Subject } from './scenario.js';
import { scenarios } from './scenarios/index.js';

const ROUNDS = 5;
const SECONDS = 4;
const QUICK_ROUNDS = 2;
const QUICK_SECONDS = 2;

const resultsFolder = path.join(root, 'bench/results');

function chosen({ scenarios: names, compareWith }: BenchOptions): Scenario[] {
  const usable = compareWith === undefined ? scenarios : scenarios.filter(({ isComparable }) => isComparable);
  const unknown = names.find((name) => !usable.some((scenario) => scenario.name === name));
  if (unknown !== undefined) {
    throw new Error(`no such scenario: ${unknown}; there are ${usable.map(({ name }) => name).join(', ')}`);
  }
  return usable.filter(({ name, isOnRequest }) =>
    names.length === 0 ? isOnRequest !== true : names.includes(name),
  );
}

async function runAll(
  options: BenchOptions,
  wanted: readonly Scenario[],
  stamp: string,
): Promise<BenchResults> {
  const folder = makeFolder('run');
  const base = options.compareWith === undefined ? undefined : checkOut(options.compareWith);
  const subjects: Subject[] =
    base === undefined ? [{ name: 'switchyard', root }] : [base.subject, { name: 'work tree', root }];
  const postgres = await BenchPostgres.start();
  try {
    const bench: Bench = {
      isQuick: options.isQuick,
      rounds: options.rounds ?? (options.isQuick ? QUICK_ROUNDS : ROUNDS),
      seconds: options.seconds ?? (options.isQuick ? QUICK_SECONDS : SECONDS),
      generator: options.generator ?? bestGenerator(),
      clicks: options.clicks,
      folder,
      postgres,
      subjects,
      profiles: undefined,
      progress: createProgress(),
    };
    const results: ScenarioResult[] = [];
    for (const scenario of wanted) {
      const profiles = options.hasProfiles
        ? path.join(resultsFolder, `${stamp}-profiles`, scenario.name)
        : undefined;
      try {
        results.push(await scenario.run({ ...bench, profiles }));
      } finally {
        bench.progress.end();
      }
      const result = results.at(-1);
      if (result !== undefined) console.log(describeScenario(result));
      if (profiles !== undefined) console.log(summariseProfiles(profiles));
    }
    return {
      started: stamp,
      revision: describeRevision(),
      commandLine: ['npm run bench --', ...process.argv.slice(2)].join(' '),
      isQuick: options.isQuick,
      rounds: bench.rounds,
      generator: bench.generator,
      machine: await describeMachine(postgres),
      scenarios: results,
    };
  } finally {
    await postgres.stop();
    base?.remove();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function main(): Promise<void> {
  const options = parseOptions(process.argv.slice(2));
  if (options.isHelp || options.isList) {
    console.log(options.isHelp ? usage : scenarios.map(({ name, title }) => `${name}: ${title}`).join('\n'));
    return;
  }
  const wanted = chosen(options);
  const stamp = new Date().toISOString().slice(0, 19).replaceAll(':', '-');
  mkdirSync(resultsFolder, { recursive: true });
  const results = await runAll(options, wanted, stamp);
  const file = path.join(resultsFolder, stamp);
  writeFileSync(`${file}.json`, `${JSON.stringify(results, undefined, 1)}\n`);
  writeFileSync(`${file}.html`, htmlReport(results));
  writeFileSync(`${file}.md`, `${markdownReport(results)}\n`);
  const relative = path.relative(process.cwd(), file);
  console.log(`\n${relative}.json\n${relative}.html\n${relative}.md`);
  if (results.scenarios.some((scenario) => errorsIn(scenario) > 0)) process.exitCode = 1;
}

main().catch((error: unknown) => {
  console.error(`bench: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
  process.exit(1);
});
