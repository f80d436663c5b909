import { parseOptions, usage } from './simulate/options.js';
import { describeResult } from './simulate/report.js';
import { simulate } from './simulate/simulation.js';

try {
  const { options, isJson, isHelp } = parseOptions(process.argv.slice(2));
  if (isHelp) {
    console.log(usage);
  } else {
    const result = simulate(options);
    console.log(isJson ? JSON.stringify(result, undefined, 1) : describeResult(result));
  }
} catch (error) {
  console.error(`simulate: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}
