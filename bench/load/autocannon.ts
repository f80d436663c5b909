import { readFileSync } from 'node:fs';
import autocannon from 'autocannon';
import { curvePercentiles, Histogram } from '../measure/histogram.js';
import type { Load } from './load.js';

/** autocannon in a process of its own, told what to do by its argument. */
const load = JSON.parse(process.argv[2] ?? '{}') as Load;
const paths = readFileSync(load.paths, 'utf8').trimEnd().split('\n');

/** Each connection walks a stretch of the file of its own. */
const STRETCH = 4096;
let nextStretch = load.offset ?? 0;
const histogram = new Histogram();
let wrong = 0;

const run = autocannon(
  {
    url: `http://127.0.0.1:${load.port}`,
    connections: load.connections,
    duration: load.seconds,
    pipelining: load.pipelining ?? 1,
    setupClient: (client) => {
      const start = nextStretch;
      nextStretch += STRETCH;
      const requests = Array.from({ length: Math.min(STRETCH, paths.length) }, (_, index) => ({
        method: load.method ?? 'GET',
        ...requestOf(paths[(start + index) % paths.length] ?? '/'),
      }));
      client.setRequests(requests as never);
    },
  },
  (error, result) => {
    if (error !== null && error !== undefined) throw error;
    tell(result);
  },
);
// The library's own histogram knows whole milliseconds only.
run.on('response', (_client: unknown, status: number, _bytes: number, milliseconds: number) => {
  histogram.record(milliseconds * 1000);
  if (status !== load.expected) wrong += 1;
});

function requestOf(line: string): { path: string; headers: Record<string, string>; body?: string } {
  const [path = '/', ...lines] = line.split('\t');
  const headers = Object.fromEntries(lines.map((header) => header.split(': ', 2)));
  if (load.body === undefined) return { path, headers };
  return { path, headers: { ...headers, 'content-type': 'application/json' }, body: load.body };
}

function tell(result: autocannon.Result): void {
  const latency = curvePercentiles.map((share) => [share, histogram.percentile(share) / 1000]);
  const errors = result.errors + result.timeouts + wrong;
  const { total } = result.requests;
  const told = { requests: total, answered: total, seconds: result.duration, errors, latency };
  console.log(`RESULT ${JSON.stringify(told)}`);
}
