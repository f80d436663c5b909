import { dashboard, lines, row } from './panel.mjs';

const chosen = '{instance=~"$instance"}';
const rate = (metric) => `sum by (instance) (rate(${metric}${chosen}[$__rate_interval]))`;

export const redirectEngine = dashboard({
  uid: 'switchyard-redirects',
  title: 'Redirect engine',
  description: 'The hot path: the link caches, what a redirect costs, and the threads that serve it.',
  hasReplicas: true,
  panels: [
    row('Cache'),
    lines('Hit ratio', {
      unit: 'percentunit',
      description:
        'Share of redirects answered from memory. It falls after a start, with more links than the caches hold, and while the server can’t learn of changes.',
      min: 0,
      max: 1,
      queries: [['switchyard:cache_hits:ratio1m{instance=~"$instance"}', '{{instance}}']],
    }),
    lines('Misses', {
      unit: 'reqps',
      description: 'Codes a second looked up in PostgreSQL.',
      queries: [[rate('switchyard_cache_misses_total'), '{{instance}}']],
    }),
    lines('Unknown codes', {
      unit: 'reqps',
      description:
        'Requests a second for codes that the cache knows not to exist, mostly from scanners. They cost no query.',
      queries: [[rate('switchyard_cache_unknown_hits_total'), '{{instance}}']],
    }),
    lines('Cached links', {
      unit: 'short',
      description:
        'A link counts once for each gateway thread that has it; a gateway holds up to CACHE_MAX_LINKS.',
      min: 0,
      queries: [
        [`switchyard_cache_links${chosen}`, '{{instance}} links'],
        [`switchyard_cache_unknown${chosen}`, '{{instance}} unknown codes'],
      ],
    }),
    lines('Suspect links', {
      unit: 'reqps',
      description:
        'After a loss of the LISTEN connection, gateways read cached links again before use; while PostgreSQL is down they serve them as they are.',
      queries: [
        [rate('switchyard_cache_suspect_refreshes_total'), '{{instance}} read again'],
        [rate('switchyard_cache_stale_served_total'), '{{instance}} served as they were'],
      ],
    }),
    lines('Codes looked up at a time', {
      unit: 'short',
      description: 'Simultaneous misses share one query; the more at a time, the cheaper each.',
      min: 0,
      queries: [
        [
          `${rate('switchyard_resolved_codes_total')} / ${rate('switchyard_resolve_batches_total')}`,
          '{{instance}}',
        ],
      ],
    }),

    row('Cost'),
    lines('CPU of a redirect', {
      unit: 's',
      description: 'CPU time of the whole process divided by its redirects; accurate if it does little else.',
      logarithmic: true,
      queries: [
        [`${rate('process_cpu_seconds_total')} / switchyard:redirects:rate1m${chosen}`, '{{instance}}'],
      ],
    }),
    lines('Time of a redirect', {
      unit: 's',
      description: 'Quantiles by replica, measured inside the gateway.',
      thresholds: [[0.05, 'red']],
      logarithmic: true,
      queries: [
        [
          `histogram_quantile(0.5, sum by (le, instance) (rate(http_request_duration_seconds_bucket{route="/:short_code",status="302",instance=~"$instance"}[$__rate_interval])))`,
          '{{instance}} p50',
        ],
        [
          `histogram_quantile(0.99, sum by (le, instance) (rate(http_request_duration_seconds_bucket{route="/:short_code",status="302",instance=~"$instance"}[$__rate_interval])))`,
          '{{instance}} p99',
        ],
      ],
    }),
    lines('Calls that wait', {
      unit: 'short',
      description:
        'Calls and codes that wait for a worker’s answer. A gateway refuses calls beyond CALL_PENDING_MAX.',
      min: 0,
      queries: [[`switchyard_calls_pending${chosen}`, '{{instance}}']],
    }),
    lines('Request bodies in memory', {
      unit: 'bytes',
      description: 'JSON bodies being received; a gateway refuses bodies beyond BODY_TOTAL_BYTES.',
      min: 0,
      queries: [[`switchyard_request_body_bytes${chosen}`, '{{instance}}']],
    }),

    row('Threads'),
    lines('Event loop busy', {
      unit: 'percentunit',
      description: 'Share of the last second in which a thread’s event loop was not idle.',
      thresholds: [[0.9, 'red']],
      min: 0,
      max: 1,
      queries: [[`switchyard_event_loop_utilization${chosen}`, '{{instance}} {{thread}}']],
    }),
    lines('Event loop lag, p99', {
      unit: 's',
      description:
        'How late a thread’s timers were. EventLoopLag fires above 100 ms for gateways, call workers and the supervisor.',
      thresholds: [[0.1, 'red']],
      queries: [[`switchyard_event_loop_lag_p99_seconds${chosen}`, '{{instance}} {{thread}}']],
    }),
    lines('Event loop lag, longest', {
      unit: 's',
      description:
        'The longest single delay in a second: a garbage collection, a large body, a busy machine.',
      queries: [[`switchyard_event_loop_lag_max_seconds${chosen}`, '{{instance}} {{thread}}']],
    }),
    lines('Heap', {
      unit: 'bytes',
      description: 'JavaScript heap in use, by thread. A saw-tooth is healthy, a staircase is not.',
      stacked: true,
      min: 0,
      queries: [[`switchyard_heap_used_bytes${chosen}`, '{{instance}} {{thread}}']],
    }),
    lines('Threads missing', {
      unit: 'short',
      description: 'Threads that should be alive but are not, by kind: 0 except for moments.',
      thresholds: [[1, 'red']],
      min: 0,
      queries: [
        [`switchyard_threads_wanted${chosen} - switchyard_threads${chosen}`, '{{instance}} {{kind}}'],
      ],
    }),
    lines('Threads replaced', {
      unit: 'short',
      description: 'Threads that died and were replaced, since the start.',
      thresholds: [[1, 'red']],
      min: 0,
      queries: [[`switchyard_thread_restarts_total${chosen}`, '{{instance}} {{kind}}']],
    }),
  ],
});
