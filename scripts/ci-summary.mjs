// Prints the last line of a CI run from the test runner's own report: "N passed, N failed".
import { readFileSync } from 'node:fs';

const report = JSON.parse(readFileSync(process.argv[2], 'utf8'));
// A file that can't be loaded has no tests, and one that leaves something open has none that failed.
const broken = report.testResults.filter(
  (file) => file.status === 'failed' && file.assertionResults.every(({ status }) => status !== 'failed'),
);
const failed = report.numFailedTests + broken.length;
if (report.numPendingTests > 0) console.log(`${report.numPendingTests} skipped`);
console.log(`${report.numPassedTests} passed, ${failed} failed`);
if (failed > 0) process.exitCode = 1;
