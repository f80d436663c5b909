import { parseArgs } from 'node:util';
import { type Generator, generators } from './load/load.js';

export interface BenchOptions {
  /** Names of scenarios; empty for all. */
  readonly scenarios: readonly string[];
  /** A revision to compare the work tree with. */
  readonly compareWith: string | undefined;
  readonly isQuick: boolean;
  readonly rounds: number | undefined;
  readonly seconds: number | undefined;
  readonly generator: Generator | undefined;
  readonly hasProfiles: boolean;
  /** Clicks of the scenario stats. */
  readonly clicks: number | undefined;
  readonly isList: boolean;
  readonly isHelp: boolean;
}

export const usage = `npm run bench -- [scenario…] [options]
npm run bench -- compare <revision> [scenario…] [options]

  --quick                  two rounds of short turns: for a look, not for a verdict
  --rounds <n>             rounds (5; at least 5 for a verdict that counts)
  --seconds <n>            length of a timed turn (4)
  --generator wrk|autocannon
  --clicks <n>             clicks of the scenario stats, which runs only when it is named
                           (100000000 on a hundredth as many links; 200000 with --quick)
  --profile                a CPU profile of every thread of the servers measured
  --list                   the scenarios

Results go to bench/results/: JSON, one HTML page with the plots, and the tables in Markdown.`;

/** @throws with a line for the user. */
export function parseOptions(args: readonly string[]): BenchOptions {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      quick: { type: 'boolean', default: false },
      rounds: { type: 'string' },
      seconds: { type: 'string' },
      generator: { type: 'string' },
      clicks: { type: 'string' },
      profile: { type: 'boolean', default: false },
      list: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  const isComparison = positionals[0] === 'compare';
  if (isComparison && positionals[1] === undefined) throw new Error('compare needs a revision');
  return {
    scenarios: isComparison ? positionals.slice(2) : positionals,
    compareWith: isComparison ? positionals[1] : undefined,
    isQuick: values.quick,
    rounds: positive('--rounds', values.rounds),
    seconds: positive('--seconds', values.seconds),
    generator: generatorOf(values.generator),
    hasProfiles: values.profile,
    clicks: positive('--clicks', values.clicks),
    isList: values.list,
    isHelp: values.help,
  };
}

function positive(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (Number.isInteger(value) && value >= 1) return value;
  throw new Error(`${name} must be a positive integer, not "${text}"`);
}

function generatorOf(name: string | undefined): Generator | undefined {
  if (name === undefined) return undefined;
  const known = generators.find((candidate) => candidate === name);
  if (known === undefined) throw new Error(`--generator must be ${generators.join(' or ')}, not "${name}"`);
  return known;
}
