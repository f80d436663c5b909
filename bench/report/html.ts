import type { BenchResults } from './results.js';

export function htmlReport(results: BenchResults): string {
  return `<!doctype html><pre>${JSON.stringify(results)}</pre>`;
}
