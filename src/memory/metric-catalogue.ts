/**
 * Every metric that the server publishes, once. To add one, add an entry here and the call that counts
 * (`counters.add('key')` in a thread) or the reading (src/ops/server-readings.ts); the
 * compiler names what is missing. Names follow Prometheus: one prefix, base units, `_total` for counters.
 */
export interface Metric {
  readonly name: string;
  readonly kind: 'counter' | 'gauge' | 'histogram';
  readonly help: string;
  readonly labels: readonly string[];
  /** The name in the previous release; published beside the new one until the next release. */
  readonly alias?: string;
}

type Options = Partial<Pick<Metric, 'labels' | 'alias'>>;

function counter(name: string, help: string, options: Options = {}): Metric {
  return { name, kind: 'counter', help, labels: [], ...options };
}

function gauge(name: string, help: string, options: Options = {}): Metric {
  return { name, kind: 'gauge', help, labels: [], ...options };
}

const ofThread = { labels: ['thread'] };
const ofKind = { labels: ['kind'] };
const ofRequest = ['method', 'route', 'status'];

/**
 * Each has a cell in every thread's shared memory. A counter is the sum over all threads that ever ran, a
 * gauge the sum over living ones, or one value for each thread where its label is `thread`.
 */
export const threadMetrics = {
  redirectHits: counter('switchyard_cache_hits_total', 'Redirects answered from a link cache'),
  redirectMisses: counter('switchyard_cache_misses_total', 'Redirects whose code the cache did not have'),
  unknownHits: counter(
    'switchyard_cache_unknown_hits_total',
    'Requests for a code that the cache knew not to exist',
  ),
  suspectRefreshes: counter(
    'switchyard_cache_suspect_refreshes_total',
    'Suspect links read again before use',
  ),
  staleServed: counter(
    'switchyard_cache_stale_served_total',
    'Suspect links served because PostgreSQL was down',
  ),
  calls: counter('switchyard_calls_total', 'Calls from gateways to workers, without look-ups of short codes'),
  callsRefused: counter(
    'switchyard_calls_refused_total',
    'Calls refused: PostgreSQL down, or too many waiting',
  ),
  callDeadlines: counter('switchyard_call_deadlines_total', 'Calls that got no answer before their deadline'),
  clicksJournalled: counter('switchyard_clicks_journalled_total', 'Clicks written to a journal', {
    alias: 'clicks_journalled_total',
  }),
  clicksLost: counter(
    'switchyard_clicks_lost_total',
    'Clicks lost: journal full, disk refusing, damage, or a database that fell back too far',
    { alias: 'clicks_lost_total' },
  ),
  journalWrittenBytes: counter('switchyard_journal_written_bytes_total', 'Bytes written to click journals'),
  journalWrites: counter('switchyard_journal_writes_total', 'Writes to click journals'),
  journalWriteErrors: counter(
    'switchyard_journal_write_errors_total',
    'Writes to click journals that the disk refused',
  ),
  journalSyncs: counter('switchyard_journal_syncs_total', 'fdatasync calls on click journals'),
  ingestedClicks: counter('switchyard_clicks_ingested_total', 'Clicks committed to the database', {
    alias: 'clicks_ingested_total',
  }),
  ingestDropped: counter(
    'switchyard_clicks_dropped_total',
    'Clicks dropped: their link was deleted, or its id is another link’s',
    {
      alias: 'clicks_dropped_total',
    },
  ),
  ingestRejected: counter(
    'switchyard_clicks_rejected_total',
    'Clicks that PostgreSQL rejected, set aside beside the journal',
    { alias: 'clicks_rejected_total' },
  ),
  clicksRewound: counter(
    'switchyard_clicks_rewound_total',
    'Clicks that the database lost by falling back in time; when ingested again they count as ingested again',
  ),
  journalRewinds: counter(
    'switchyard_journal_rewinds_total',
    'Times the database had less of a journal than before: a failover, or a restored backup',
  ),
  ingestBatches: counter('switchyard_ingest_batches_total', 'Ingest transactions committed'),
  ingestFailures: counter(
    'switchyard_ingest_failures_total',
    'Ingest steps that failed and are tried again: reading a journal or a folder, or a transaction',
  ),
  ingestBytes: counter('switchyard_ingest_bytes_total', 'Bytes of journal ingested'),
  ingestSeconds: counter('switchyard_ingest_seconds_total', 'Time spent in ingest transactions'),
  streamRecords: counter('switchyard_stream_records_total', 'Clicks and previews committed to Kafka'),
  streamTransactions: counter('switchyard_stream_transactions_total', 'Transactions committed to Kafka'),
  streamFailures: counter(
    'switchyard_stream_failures_total',
    'Steps of the stream to Kafka that failed and are tried again',
  ),
  streamLost: counter(
    'switchyard_stream_clicks_lost_total',
    'Clicks that Kafka will never get: their segments were removed before, or they can’t be read',
  ),
  streamUnseenBytes: counter(
    'switchyard_stream_removed_bytes_total',
    'Bytes of journal removed before Kafka had their clicks, because of CLICK_JOURNAL_KEEP_BYTES or a full disk',
  ),
  statsFailures: counter(
    'switchyard_stats_failures_total',
    'Steps of the statistics job that failed and are tried again',
  ),
  retentionRemoved: counter(
    'switchyard_retention_removed_total',
    'Clicks and previews removed from the events by EVENTS_RETENTION_DAYS or CLICK_EVENTS=off',
  ),
  retentionFailures: counter(
    'switchyard_retention_failures_total',
    'Pieces of old events that could not be removed and are tried again in a minute',
  ),
  poolCheckouts: counter(
    'switchyard_pool_checkouts_total',
    'Connections checked out of a pool; one checkout may run many statements',
  ),
  poolErrors: counter('switchyard_pool_errors_total', 'Work on a pooled connection that failed'),
  poolRetries: counter(
    'switchyard_pool_retries_total',
    'Work run again after a deadlock or a broken connection',
  ),
  standbyReads: counter('switchyard_standby_reads_total', 'Reads that a standby answered'),
  standbyFallbacks: counter(
    'switchyard_standby_fallbacks_total',
    'Reads that the primary answered because no standby could in time',
  ),
  standbyCodes: counter(
    'switchyard_standby_codes_total',
    'Short codes that were not in a cache and that a standby resolved',
  ),
  standbyCodesLeft: counter(
    'switchyard_standby_codes_left_total',
    'Short codes that the primary resolved: changed lately, unknown to the standby, or no standby answered',
  ),
  resolveBatches: counter('switchyard_resolve_batches_total', 'SELECTs that resolved short codes'),
  resolvedCodes: counter('switchyard_resolved_codes_total', 'Short codes looked up in the database'),
  createBatches: counter('switchyard_create_batches_total', 'INSERTs that created links'),
  linksAskedFor: counter('switchyard_created_links_total', 'Links that requests asked to create'),
  linksCreated: counter(
    'switchyard_links_created_total',
    'Links created: one by one, in bulk and by imports',
  ),
  importedRows: counter('switchyard_import_rows_total', 'CSV rows imported'),
  importSkippedRows: counter('switchyard_import_skipped_rows_total', 'CSV rows that an import skipped'),
  listedRows: counter('switchyard_list_rows_total', 'Rows of streamed lists'),
  logLinesSuppressed: counter(
    'switchyard_log_lines_suppressed_total',
    'Request log lines counted, not written',
  ),
  connectionsRefused: counter(
    'switchyard_connections_refused_total',
    'Connections closed at once because the limit of descriptors allowed no more',
  ),
  connectionsUnread: counter(
    'switchyard_connections_unread_total',
    'Connections cut because they kept sending and read no answer',
  ),
  liveListenersDropped: counter(
    'switchyard_live_listeners_dropped_total',
    'Listeners of /stats/live dropped because they did not read',
  ),
  liveListeners: gauge('switchyard_live_listeners', 'Listeners of /stats/live'),
  largeBodies: counter('switchyard_large_bodies_total', 'Large JSON bodies, which a worker parses'),
  transfersRefused: counter(
    'switchyard_transfers_refused_total',
    'Imports and lists that found no place, or no connection, within TRANSFER_WAIT_MS',
  ),
  transfersTooSlow: counter(
    'switchyard_transfers_too_slow_total',
    'Imports and lists ended because their clients were slow while others waited',
  ),
  connections: gauge('switchyard_connections', 'Open connections of clients'),
  cachedLinks: gauge(
    'switchyard_cache_links',
    'Links in the caches, a link once for each gateway that has it',
  ),
  cachedUnknown: gauge('switchyard_cache_unknown', 'Unknown codes in the caches'),
  pendingCalls: gauge('switchyard_calls_pending', 'Calls and short codes that wait for an answer'),
  heldBodyBytes: gauge('switchyard_request_body_bytes', 'Request bodies held in memory'),
  journalBufferBytes: gauge(
    'switchyard_journal_buffer_bytes',
    'Clicks in memory because the disk refuses them',
  ),
  journalSizeBytes: gauge(
    'switchyard_journal_size_bytes',
    'Size of the gateways’ journals on the disk, without kept segments',
  ),
  ingestStopped: gauge(
    'switchyard_ingest_stopped',
    'Journals whose ingest a fault of the database has stopped',
  ),
  indexesMissing: gauge(
    'switchyard_background_indexes_missing',
    'Indexes that an upgrade builds while the server serves, and that do not exist yet',
  ),
  statsQueued: gauge(
    'switchyard_stats_queue_rows',
    'Changes of clicks and previews that wait to be added to the statistics, one row for each statement',
  ),
  statsBehind: gauge('switchyard_stats_behind_seconds', 'How long the oldest of these changes has waited'),
  statsBuilding: gauge('switchyard_stats_building', 'Whether the statistics of older events are being built'),
  transfersActive: gauge('switchyard_transfers_active', 'Imports and streamed lists under way'),
  transfersWaiting: gauge(
    'switchyard_transfers_waiting',
    'Imports and lists that wait for a place or a connection',
  ),
  spoolBytes: gauge('switchyard_spool_bytes', 'Size of files that hold uploads, and lists for slow readers'),
  poolSize: gauge('switchyard_pool_connections', 'Open pooled connections to PostgreSQL, without LISTEN'),
  poolInUse: gauge('switchyard_pool_in_use', 'Pooled connections in use'),
  poolWaiting: gauge('switchyard_pool_waiting', 'Work that waits for a pooled connection'),
  eventLoopLagP99: gauge(
    'switchyard_event_loop_lag_p99_seconds',
    'Event-loop lag of the last second, 99th percentile',
    ofThread,
  ),
  eventLoopLagMax: gauge(
    'switchyard_event_loop_lag_max_seconds',
    'Event-loop lag of the last second, longest',
    ofThread,
  ),
  eventLoopUtilization: gauge(
    'switchyard_event_loop_utilization',
    'Share of the last second in which the event loop was busy',
    ofThread,
  ),
  heapUsedBytes: gauge('switchyard_heap_used_bytes', 'JavaScript heap in use', ofThread),
} as const satisfies Record<string, Metric>;

