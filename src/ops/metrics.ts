import { setTimeout as sleep } from 'node:timers/promises';
import { collectDefaultMetrics, Registry } from 'prom-client';
import { httpSeries } from '../api/http-series.js';
import type { Counters } from '../memory/counters.js';
import { httpMetrics, type Metric, serverMetrics, threadMetrics } from '../memory/metric-catalogue.js';
import {
  httpReadings,
  type Reading,
  type ServerReadings,
  serverReadings,
  threadReadings,
} from './samples.js';

/** However many ask, the metrics are rendered no more often than this. */
const RENDER_EVERY_MS = 1000;

/**
 * The server's metrics, for all threads together. Threads count in shared memory; this reads it when
 * it is asked. Route labels are templates, so the number of series is bounded.
 */
export class Metrics {
  readonly #registry: Registry;
  #renderedMs = Number.NEGATIVE_INFINITY;
  #next: Promise<string> | undefined;

  constructor(counters: Counters, readings: ServerReadings) {
    this.#registry = processRegistry();
    for (const reading of [
      ...threadReadings(counters),
      ...httpReadings(counters, httpSeries),
      ...serverReadings(readings),
    ]) {
      publish(this.#registry, reading);
    }
  }

  /**
   * Prometheus's text format, as things stand after the call: whoever asks within a second of the last
   * rendering waits for the next one, together with all others.
   */
  text(): Promise<string> {
    this.#next ??= this.#render();
    return this.#next;
  }

  async #render(): Promise<string> {
    const waitMs = this.#renderedMs + RENDER_EVERY_MS - performance.now();
    // Also a wait of nothing lets the caller note this rendering first.
    await (waitMs > 0 ? sleep(waitMs, undefined, { ref: false }) : undefined);
    this.#next = undefined;
    this.#renderedMs = performance.now();
    return this.#registry.metrics();
  }
}

/** CPU, memory and descriptors: they are the process's, threads included. */
function processRegistry(): Registry {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: 1000 });
  // Lag, heap and handles would be those of this thread only and look like the server's; all threads
  // publish their own.
  for (const { name } of registry.getMetricsAsArray()) {
    if (name.startsWith('nodejs_') && name !== 'nodejs_version_info') registry.removeSingleMetric(name);
  }
  return registry;
}

/** As prom-client's own metrics look to its registry: it has no way to set a histogram or a counter. */
function publish(registry: Registry, { metric, read }: Reading): void {
  for (const { name, help, labels } of publishedAs(metric)) {
    registry.registerMetric({
      name,
      help,
      type: metric.kind,
      labelNames: labels,
      get: () => Promise.resolve({ name, help, type: metric.kind, values: read(), aggregator: 'sum' }),
      reset: () => undefined,
    } as never);
  }
}

function publishedAs(metric: Metric): Metric[] {
  const { alias } = metric;
  if (alias === undefined) return [metric];
  return [metric, { ...metric, name: alias, help: `Former name of ${metric.name}, for one release` }];
}

export interface DescribedMetric {
  readonly name: string;
  readonly type: string;
  readonly labels: readonly string[];
  readonly help: string;
}

/** Every metric of a server, for the documentation; nothing is measured. */
export function describeMetrics(): DescribedMetric[] {
  const ofProcess = processRegistry()
    .getMetricsAsArray()
    .map((metric) => metric as unknown as Omit<DescribedMetric, 'labels'> & { labelNames: string[] })
    .map(({ name, help, type, labelNames }) => ({ name, type, labels: labelNames, help }));
  const own = [threadMetrics, httpMetrics, serverMetrics].flatMap((part): Metric[] => Object.values(part));
  return [
    ...ofProcess,
    ...own.flatMap(publishedAs).map(({ name, kind, labels, help }) => ({ name, type: kind, labels, help })),
  ];
}
