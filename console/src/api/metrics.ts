import { send } from './call.js';
import { routes } from './types.js';

/** The server's metrics that the console shows, added up over all labels. */
const names = {
  ingestBehind: 'switchyard_ingest_behind_seconds',
  journalPending: 'switchyard_journal_pending_bytes',
  clicksLost: 'switchyard_clicks_lost_total',
  connectionsMax: 'switchyard_connections_max',
  poolInUse: 'switchyard_pool_in_use',
  poolMax: 'switchyard_pool_connections_max',
  threadsWanted: 'switchyard_threads_wanted',
} as const;

export type Metrics = { readonly [Name in keyof typeof names]: number | undefined };

/** A key without the scope for it is refused. */
export async function readMetrics(signal: AbortSignal): Promise<Metrics> {
  const text = await (await send(routes.metrics, { signal })).text();
  const sums = new Map<string, number>();
  for (const line of text.split('\n')) {
    const [, name = '', value] = /^(\w+)(?:\{[^}]*\})? (\S+)/.exec(line) ?? [];
    if (value !== undefined) sums.set(name, (sums.get(name) ?? 0) + Number(value));
  }
  const entries = Object.entries(names).map(([key, name]) => [key, sums.get(name)] as const);
  return Object.fromEntries(entries) as Metrics;
}
