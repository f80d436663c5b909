import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import { Counters, latencyBuckets, type ScalarName, type Slot } from '../memory/counters.js';
import { Database, ServerState } from '../memory/server-state.js';

/** What the supervisor knows and no thread counts. */
export interface SupervisorFacts {
  readonly version: string;
  readonly poolMax: number;
  readonly state: ServerState;
  readonly counters: Counters;
  readonly ingest: () => { pendingBytes: number; pendingClicks: number; secondsBehind: number };
  readonly threads: () => {
    gateways: number;
    gatewaysWanted: number;
    workers: number;
    workersWanted: number;
  };
  readonly threadRestarts: () => { gateway: number; worker: number };
  /** Times that the LISTEN connection was lost. */
  readonly listenLosses: () => number;
}

interface Described {
  readonly name: string;
  readonly help: string;
  readonly type?: string;
  readonly labelNames?: readonly string[];
}

type Help = readonly [name: string, help: string];

/** Counters that are the sum of one scalar over all threads. */
const totals: readonly (readonly [scalar: ScalarName, ...metric: Help])[] = [
  ['redirectHits', 'switchyard_cache_hits_total', 'Redirects answered from a link cache'],
  ['redirectMisses', 'switchyard_cache_misses_total', 'Redirects whose code had to be looked up'],
  ['unknownHits', 'switchyard_cache_unknown_hits_total', 'Requests for a code that was known not to exist'],
  [
    'suspectRefreshes',
    'switchyard_cache_suspect_refreshes_total',
    'Suspect links that were read again before use',
  ],
  ['staleServed', 'switchyard_cache_stale_served_total', 'Suspect links served because PostgreSQL was away'],
  ['calls', 'switchyard_calls_total', 'Calls from gateways to workers, resolves of codes not included'],
  ['callsRefused', 'switchyard_calls_refused_total', 'Calls refused: PostgreSQL away, or too many waiting'],
  ['callDeadlines', 'switchyard_call_deadlines_total', 'Calls that got no answer before their deadline'],
  ['clicksJournalled', 'clicks_journalled_total', 'Clicks written to a journal'],
  ['clicksLost', 'clicks_lost_total', 'Clicks given up: journal full, disk refusing, or damage'],
  ['journalWrittenBytes', 'switchyard_journal_written_bytes_total', 'Bytes written to click journals'],
  ['journalWrites', 'switchyard_journal_writes_total', 'Writes to click journals'],
  [
    'journalWriteErrors',
    'switchyard_journal_write_errors_total',
    'Writes to click journals that the disk refused',
  ],
  ['journalSyncs', 'switchyard_journal_syncs_total', 'fdatasync calls on click journals'],
  ['ingestedClicks', 'clicks_ingested_total', 'Clicks taken into the database'],
  ['ingestDropped', 'clicks_dropped_total', 'Clicks dropped because their link was deleted'],
  [
    'ingestRejected',
    'clicks_rejected_total',
    'Clicks that PostgreSQL rejected, set aside beside the journal',
  ],
  ['ingestBatches', 'switchyard_ingest_batches_total', 'Ingest transactions committed'],
  [
    'ingestFailures',
    'switchyard_ingest_failures_total',
    'Ingest transactions that failed, to be tried again',
  ],
  ['ingestBytes', 'switchyard_ingest_bytes_total', 'Bytes of journal taken in'],
  ['ingestSeconds', 'switchyard_ingest_seconds_total', 'Time spent in ingest transactions'],
  ['sqlStatements', 'switchyard_pool_checkouts_total', 'Times that work was given a pooled connection'],
  ['sqlErrors', 'switchyard_pool_errors_total', 'Work on a pooled connection that failed'],
  ['sqlRetries', 'switchyard_pool_retries_total', 'Work run again after a deadlock or a broken connection'],
  ['resolveBatches', 'switchyard_resolve_batches_total', 'SELECTs that resolved codes'],
  ['resolvedCodes', 'switchyard_resolved_codes_total', 'Codes looked up in the database'],
  ['createBatches', 'switchyard_create_batches_total', 'INSERTs that created links'],
  ['createdLinks', 'switchyard_created_links_total', 'Links asked to be created'],
  ['importedRows', 'switchyard_import_rows_total', 'CSV rows imported'],
  ['importSkippedRows', 'switchyard_import_skipped_rows_total', 'CSV rows that an import skipped'],
  ['listedRows', 'switchyard_list_rows_total', 'Rows of streamed lists'],
  ['logLinesSuppressed', 'switchyard_log_lines_suppressed_total', 'Request log lines counted, not written'],
];

