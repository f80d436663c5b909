import { dashboard, lines, number, row } from './panel.mjs';

const chosen = '{instance=~"$instance"}';
const rate = (metric) => `sum by (instance) (rate(${metric}${chosen}[$__rate_interval]))`;
const bulk = 'route=~"/users/bulk|/urls/import",instance=~"$instance"';

export const imports = dashboard({
  uid: 'switchyard-imports',
  title: 'Imports and lists',
  description: 'The long transfers: incoming CSV, outgoing lists, three connections for both.',
  hasReplicas: true,
  panels: [
    number('Under way', {
      unit: 'short',
      description: 'Imports and streamed lists that have a place; a server has 16 for each kind.',
      thresholds: [
        [20, 'orange'],
        [30, 'red'],
      ],
      queries: [[`sum(switchyard_transfers_active${chosen})`, '']],
    }),
    number('Waiting', {
      unit: 'short',
      description:
        'Imports and lists that wait for a place (each kind and each client address has a limit) or for a connection.',
      thresholds: [
        [1, 'orange'],
        [10, 'red'],
      ],
      queries: [[`sum(switchyard_transfers_waiting${chosen})`, '']],
    }),
    number('Refused', {
      unit: 'short',
      description:
        'Imports and lists that found no place within TRANSFER_WAIT_MS, since the servers started.',
      thresholds: [[1, 'orange']],
      queries: [[`sum(switchyard_transfers_refused_total${chosen})`, '']],
    }),
    number('Ended as too slow', {
      unit: 'short',
      description:
        'Clients that were slower than TRANSFER_MIN_BYTES_PER_SECOND while others waited, since the servers started.',
      thresholds: [[1, 'orange']],
      queries: [[`sum(switchyard_transfers_too_slow_total${chosen})`, '']],
    }),
    number('Rows imported', {
      unit: 'short',
      description: 'CSV rows since the servers started.',
      queries: [[`sum(switchyard_import_rows_total${chosen})`, '']],
    }),
    number('Rows skipped', {
      unit: 'short',
      description:
        'CSV rows that were unusable, or that on_conflict=skip left out, since the servers started.',
      queries: [[`sum(switchyard_import_skipped_rows_total${chosen})`, '']],
    }),

    row('Imports'),
    lines('Rows', {
      unit: 'ops',
      description: 'CSV rows a second: imported, and skipped because they were unusable.',
      queries: [
        [rate('switchyard_import_rows_total'), '{{instance}} imported'],
        [rate('switchyard_import_skipped_rows_total'), '{{instance}} skipped'],
      ],
    }),
    lines('Answers', {
      unit: 'reqps',
      description:
        'Imports finished a second, by status. 400: the file is not CSV; 413: it is too large; 503: no place within TRANSFER_WAIT_MS.',
      queries: [[`sum by (status) (rate(http_requests_total{${bulk}}[$__rate_interval]))`, '{{status}}']],
    }),
    lines('Time of an import', {
      unit: 's',
      description: 'Mean time from the first byte to the answer, of imports that ended.',
      queries: [
        [
          `sum(rate(http_request_duration_seconds_sum{${bulk}}[$__rate_interval])) / sum(rate(http_request_duration_seconds_count{${bulk}}[$__rate_interval]))`,
          'mean',
        ],
      ],
    }),

    row('Lists'),
    lines('Rows', {
      unit: 'ops',
      description: 'Rows a second in streamed lists.',
      queries: [[rate('switchyard_list_rows_total'), '{{instance}}']],
    }),
    lines('Answers', {
      unit: 'reqps',
      description: 'Lists a second by route, including paged ones.',
      queries: [
        [
          'sum by (route) (rate(http_requests_total{method="GET",route=~"/users|/urls|/events",instance=~"$instance"}[$__rate_interval]))',
          '{{route}}',
        ],
      ],
    }),

    row('Places and slow clients'),
    lines('Places', {
      unit: 'short',
      description:
        'Imports and streamed lists that have a place, and those that wait for one or for a connection.',
      min: 0,
      queries: [
        [`switchyard_transfers_active${chosen}`, '{{instance}} under way'],
        [`switchyard_transfers_waiting${chosen}`, '{{instance}} waiting'],
      ],
    }),
    lines('Refused and ended', {
      unit: 'ops',
      description:
        'Imports and lists a second that found no place within TRANSFER_WAIT_MS, and clients that the server ended because they were slow while others waited.',
      min: 0,
      queries: [
        [rate('switchyard_transfers_refused_total'), '{{instance}} refused'],
        [rate('switchyard_transfers_too_slow_total'), '{{instance}} too slow'],
      ],
    }),
    lines('Spools', {
      unit: 'bytes',
      description:
        'Size of files that hold uploads, and lists for slow readers, at most TRANSFER_SPOOL_BYTES for each server. df shows them, du does not.',
      min: 0,
      queries: [[`switchyard_spool_bytes${chosen}`, '{{instance}}']],
    }),

    row('What they cost others'),
    lines('Transfer thread busy', {
      unit: 'percentunit',
      description: 'The thread that parses CSV and writes lists; it does nothing else.',
      thresholds: [[0.9, 'orange']],
      min: 0,
      max: 1,
      queries: [
        ['switchyard_event_loop_utilization{thread=~"transfer-.+",instance=~"$instance"}', '{{instance}}'],
      ],
    }),
    lines('Connections in use', {
      unit: 'short',
      description: 'Transfers hold at most three connections; calls have their own.',
      min: 0,
      queries: [[`switchyard_pool_in_use${chosen}`, '{{instance}}']],
    }),
  ],
});