/** Read by the supervisor on request. */
export const serverMetrics = {
  buildInfo: gauge('switchyard_build_info', 'Always 1; the labels say what is running', {
    labels: ['version', 'node'],
  }),
  databaseUp: gauge('switchyard_database_up', 'Whether PostgreSQL can be reached'),
  databaseHosts: gauge(
    'switchyard_database_hosts',
    'Hosts of DATABASE_URL by what they are: `primary`, `standby`, `silent`, or `stale`, an old primary that is not written to',
    { labels: ['place'] },
  ),
  databaseTimeline: gauge(
    'switchyard_database_timeline',
    'Timeline of the PostgreSQL that is written to; 0 while there is none, or it is not known',
  ),
  databaseSwitches: counter(
    'switchyard_database_switches_total',
    'Times that another host than before became the one that is written to',
  ),
  cacheCoherent: gauge('switchyard_cache_coherent', 'Whether this server learns of changes by other servers'),
  listenLosses: counter('switchyard_listen_losses_total', 'Times the LISTEN connection was lost'),
  connectionsMax: gauge('switchyard_connections_max', 'Client connections that may be open at one time'),
  poolMax: gauge('switchyard_pool_connections_max', 'DATABASE_POOL_MAX'),
  journalPendingBytes: gauge('switchyard_journal_pending_bytes', 'Bytes of journal not in the database yet'),
  journalKeptBytes: gauge(
    'switchyard_journal_kept_bytes',
    'Bytes of journal that are ingested, and kept in case the database falls back',
  ),
  clicksPending: gauge('switchyard_clicks_pending', 'Clicks of this server not in the database yet', {
    alias: 'clicks_pending',
  }),
  clicksElsewhere: gauge(
    'switchyard_clicks_elsewhere',
    'Clicks in the journals that wait for another database, which has their links',
  ),
  journalMapped: gauge(
    'switchyard_journal_mapped',
    'Whether clicks are in the journal’s file before their redirects are answered',
  ),
  streamUp: gauge('switchyard_stream_up', 'Whether Kafka answers; 1 without CLICK_STREAM'),
  streamPendingBytes: gauge(
    'switchyard_stream_pending_bytes',
    'Bytes of journal that are not in Kafka; 0 without CLICK_STREAM',
  ),
  streamPendingClicks: gauge(
    'switchyard_stream_pending_clicks',
    'Clicks of this server’s gateways that are not in Kafka; 0 without CLICK_STREAM',
  ),
  ingestByConsumers: gauge(
    'switchyard_ingest_by_consumers',
    'Whether PostgreSQL gets the clicks of this server from Kafka (CLICK_INGEST=consume)',
  ),
  ingestBehind: gauge('switchyard_ingest_behind_seconds', 'Age of the oldest click not in the database'),
  logLinesDropped: counter(
    'switchyard_log_lines_dropped_total',
    'Log lines dropped because the output was full, slow or gone',
  ),
  memoryLimit: gauge(
    'switchyard_memory_limit_bytes',
    'Memory that the process may use: its container’s limit, or all',
  ),
  diskFree: gauge('switchyard_disk_free_bytes', 'Bytes free for the server on the disk of a folder', {
    labels: ['folder'],
  }),
  diskSize: gauge('switchyard_disk_size_bytes', 'Size of the disk of a folder', { labels: ['folder'] }),
  certificateExpires: gauge(
    'switchyard_certificate_expires_timestamp_seconds',
    'When CERTIFICATE_FILE expires; 0 without one, 1 when it can’t be read',
  ),
  lastBackup: gauge(
    'switchyard_last_backup_timestamp_seconds',
    'Time of the newest file in BACKUP_DIR; 0 without a folder, 1 when there is none in it',
  ),
  retentionDays: gauge(
    'switchyard_retention_days',
    'EVENTS_RETENTION_DAYS; with CLICK_EVENTS=off the seconds that clicks stay, in days; 0 if events are kept for ever',
  ),
  retentionUnarchived: gauge(
    'switchyard_retention_unarchived_events',
    'Old clicks and previews of past months that stay because no archive in ARCHIVE_DIR has them',
  ),
  retentionLastRun: gauge(
    'switchyard_retention_last_run_timestamp_seconds',
    'When the last complete search for old events ended; before the first one, the start',
  ),
  threads: gauge('switchyard_threads', 'Threads that are alive', ofKind),
  threadsWanted: gauge('switchyard_threads_wanted', 'Threads that should be alive', ofKind),
  threadRestarts: counter('switchyard_thread_restarts_total', 'Threads that died and were replaced', ofKind),
} as const satisfies Record<string, Metric>;

/** Counted for every request; the names are the usual ones of HTTP servers. */
export const httpMetrics = {
  requests: {
    name: 'http_requests_total',
    kind: 'counter',
    help: 'Requests answered, by method, route template and status',
    labels: ofRequest,
  },
  duration: {
    name: 'http_request_duration_seconds',
    kind: 'histogram',
    help: 'Time from a request to its answer, by method, route and status',
    labels: ofRequest,
  },
} as const satisfies Record<string, Metric>;

export type ThreadMetricName = keyof typeof threadMetrics;
export type ServerMetricName = keyof typeof serverMetrics;
