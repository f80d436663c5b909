import { createServer, type Server } from 'node:http';
import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import type { ThreadCounters } from '../memory/counters.js';
import { type Metric, type ThreadMetricName, threadMetrics } from '../memory/metric-catalogue.js';
import type { ConsumeFigures } from './figures.js';

/** Of a server's metrics, those that a consumer has too, under the same names: the same alerts hold. */
const shared = [
  'ingestedClicks',
  'ingestDropped',
  'ingestRejected',
  'ingestBatches',
  'ingestFailures',
  'ingestSeconds',
  'ingestStopped',
  'poolCheckouts',
  'poolErrors',
  'poolRetries',
] as const satisfies readonly ThreadMetricName[];

const own: Readonly<
  Record<string, { kind: 'counter' | 'gauge'; help: string; read: (figures: ConsumeFigures) => number }>
> = {
  switchyard_consume_partitions: {
    kind: 'gauge',
    help: 'Partitions of the topic that this consumer has',
    read: ({ lag }) => lag.size,
  },
  switchyard_consume_lag_records: {
    kind: 'gauge',
    help: 'Committed records in these partitions that are not in the database yet, at the last look',
    read: ({ lagRecords }) => lagRecords,
  },
  switchyard_consume_foreign_total: {
    kind: 'counter',
    help: 'Clicks of other databases, left out',
    read: ({ foreign }) => foreign,
  },
  switchyard_consume_unreadable_total: {
    kind: 'counter',
    help: 'Records that could not be read, set aside',
    read: ({ unreadable }) => unreadable,
  },
  switchyard_consume_skipped_total: {
    kind: 'counter',
    help: 'Offsets that Kafka no longer had, skipped with --accept-topic: at most as many clicks are lost',
    read: ({ skipped }) => skipped,
  },
  switchyard_consume_rewinds_total: {
    kind: 'counter',
    help: 'Times the database had less of a partition than before: a failover, or a restored backup',
    read: ({ rewinds }) => rewinds,
  },
};

function consumeRegistry(counters: ThreadCounters, figures: ConsumeFigures): Registry {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const publish = (name: string, kind: string, help: string, read: () => number): void => {
    const registers = [registry];
    if (kind === 'gauge') {
      new Gauge({
        name,
        help,
        registers,
        collect() {
          this.set(read());
        },
      });
      return;
    }
    new Counter({
      name,
      help,
      registers,
      collect() {
        this.reset();
        this.inc(read());
      },
    });
  };
  for (const key of shared) {
    const { name, kind, help } = threadMetrics[key];
    publish(name, kind, help, () => counters.get(key));
  }
  for (const [name, { kind, help, read }] of Object.entries(own))
    publish(name, kind, help, () => read(figures));
  return registry;
}

/** Every metric of a consumer but those of the process, for the documentation. */
export function describeConsumeMetrics(): Pick<Metric, 'name' | 'kind' | 'help'>[] {
  return [
    ...shared.map((key) => threadMetrics[key]),
    ...Object.entries(own).map(([name, { kind, help }]) => ({ name, kind, help })),
  ];
}

/** Serves `/metrics` and `/health`. @throws when the port is taken. */
export async function serveMetrics(
  host: string,
  port: number,
  counters: ThreadCounters,
  figures: ConsumeFigures,
): Promise<Server> {
  const registry = consumeRegistry(counters, figures);
  const server = createServer((request, response) => {
    const answer = (status: number, type: string, body: string): void => {
      response.writeHead(status, { 'Content-Type': type }).end(body);
    };
    if (request.url === '/health') return answer(200, 'application/json', '{"status":"ok"}');
    if (request.url !== '/metrics') return answer(404, 'application/json', '{"error":"Not found"}');
    registry.metrics().then(
      (text) => answer(200, registry.contentType, text),
      (error: unknown) => answer(500, 'application/json', JSON.stringify({ error: String(error) })),
    );
  });
  server.headersTimeout = 5000;
  server.requestTimeout = 5000;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, resolve);
  });
  return server;
}