/** Gauges that are the sum of one scalar over the living threads. */
const sums: readonly (readonly [scalar: ScalarName, ...metric: Help])[] = [
  ['cachedLinks', 'switchyard_cache_links', 'Links in the caches, a link once for each gateway that has it'],
  ['cachedUnknown', 'switchyard_cache_unknown', 'Unknown codes in the caches'],
  ['pendingCalls', 'switchyard_calls_pending', 'Calls and codes that wait for an answer'],
  ['heldBodyBytes', 'switchyard_request_body_bytes', 'Request bodies held in memory'],
  ['journalBufferBytes', 'switchyard_journal_buffer_bytes', 'Clicks in memory because the disk refuses them'],
  ['journalSizeBytes', 'switchyard_journal_size_bytes', 'Size of the gateways’ journals on the disk'],
  ['transfersActive', 'switchyard_transfers_active', 'Imports and streamed lists under way'],
  ['poolSize', 'switchyard_pool_connections', 'Open pooled connections to PostgreSQL, LISTEN not included'],
  ['poolInUse', 'switchyard_pool_in_use', 'Pooled connections in use'],
  ['poolWaiting', 'switchyard_pool_waiting', 'Work that waits for a pooled connection'],
];

/** Gauges of each living thread, by `thread`. */
const perThread: readonly (readonly [scalar: ScalarName, ...metric: Help])[] = [
  [
    'eventLoopLagP99',
    'switchyard_event_loop_lag_p99_seconds',
    'Event-loop lag of the last second, 99th percentile',
  ],
  ['eventLoopLagMax', 'switchyard_event_loop_lag_max_seconds', 'Event-loop lag of the last second, longest'],
  [
    'eventLoopUtilization',
    'switchyard_event_loop_utilization',
    'Share of the last second the event loop was busy',
  ],
  ['heapUsedBytes', 'switchyard_heap_used_bytes', 'JavaScript heap in use'],
];

const httpHelp = {
  requests: ['http_requests_total', 'Requests answered, by method, route template and status'],
  duration: [
    'http_request_duration_seconds',
    'Time from a request to its answer, by method, route and status',
  ],
} as const satisfies Record<string, Help>;

/**
 * The server's metrics, for all threads together. Threads count in shared memory; this reads it when
 * it is asked. Route labels are templates, so the number of series is bounded.
 */
export class Metrics {
  readonly #registry = new Registry();
  readonly #facts: SupervisorFacts;

  constructor(facts: SupervisorFacts) {
    this.#facts = facts;
    collectDefaultMetrics({ register: this.#registry, eventLoopMonitoringPrecision: 1000 });
    // CPU, memory and descriptors are the process's, threads included. Lag, heap and handles would be
    // those of this thread only, and look like the server's: all threads publish their own below.
    for (const { name } of this.#registry.getMetricsAsArray()) {
      if (name.startsWith('nodejs_') && name !== 'nodejs_version_info')
        this.#registry.removeSingleMetric(name);
    }
    for (const [scalar, name, help] of totals)
      this.#addCounter(name, help, () => facts.counters.total(scalar));
    for (const [scalar, name, help] of sums) this.#addGauge(name, help, () => sumOf(this.#living(), scalar));
    for (const [scalar, name, help] of perThread) this.#addPerThread(scalar, name, help);
    this.#addHttp();
    this.#addFacts();
  }

  /** Every metric there is, for the documentation. */
  describe(): { name: string; type: string; labels: readonly string[]; help: string }[] {
    const types = ['counter', 'gauge', 'histogram', 'summary'];
    return this.#registry.getMetricsAsArray().map((metric) => {
      const { name, help, type, labelNames } = metric as unknown as Described;
      return { name, type: types.includes(String(type)) ? String(type) : '', labels: labelNames ?? [], help };
    });
  }

  /** Prometheus's text format. */
  text(): Promise<string> {
    return this.#registry.metrics();
  }

