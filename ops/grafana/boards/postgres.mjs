import { dashboard, lines, number, row, table } from './panel.mjs';

const chosen = '{instance=~"$instance"}';
const rate = (metric) => `sum by (instance) (rate(${metric}${chosen}[$__rate_interval]))`;

export const postgres = dashboard({
  uid: 'switchyard-postgres',
  title: 'PostgreSQL and pool',
  description: 'Whether the database can be reached, what waits for it, and how large it is.',
  hasReplicas: true,
  panels: [
    number('Reachable', {
      unit: 'short',
      description: 'Replicas that can reach PostgreSQL.',
      thresholds: [
        [0, 'red'],
        [1, 'green'],
      ],
      width: 6,
      queries: [[`sum(switchyard_database_up${chosen})`, '']],
    }),
    number('Hearing changes', {
      unit: 'short',
      description:
        'Replicas whose LISTEN connection is alive. A replica without one reads cached links again before use.',
      thresholds: [
        [0, 'red'],
        [1, 'green'],
      ],
      width: 6,
      queries: [[`sum(switchyard_cache_coherent${chosen})`, '']],
    }),
    number('Waiting for a connection', {
      unit: 'short',
      description: 'Work that waits for a connection. PoolWaiting fires above 5 for half a minute.',
      thresholds: [
        [1, 'orange'],
        [5, 'red'],
      ],
      width: 6,
      queries: [[`sum(switchyard_pool_waiting${chosen})`, '']],
    }),
    number('Connections in use', {
      unit: 'percentunit',
      description: 'Of DATABASE_POOL_MAX, over all replicas.',
      thresholds: [
        [0.8, 'orange'],
        [1, 'red'],
      ],
      width: 6,
      queries: [[`sum(switchyard_pool_in_use${chosen}) / sum(switchyard_pool_connections_max${chosen})`, '']],
    }),

    row('Pool'),
    lines('Connections', {
      unit: 'short',
      description: 'Open pooled connections and those in use, without the LISTEN connection.',
      min: 0,
      queries: [
        [`switchyard_pool_connections${chosen}`, '{{instance}} open'],
        [`switchyard_pool_in_use${chosen}`, '{{instance}} in use'],
        [`switchyard_pool_connections_max${chosen}`, '{{instance}} most'],
      ],
    }),
    lines('Waiting', {
      unit: 'short',
      description: 'Work that waits for a connection.',
      thresholds: [[5, 'red']],
      min: 0,
      queries: [[`switchyard_pool_waiting${chosen}`, '{{instance}}']],
    }),
    lines('Work', {
      unit: 'ops',
      description: 'Times a second that work got a connection.',
      queries: [[rate('switchyard_pool_checkouts_total'), '{{instance}}']],
    }),
    lines('Errors and retries', {
      unit: 'ops',
      description:
        'Work that failed on its connection, and work repeated after a deadlock or a broken connection.',
      queries: [
        [rate('switchyard_pool_errors_total'), '{{instance}} errors'],
        [rate('switchyard_pool_retries_total'), '{{instance}} retries'],
      ],
    }),
    lines('Calls', {
      unit: 'ops',
      description: 'Calls a second from gateways to workers, without redirect look-ups.',
      queries: [[rate('switchyard_calls_total'), '{{instance}}']],
    }),
    lines('Creates in a statement', {
      unit: 'short',
      description: 'Links created by one INSERT: simultaneous creates share it.',
      min: 0,
      queries: [
        [
          `${rate('switchyard_created_links_total')} / ${rate('switchyard_create_batches_total')}`,
          '{{instance}}',
        ],
      ],
    }),
    lines('LISTEN connection lost', {
      unit: 'short',
      description: 'Times since the start. Each makes all cached links suspect for a moment.',
      min: 0,
      queries: [[`switchyard_listen_losses_total${chosen}`, '{{instance}}']],
    }),

    row('Inside PostgreSQL'),
    table('Tables', {
      unit: 'decbytes',
      description: 'Size with indexes, partitions added up. Grafana’s role reads only the catalogue.',
      sortBy: 'bytes',
      sql: `SELECT coalesce(parent.relname, c.relname) AS "table", sum(pg_total_relation_size(c.oid))::bigint AS bytes
FROM pg_class c
LEFT JOIN pg_inherits i ON i.inhrelid = c.oid
LEFT JOIN pg_class parent ON parent.oid = i.inhparent
WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace
GROUP BY 1
ORDER BY bytes DESC`,
    }),
    table('Rows', {
      unit: 'short',
      description:
        'Estimated rows, and dead ones that the next vacuum will remove. Many dead rows in short_urls come from click counters.',
      sortBy: 'rows',
      sql: `SELECT relname AS "table", n_live_tup AS rows, n_dead_tup AS dead_rows, n_tup_hot_upd AS hot_updates, n_tup_upd AS updates
FROM pg_stat_user_tables
ORDER BY n_live_tup DESC
LIMIT 20`,
    }),
    table('Connections by user', {
      unit: 'short',
      description: 'All connections to the server; each replica has a budget of DATABASE_POOL_MAX.',
      sortBy: 'connections',
      sql: `SELECT usename AS "user", count(*) AS connections
FROM pg_stat_activity
WHERE usename IS NOT NULL
GROUP BY usename
ORDER BY connections DESC`,
    }),
    table('Database', {
      unit: 'short',
      description: 'Commits, rollbacks, and how often a page was in memory, since the statistics were reset.',
      sql: `SELECT pg_database_size(current_database()) AS bytes, xact_commit AS commits, xact_rollback AS rollbacks,
  round(100.0 * blks_hit / nullif(blks_hit + blks_read, 0), 2) AS found_in_memory_percent, deadlocks
FROM pg_stat_database
WHERE datname = current_database()`,
    }),
  ],
});
