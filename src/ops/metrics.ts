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

/** However many requests come, the metrics are rendered no more often than this. */
const RENDER_EVERY_MS = 1000;

/**
 * The server's metrics, for all threads together. Threads count in shared memory; this reads it on request.
 * Route labels are templates, which bounds the number of series.
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
   * Prometheus's text format, with values from after the call: a request within a second of the last
   * rendering waits for the next one, together with all others.
   */
  text(): Promise<string> {
    this.#next ??= this.#render();
    return this.#next;
  }

  async #render(): Promise<string> {
    const waitMs = this.#renderedMs + RENDER_EVERY_MS - performance.now();
    // Even a wait of 0 lets the caller note this rendering first.
    await (waitMs > 0 ? sleep(waitMs, undefined, { ref: false }) : undefined);
    this.#next = undefined;
    this.#renderedMs = performance.now();
    return this.#registry.metrics();
  }
}

/** CPU, memory and descriptors of the process, threads included. */
function processRegistry(): Registry {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: 1000 });
  // Lag, heap and handles would be those of this thread only but look like the server's; all threads publish
  // their own.
  for (const { name } of registry.getMetricsAsArray()) {
    if (name.startsWith('nodejs_') && name !== 'nodejs_version_info') registry.removeSingleMetric(name);
  }
  return registry;
}

/** Looks like prom-client's own metrics to its registry, which can't set a histogram or a counter. */
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

/** Every metric of a server, for the documentation; measures nothing. */
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