  #living(): Slot[] {
    return this.#facts.counters.slots().filter((slot) => slot.alive);
  }

  #addCounter(name: string, help: string, read: () => number): void {
    const counter: Counter = new Counter({
      name,
      help,
      registers: [this.#registry],
      collect: () => {
        counter.reset();
        counter.inc(read());
      },
    });
  }

  #addGauge(name: string, help: string, read: () => number): void {
    const gauge: Gauge = new Gauge({
      name,
      help,
      registers: [this.#registry],
      collect: () => gauge.set(read()),
    });
  }

  #addPerThread(scalar: ScalarName, name: string, help: string): void {
    const gauge: Gauge = new Gauge({
      name,
      help,
      labelNames: ['thread'],
      registers: [this.#registry],
      collect: () => {
        gauge.reset();
        for (const { kind, ordinal, counters } of this.#living()) {
          gauge.set({ thread: `${kind}-${ordinal}` }, counters.get(scalar));
        }
      },
    });
  }

  /** Two metrics from the same cells: prom-client has no way to set a histogram. */
  #addHttp(): void {
    const [name, help] = httpHelp.requests;
    const requests: Counter = new Counter({
      name,
      help,
      labelNames: ['method', 'route', 'status'],
      registers: [this.#registry],
      collect: () => {
        requests.reset();
        for (const { method, route, status, count } of this.#facts.counters.series()) {
          requests.inc({ method, route, status }, count);
        }
      },
    });
    const [durationName, durationHelp] = httpHelp.duration;
    this.#registry.registerMetric({
      name: durationName,
      help: durationHelp,
      type: 'histogram',
      labelNames: ['method', 'route', 'status'],
      get: () => Promise.resolve(this.#histogram(durationName, durationHelp)),
      reset: () => undefined,
    } as never);
  }

  #histogram(name: string, help: string): object {
    const values = this.#facts.counters.series().flatMap((series) => {
      const labels = { method: series.method, route: series.route, status: series.status };
      let cumulated = 0;
      const buckets = [...series.buckets].map((count, index) => {
        cumulated += count;
        const le = latencyBuckets[index] ?? '+Inf';
        return { metricName: `${name}_bucket`, labels: { le, ...labels }, value: cumulated };
      });
      return [
        ...buckets,
        { metricName: `${name}_sum`, labels, value: series.seconds },
        { metricName: `${name}_count`, labels, value: series.count },
      ];
    });
    return { name, help, type: 'histogram', values, aggregator: 'sum' };
  }

  #addFacts(): void {
    const { version, poolMax, state, ingest, threads, threadRestarts, listenLosses } = this.#facts;
    const info = new Gauge({
      name: 'switchyard_build_info',
      help: 'Always 1; what is running is in the labels',
      labelNames: ['version', 'node'],
      registers: [this.#registry],
    });
    info.set({ version, node: process.version }, 1);
    this.#addGauge('switchyard_database_up', 'Whether PostgreSQL can be reached', () =>
      state.database === Database.UP ? 1 : 0,
    );
    this.#addGauge('switchyard_cache_coherent', 'Whether changes by other servers are being heard', () =>
      state.coherent ? 1 : 0,
    );
    this.#addCounter('switchyard_listen_losses_total', 'Times the LISTEN connection was lost', listenLosses);
    this.#addGauge('switchyard_pool_connections_max', 'DATABASE_POOL_MAX', () => poolMax);
    this.#addGauge(
      'switchyard_journal_pending_bytes',
      'Bytes of journal not in the database yet',
      () => ingest().pendingBytes,
    );
    this.#addGauge(
      'clicks_pending',
      'Clicks of this server not in the database yet',
      () => ingest().pendingClicks,
    );
    this.#addGauge(
      'switchyard_ingest_behind_seconds',
      'Age of the oldest click not in the database',
      () => ingest().secondsBehind,
    );
    const counts = (
      name: string,
      help: string,
      read: () => readonly [gateway: number, worker: number],
    ): void => {
      const gauge: Gauge = new Gauge({
        name,
        help,
        labelNames: ['kind'],
        registers: [this.#registry],
        collect: () => {
          const [gateway, worker] = read();
          gauge.set({ kind: 'gateway' }, gateway);
          gauge.set({ kind: 'worker' }, worker);
        },
      });
    };
    counts('switchyard_threads', 'Threads that are alive', () => [threads().gateways, threads().workers]);
    counts('switchyard_threads_wanted', 'Threads that should be alive', () => [
      threads().gatewaysWanted,
      threads().workersWanted,
    ]);
    const restarts: Counter = new Counter({
      name: 'switchyard_thread_restarts_total',
      help: 'Threads that died and were replaced',
      labelNames: ['kind'],
      registers: [this.#registry],
      collect: () => {
        restarts.reset();
        restarts.inc({ kind: 'gateway' }, threadRestarts().gateway);
        restarts.inc({ kind: 'worker' }, threadRestarts().worker);
      },
    });
  }
}

function sumOf(slots: readonly Slot[], scalar: ScalarName): number {
  return slots.reduce((sum, { counters }) => sum + counters.get(scalar), 0);
}

/** Every metric of a server, for the documentation; nothing is measured. */
export function describeMetrics(): ReturnType<Metrics['describe']> {
  const metrics = new Metrics({
    version: '',
    poolMax: 0,
    state: new ServerState(),
    counters: new Counters(),
    ingest: () => ({ pendingBytes: 0, pendingClicks: 0, secondsBehind: 0 }),
    threads: () => ({ gateways: 0, gatewaysWanted: 0, workers: 0, workersWanted: 0 }),
    threadRestarts: () => ({ gateway: 0, worker: 0 }),
    listenLosses: () => 0,
  });
  return metrics.describe();
}
