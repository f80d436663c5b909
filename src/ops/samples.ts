import type { HttpSeries } from '../api/http-series.js';
import { type Counters, latencyBuckets, type Slot } from '../memory/counters.js';
import {
  httpMetrics,
  type Metric,
  type ServerMetricName,
  serverMetrics,
  type ThreadMetricName,
  threadMetrics,
} from '../memory/metric-catalogue.js';

/** One line of the text format; `metricName` where it is not the metric's own, as a bucket's. */
export interface Sample {
  readonly metricName?: string;
  readonly labels: Readonly<Record<string, string | number>>;
  readonly value: number;
}

/** How the supervisor reads each metric that no thread counts. */
export type ServerReadings = Readonly<Record<ServerMetricName, () => number | readonly Sample[]>>;

/** A metric and how to read its samples on request. */
export interface Reading {
  readonly metric: Metric;
  readonly read: () => readonly Sample[];
}

/**
 * A counter is the sum over all threads that ever ran, a gauge over the living; `thread` distinguishes them.
 */
export function threadReadings(counters: Counters): Reading[] {
  const living = (): Slot[] => counters.slots().filter((slot) => slot.alive);
  return (Object.keys(threadMetrics) as ThreadMetricName[]).map((key) => {
    const metric: Metric = threadMetrics[key];
    const readSlot = (slot: Slot): number => slot.counters.get(key);
    const sumOf = (slots: readonly Slot[]): Sample[] => [
      { labels: {}, value: slots.reduce((sum, slot) => sum + readSlot(slot), 0) },
    ];
    if (metric.kind === 'counter') return { metric, read: () => sumOf(counters.slots()) };
    if (!metric.labels.includes('thread')) return { metric, read: () => sumOf(living()) };
    return {
      metric,
      read: () =>
        living().map((slot) => ({
          labels: { thread: `${slot.kind}-${slot.ordinal}` },
          value: readSlot(slot),
        })),
    };
  });
}

export function serverReadings(readings: ServerReadings): Reading[] {
  return (Object.keys(serverMetrics) as ServerMetricName[]).map((key) => ({
    metric: serverMetrics[key],
    read: () => {
      const value = readings[key]();
      return typeof value === 'number' ? [{ labels: {}, value }] : value;
    },
  }));
}

/** Two metrics from the same cells. */
export function httpReadings(counters: Counters, series: HttpSeries<string, number>): Reading[] {
  const { name } = httpMetrics.duration;
  return [
    {
      metric: httpMetrics.requests,
      read: () =>
        counters.series().map(({ index, count }) => ({ labels: series.labelsOf(index), value: count })),
    },
    {
      metric: httpMetrics.duration,
      read: () =>
        counters.series().flatMap(({ index, buckets, count, seconds }) => {
          const labels = series.labelsOf(index);
          let cumulated = 0;
          const bucketSamples = [...buckets].map((requests, bucket) => {
            cumulated += requests;
            const le = latencyBuckets[bucket] ?? '+Inf';
            return { metricName: `${name}_bucket`, labels: { le, ...labels }, value: cumulated };
          });
          return [
            ...bucketSamples,
            { metricName: `${name}_sum`, labels, value: seconds },
            { metricName: `${name}_count`, labels, value: count },
          ];
        }),
    },
  ];
}

/** One sample for each kind of thread. */
export function byThreadKind(gateway: number, worker: number): readonly Sample[] {
  return [
    { labels: { kind: 'gateway' }, value: gateway },
    { labels: { kind: 'worker' }, value: worker },
  ];
}
