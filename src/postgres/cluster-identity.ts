import type pg from 'pg';
import { isConnectionLoss } from './failures.js';

/** A PostgreSQL and its timeline: a promotion or a recovery begins a new one. */
export interface ClusterIdentity {
  readonly system: string;
  readonly timeline: number;
}

/** What a PostgreSQL reports about itself. */
export interface HostRole {
  /** Whether it accepts writes: it is not a standby, and nobody has made it read-only. */
  readonly isWritable: boolean;
  /** `undefined` if it forbids the query. */
  readonly system: string | undefined;
  /** `undefined` if it forbids the query, and for a standby. */
  readonly timeline: number | undefined;
}

const WRITABLE = `(NOT pg_is_in_recovery() AND current_setting('transaction_read_only') = 'off')`;

/** The control file may still have the old timeline just after a promotion; the next record's is the new one. */
export const ROLE_QUERY = `
  SELECT ${WRITABLE} AS writable, (SELECT system_identifier::text FROM pg_control_system()) AS system,
         CASE WHEN pg_is_in_recovery() THEN NULL
              ELSE left(pg_walfile_name(pg_current_wal_insert_lsn()), 8) END AS timeline`;

export interface RoleRow {
  readonly writable: string;
  readonly system: string | null;
  readonly timeline: string | null;
}

export function roleOfRow({ writable, system, timeline }: RoleRow): HostRole {
  return {
    isWritable: writable === 't',
    system: system ?? undefined,
    timeline: timeline === null ? undefined : Number.parseInt(timeline, 16),
  };
}

/** Asks a PostgreSQL, over a connection whose values are text, for its role. */
export async function roleOf(client: pg.ClientBase): Promise<HostRole> {
  try {
    const { rows } = await client.query<RoleRow>(ROLE_QUERY);
    return roleOfRow(rows[0] as RoleRow);
  } catch (error) {
    if (isConnectionLoss(error)) throw error;
  }
  // A service that forbids the query.
  const { rows } = await client.query<{ writable: string }>(`SELECT ${WRITABLE} AS writable`);
  return { isWritable: rows[0]?.writable === 't', system: undefined, timeline: undefined };
}

/** @returns `undefined` if it does not say: a standby, or a service that forbids the question. */
export function identityOf({ system, timeline }: HostRole): ClusterIdentity | undefined {
  return system === undefined || timeline === undefined ? undefined : { system, timeline };
}

export function isSameCluster(one: ClusterIdentity, other: ClusterIdentity): boolean {
  return one.system === other.system && one.timeline === other.timeline;
}
