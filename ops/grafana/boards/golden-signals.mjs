import { dashboard, lines, number, row } from './panel.mjs';

export const goldenSignals = dashboard({
  uid: 'switchyard-golden',
  title: 'Golden signals',
  description: 'Latency, traffic, errors and saturation of the whole service. Open this one first.',
  panels: [
    number('Replicas', {
      unit: 'short',
      description: 'Servers whose metrics Prometheus could read at the last try.',
      thresholds: [
        [0, 'red'],
        [1, 'green'],
      ],
      queries: [['switchyard:replicas:count', '']],
    }),
    number('Alerts firing', {
      unit: 'short',
      description:
        'Alerts that fire now. Alertmanager has their names, and every panel shows them in red along its time axis.',
      thresholds: [[1, 'red']],
      queries: [['count(ALERTS{alertstate="firing"}) or vector(0)', '']],
    }),
    number('Requests', {
      unit: 'reqps',
      description: 'Answers a second, without health checks and scrapes.',
      queries: [['sum(switchyard:requests:rate1m)', '']],
    }),
    number('Errors', {
      unit: 'percentunit',
      description: 'Share of answers that were 5xx, over a minute. HighErrorRate fires above 10 %.',
      thresholds: [
        [0.01, 'orange'],
        [0.1, 'red'],
      ],
      queries: [['switchyard:errors:ratio1m', '']],
    }),
    number('Redirect p99', {
      unit: 's',
      description: '99 of 100 redirects were faster, measured inside the gateway, hits and misses together.',
      thresholds: [
        [0.01, 'orange'],
        [0.05, 'red'],
      ],
      queries: [['switchyard:redirect_seconds:p99_1m', '']],
    }),
    number('Busiest gateway', {
      unit: 'percentunit',
      description:
        'Share of time in which the busiest gateway thread was not idle. HighCPU fires above 90 %.',
      thresholds: [
        [0.7, 'orange'],
        [0.9, 'red'],
      ],
      queries: [['max(switchyard:gateway_busy:max30s)', '']],
    }),

    row('Latency'),
    lines('Redirects', {
      unit: 's',
      description:
        'Time from a request to its answer inside the gateway. A hit takes microseconds and counts as the mean of its event-loop turn; the tail is misses, which wait for PostgreSQL.',
      thresholds: [[0.05, 'red']],
      logarithmic: true,
      queries: [
        ['switchyard:redirect_seconds:p50_1m', 'p50'],
        ['switchyard:redirect_seconds:p99_1m', 'p99'],
      ],
    }),
    lines('API calls, p95 by route', {
      unit: 's',
      description:
        'All routes but redirects, health and metrics. Imports and whole lists take time in proportion to their size.',
      thresholds: [[1, 'red']],
      queries: [
        [
          'histogram_quantile(0.95, sum by (le, route) (rate(http_request_duration_seconds_bucket{route!~"/:short_code|/health|/metrics"}[$__rate_interval])))',
          '{{route}}',
        ],
      ],
    }),
    lines('Mean of all requests', {
      unit: 's',
      description: 'Without imports. HighLatency fires above 1 s.',
      thresholds: [[1, 'red']],
      queries: [['switchyard:request_seconds:mean1m', 'mean']],
    }),
    lines('Slow requests', {
      unit: 'reqps',
      description: 'Answers a second that took longer than half a second, by route.',
      queries: [
        [
          'sum by (route) (rate(http_request_duration_seconds_count[$__rate_interval])) - sum by (route) (rate(http_request_duration_seconds_bucket{le="0.5"}[$__rate_interval]))',
          '{{route}}',
        ],
      ],
    }),

    row('Traffic'),
    lines('Requests by route', {
      unit: 'reqps',
      description: 'Answers a second by route template.',
      stacked: true,
      queries: [['sum by (route) (switchyard:requests:rate1m)', '{{route}}']],
    }),
    lines('Redirects by replica', {
      unit: 'reqps',
      description:
        'Redirects answered a second. Replicas behind the same proxy should be about even, unless the proxy hashes links to them.',
      queries: [['switchyard:redirects:rate1m', '{{instance}}']],
    }),
    lines('Through Nginx', {
      unit: 'reqps',
      description:
        'Requests a second that reached Nginx; those beyond the gateways’ answers were refused or failed there.',
      queries: [
        ['sum(rate(nginx_http_requests_total[$__rate_interval]))', 'nginx'],
        ['sum(rate(http_requests_total{route!~"/health|/metrics"}[$__rate_interval]))', 'gateways'],
      ],
    }),
    lines('Connections at Nginx', {
      unit: 'short',
      description: 'Open client connections, and how many of them are idle.',
      queries: [
        ['nginx_connections_active', 'open'],
        ['nginx_connections_waiting', 'idle'],
      ],
    }),

    row('Errors'),
    lines('Share of errors', {
      unit: 'percentunit',
      description: 'Share of answers that were 5xx.',
      thresholds: [[0.1, 'red']],
      min: 0,
      queries: [['switchyard:errors:ratio1m', '5xx']],
    }),
    lines('5xx by route', {
      unit: 'reqps',
      description:
        '503: the database is down, or too many calls wait. 500: a fault of the server; the log has it.',
      stacked: true,
      queries: [
        ['sum by (route, status) (switchyard:requests:rate1m{status=~"5.."})', '{{status}} {{route}}'],
      ],
    }),
    lines('4xx by route', {
      unit: 'reqps',
      description: 'Errors of clients. A flood of 404 on /:short_code is somebody guessing codes.',
      stacked: true,
      queries: [
        ['sum by (route, status) (switchyard:requests:rate1m{status=~"4.."})', '{{status}} {{route}}'],
      ],
    }),
    lines('Refused and given up', {
      unit: 'ops',
      description:
        'Calls refused because PostgreSQL was down or too many waited, and calls that got no answer in time. Both are 503.',
      queries: [
        ['sum(rate(switchyard_calls_refused_total[$__rate_interval]))', 'refused'],
        ['sum(rate(switchyard_call_deadlines_total[$__rate_interval]))', 'deadline passed'],
      ],
    }),

    row('Saturation'),
    lines('Busiest gateway thread', {
      unit: 'percentunit',
      description: 'A gateway is one thread; at 100 % it can’t answer more, however many cores are free.',
      thresholds: [[0.9, 'red']],
      min: 0,
      max: 1,
      queries: [['switchyard:gateway_busy:max30s', '{{instance}}']],
    }),
    lines('CPU of the cores it is designed for', {
      unit: 'percentunit',
      description:
        'CPU of the process, as a share of one core for each gateway thread and one for all other threads.',
      thresholds: [[0.9, 'red']],
      min: 0,
      queries: [['switchyard:cpu:ratio30s', '{{instance}}']],
    }),
    lines('Memory', {
      unit: 'bytes',
      description:
        'Resident memory. The kernel ends the container at its limit, 2 GiB unless APP_MEMORY says otherwise.',
      thresholds: [[1.8e9, 'red']],
      min: 0,
      queries: [['process_resident_memory_bytes{job="switchyard"}', '{{instance}}']],
    }),
    lines('Open files and sockets', {
      unit: 'short',
      description: 'File descriptors in use, most of them connections.',
      min: 0,
      queries: [['process_open_fds{job="switchyard"}', '{{instance}}']],
    }),
  ],
});
