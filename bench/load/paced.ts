import { readFileSync } from 'node:fs';
import { Histogram } from '../measure/histogram.js';
import { HttpConnection, requestText } from './connection.js';
import type { PacedLoad } from './load.js';

/**
 * A generator with a fixed rate of arrivals, in its own process. Request `n` is due at `n / rate` seconds. It
 * goes out on a free connection as soon as it is due; if none is free it waits, and that wait counts. At a
 * high rate the loop never sleeps, and delays a request by microseconds at most; at a low one it sleeps
 * between requests, to leave the core to the server.
 */
const load = JSON.parse(process.argv[2] ?? '{}') as PacedLoad;
const requests = readFileSync(load.paths, 'utf8')
  .trimEnd()
  .split('\n')
  .map((path) => requestText(load, path));

/** Answers of the first moments are not counted: connections are new, code is not compiled. */
const WARM_UP_SECONDS = Math.min(1, load.seconds / 4);
/** How long the last answers may take. */
const GRACE_MS = 10_000;

/** Up to this many requests a second a timer, which is late by at most a millisecond, is exact enough. */
const LOW_RATE = 5000;
const isSparse = load.rate <= LOW_RATE;

const histogram = new Histogram();
let errors = 0;
let answered = 0;
let counted = 0;
const free: HttpConnection[] = [];

const connections = await Promise.all(
  Array.from({ length: load.connections }, () =>
    HttpConnection.open(load.port, {
      onAnswer: (connection, status) => {
        free.push(connection);
        answered += 1;
        if (status !== load.expected) errors += 1;
        if (connection.dueMs < countedFromMs) return;
        counted += 1;
        histogram.record((performance.now() - connection.dueMs) * 1000);
      },
      onBroken: () => {
        errors += 1;
        answered += 1;
      },
    }),
  ),
);
free.push(...connections);

const startMs = performance.now();
const countedFromMs = startMs + WARM_UP_SECONDS * 1000;
const total = Math.floor(load.rate * load.seconds);
const millisecondsEach = 1000 / load.rate;
let sent = 0;

function turn(): void {
  const now = performance.now();
  while (sent < total && free.length > 0) {
    const dueMs = startMs + sent * millisecondsEach;
    if (dueMs > now) break;
    const connection = free.pop();
    if (connection === undefined) break;
    connection.send(requests[((load.offset ?? 0) + sent) % requests.length] ?? '', dueMs);
    sent += 1;
  }
  const isLate = now > startMs + load.seconds * 1000 + GRACE_MS;
  if ((sent === total && answered >= total) || isLate || connections.every(({ isBroken }) => isBroken)) {
    finish();
    return;
  }
  const nextDueMs = startMs + sent * millisecondsEach - performance.now();
  if (isSparse && (sent === total || nextDueMs > 0)) setTimeout(turn, Math.max(1, Math.floor(nextDueMs)));
  else setImmediate(turn);
}

function finish(): void {
  // A due request without an answer is an error.
  errors += Math.max(0, total - answered);
  const seconds = (performance.now() - countedFromMs) / 1000;
  const latency = histogram.curve();
  console.log(`RESULT ${JSON.stringify({ requests: counted, answered, seconds, errors, latency })}`);
  process.exit(0);
}

turn();
