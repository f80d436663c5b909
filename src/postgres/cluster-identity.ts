import type pg from 'pg';
import { isConnectionLoss } from './failures.js';

/** Which PostgreSQL it is, and on which of its timelines: a promotion and a recovery begin a new one. */
export interface ClusterIdentity {
  readonly system: string;
  readonly timeline: number;
}

/** @returns `undefined` where it does not say: a standby, or a service that lets nobody ask. */
export async function clusterIdentity(client: pg.ClientBase): Promise<ClusterIdentity | undefined> {
  try {
    // The control file may still have the old timeline just after a promotion; the next record's is the new one.
    const { rows } = await client.query<{ system: string; timeline: string | null }>(
      `SELECT system_identifier::text AS system,
              CASE WHEN pg_is_in_recovery() THEN NULL
                   ELSE left(pg_walfile_name(pg_current_wal_insert_lsn()), 8) END AS timeline
       FROM pg_control_system()`,
    );
    const [row] = rows;
    if (row === undefined || row.timeline === null) return undefined;
    return { system: row.system, timeline: Number.parseInt(row.timeline, 16) };
  } catch (error) {
    if (isConnectionLoss(error)) throw error;
    return undefined;
  }
}

export function isSameCluster(one: ClusterIdentity, other: ClusterIdentity): boolean {
  return one.system === other.system && one.timeline === other.timeline;
}
