import { dashboard, lines, number, row } from './panel.mjs';

const chosen = '{instance=~"$instance"}';
const rate = (metric) => `sum by (instance) (rate(${metric}${chosen}[$__rate_interval]))`;
const bulk = 'route="/users/bulk",instance=~"$instance"';

export const imports = dashboard({
  uid: 'switchyard-imports',
  title: 'Imports and lists',
  description: 'The long transfers: CSV coming in, lists going out, three connections for both.',
  hasReplicas: true,
  panels: [
    number('Under way', {
      unit: 'short',
      description:
        'Imports and streamed lists that run or wait. Three of them have connections; the others wait for their turn.',
      thresholds: [
        [3, 'orange'],
        [20, 'red'],
      ],
      width: 8,
      queries: [[`sum(switchyard_transfers_active${chosen})`, '']],
    }),
    number('Rows imported', {
      unit: 'short',
      description: 'CSV rows since the servers started.',
      width: 8,
      queries: [[`sum(switchyard_import_rows_total${chosen})`, '']],
    }),
    number('Rows skipped', {
      unit: 'short',
      description: 'CSV rows without a usable username or e-mail, since the servers started.',
      width: 8,
      queries: [[`sum(switchyard_import_skipped_rows_total${chosen})`, '']],
    }),

    row('Imports'),
    lines('Rows', {
      unit: 'ops',
      description: 'CSV rows a second: taken, and skipped because they were unusable.',
      queries: [
        [rate('switchyard_import_rows_total'), '{{instance}} imported'],
        [rate('switchyard_import_skipped_rows_total'), '{{instance}} skipped'],
      ],
    }),
    lines('Answers', {
      unit: 'reqps',
      description:
        'Imports finished a second, by status. 400 is a file that is no CSV, 413 one that is too large, 503 no turn within TRANSFER_WAIT_MS.',
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
    lines('Under way', {
      unit: 'short',
      description: 'Imports and streamed lists together.',
      min: 0,
      queries: [[`switchyard_transfers_active${chosen}`, '{{instance}}']],
    }),

    row('Lists'),
    lines('Rows', {
      unit: 'ops',
      description: 'Rows a second that streamed lists gave out.',
      queries: [[rate('switchyard_list_rows_total'), '{{instance}}']],
    }),
    lines('Answers', {
      unit: 'reqps',
      description: 'Lists a second by route, paged ones included.',
      queries: [
        [
          'sum by (route) (rate(http_requests_total{method="GET",route=~"/users|/urls|/events",instance=~"$instance"}[$__rate_interval]))',
          '{{route}}',
        ],
      ],
    }),

    row('What they take from the others'),
    lines('Transfer thread busy', {
      unit: 'percentunit',
      description: 'The thread that parses CSV and writes lists; it serves nobody else.',
      thresholds: [[0.9, 'orange']],
      min: 0,
      max: 1,
      queries: [
        ['switchyard_event_loop_utilization{thread=~"transfer-.+",instance=~"$instance"}', '{{instance}}'],
      ],
    }),
    lines('Connections in use', {
      unit: 'short',
      description: 'Transfers hold three connections at most; calls have their own.',
      min: 0,
      queries: [[`switchyard_pool_in_use${chosen}`, '{{instance}}']],
    }),
  ],
});
