import { dashboard, lines, number, row, table } from './panel.mjs';

const chosen = '{instance=~"$instance"}';
const rate = (metric) => `sum by (instance) (rate(${metric}${chosen}[$__rate_interval]))`;

export const clicks = dashboard({
  uid: 'switchyard-clicks',
  title: 'Clicks',
  description: 'From the redirect through the journal into the database: is any click late, or lost?',
  hasReplicas: true,
  panels: [
    number('Lost', {
      unit: 'short',
      description: 'Clicks lost since the servers started. Look into anything but 0.',
      thresholds: [[1, 'red']],
      width: 6,
      queries: [[`sum(switchyard_clicks_lost_total${chosen})`, '']],
    }),
    number('Waiting', {
      unit: 'short',
      description: 'Clicks that are journalled but not in the database yet.',
      thresholds: [
        [100_000, 'orange'],
        [10_000_000, 'red'],
      ],
      width: 6,
      queries: [[`sum(switchyard_clicks_pending${chosen})`, '']],
    }),
    number('Oldest', {
      unit: 's',
      description: 'Age of the oldest click that is not in the database. ClickJournalLag fires above 30 s.',
      thresholds: [
        [5, 'orange'],
        [30, 'red'],
      ],
      width: 6,
      queries: [[`max(switchyard_ingest_behind_seconds${chosen})`, '']],
    }),
    number('In the journal', {
      unit: 'bytes',
      description: 'Bytes of journal not in the database. ClickJournalFilling fires above 1 GiB a server.',
      thresholds: [
        [1e8, 'orange'],
        [1_073_741_824, 'red'],
      ],
      width: 6,
      queries: [[`sum(switchyard_journal_pending_bytes${chosen})`, '']],
    }),

    row('Flow'),
    lines('Journalled', {
      unit: 'ops',
      description: 'Clicks a second written to the journals: as many as redirects.',
      queries: [[rate('switchyard_clicks_journalled_total'), '{{instance}}']],
    }),
    lines('Ingested', {
      unit: 'ops',
      description: 'Clicks committed a second, and clicks dropped because their link had been deleted.',
      queries: [
        [rate('switchyard_clicks_ingested_total'), '{{instance}} in'],
        [rate('switchyard_clicks_dropped_total'), '{{instance}} dropped'],
      ],
    }),
    lines('Age of the oldest', {
      unit: 's',
      description: 'How far the database is behind.',
      thresholds: [[30, 'red']],
      min: 0,
      queries: [[`switchyard_ingest_behind_seconds${chosen}`, '{{instance}}']],
    }),
    lines('Lost and rejected', {
      unit: 'short',
      description:
        'Clicks lost (journal full, disk refusing, damage), and clicks that PostgreSQL rejected, which a file beside the journal keeps. Since the start.',
      thresholds: [[1, 'red']],
      min: 0,
      queries: [
        [`switchyard_clicks_lost_total${chosen}`, '{{instance}} lost'],
        [`switchyard_clicks_rejected_total${chosen}`, '{{instance}} rejected'],
      ],
    }),

    row('Journal'),
    lines('Waiting bytes', {
      unit: 'bytes',
      description:
        'Journal not in the database yet. While PostgreSQL is down it grows by some 10 bytes a click.',
      thresholds: [[1_073_741_824, 'red']],
      min: 0,
      queries: [[`switchyard_journal_pending_bytes${chosen}`, '{{instance}}']],
    }),
    lines('On the disk', {
      unit: 'bytes',
      description:
        'Size of the gateways’ journals. A segment is removed when all its clicks are in the database.',
      min: 0,
      queries: [[`switchyard_journal_size_bytes${chosen}`, '{{instance}}']],
    }),
    lines('Writes and syncs', {
      unit: 'ops',
      description:
        'One write for each event-loop turn with clicks, and an fdatasync as CLICK_JOURNAL_SYNC says.',
      queries: [
        [rate('switchyard_journal_writes_total'), '{{instance}} writes'],
        [rate('switchyard_journal_syncs_total'), '{{instance}} syncs'],
      ],
    }),
    lines('Bytes of a click', {
      unit: 'bytes',
      description: 'Journal bytes written for each click, frames and definitions included.',
      min: 0,
      queries: [
        [
          `${rate('switchyard_journal_written_bytes_total')} / ${rate('switchyard_clicks_journalled_total')}`,
          '{{instance}}',
        ],
      ],
    }),
    lines('Refused by the disk', {
      unit: 'short',
      description: 'Writes that failed since the start, and bytes held in memory until the disk takes them.',
      thresholds: [[1, 'red']],
      min: 0,
      queries: [
        [`switchyard_journal_write_errors_total${chosen}`, '{{instance}} errors'],
        [`switchyard_journal_buffer_bytes${chosen}`, '{{instance}} bytes held'],
      ],
    }),

    row('Ingest'),
    lines('Clicks in a transaction', {
      unit: 'short',
      description: 'At most CLICK_INGEST_BATCH; near it, the ingest is behind and works as fast as it can.',
      min: 0,
      queries: [
        [
          `${rate('switchyard_clicks_ingested_total')} / ${rate('switchyard_ingest_batches_total')}`,
          '{{instance}}',
        ],
      ],
    }),
    lines('Time in transactions', {
      unit: 'percentunit',
      description: 'Share of time that the ingest spends in transactions; two may run at once (200 %).',
      min: 0,
      queries: [[rate('switchyard_ingest_seconds_total'), '{{instance}}']],
    }),
    lines('Failed transactions', {
      unit: 'short',
      description:
        'Ingest transactions that failed and were tried again, since the start. They lose no click.',
      min: 0,
      queries: [[`switchyard_ingest_failures_total${chosen}`, '{{instance}}']],
    }),

    row('From Kafka (CLICK_INGEST=consume)'),
    lines('Not in the database', {
      unit: 'short',
      description: 'Committed records of each consumer’s partitions that the database does not have yet.',
      min: 0,
      queries: [['sum by (instance) (switchyard_consume_lag_records)', '{{instance}}']],
    }),
    lines('Ingested by consumers', {
      unit: 'ops',
      description: 'Clicks that each consumer commits a second. Consumers share the partitions of the topic.',
      min: 0,
      queries: [
        [
          'sum by (instance) (rate(switchyard_clicks_ingested_total{job="consume"}[$__rate_interval]))',
          '{{instance}}',
        ],
      ],
    }),
    lines('Partitions', {
      unit: 'short',
      description: 'Partitions of each consumer. Together they should have all of the topic’s.',
      min: 0,
      queries: [['sum by (instance) (switchyard_consume_partitions)', '{{instance}}']],
    }),
    lines('Left out, and fallen back', {
      unit: 'short',
      description:
        'Since a consumer started: records that can’t be read, clicks of other databases, offsets skipped by --accept-topic, and times that the database fell back.',
      thresholds: [[1, 'red']],
      min: 0,
      queries: [
        ['switchyard_consume_unreadable_total', '{{instance}} unreadable'],
        ['switchyard_consume_foreign_total', '{{instance}} of others'],
        ['switchyard_consume_skipped_total', '{{instance}} skipped'],
        ['switchyard_consume_rewinds_total', '{{instance}} fallen back'],
      ],
    }),

    row('Links'),
    table('Top 10 links', {
      unit: 'short',
      description:
        'The links with most clicks in the chosen time. From the database, because there are too many links for metric labels.',
      sortBy: 'clicks',
      sql: `SELECT u.short_code, left(u.original_url, 80) AS target, count(*) AS clicks
FROM events e
JOIN short_urls u ON u.id = e.url_id
WHERE e.event_type = 'click' AND $__timeFilter(e."timestamp")
GROUP BY u.id
ORDER BY clicks DESC
LIMIT 10`,
    }),
    table('Events by type', {
      unit: 'short',
      description: 'Rows of the events table in the chosen time.',
      sortBy: 'events',
      sql: `SELECT event_type, count(*) AS events
FROM events
WHERE $__timeFilter("timestamp")
GROUP BY event_type
ORDER BY events DESC`,
    }),
  ],
});
