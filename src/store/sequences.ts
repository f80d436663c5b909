import type { Connection } from '../postgres/pool.js';

/** The tables whose ids come from their own sequence. */
export const sequencedTables = ['users', 'short_urls', 'events'] as const;
export type SequencedTable = (typeof sequencedTables)[number];

/** A sequence that would have issued taken ids. */
export interface RaisedSequence {
  readonly table: SequencedTable;
  readonly from: string;
  readonly to: string;
}

/**
 * Raises each sequence that is behind the ids of its table, as after a restore of rows only. It never lowers
 * one. Call it within a transaction.
 */
export async function raiseSequences(connection: Connection): Promise<RaisedSequence[]> {
  const raised: RaisedSequence[] = [];
  for (const table of sequencedTables) {
    if ((await lagOf(connection, table)) === undefined) continue;
    // Other inserts wait from here on, and can't move the sequence between the check and the raise.
    await connection.query(`LOCK TABLE ${table} IN SHARE ROW EXCLUSIVE MODE`);
    const lag = await lagOf(connection, table);
    if (lag === undefined) continue;
    await connection.query(`SELECT setval(pg_get_serial_sequence('${table}', 'id'), $1)`, [lag.to]);
    raised.push(lag);
  }
  return raised;
}

async function lagOf(connection: Connection, table: SequencedTable): Promise<RaisedSequence | undefined> {
  const owned = await connection.query<{ name: string | null }>(
    `SELECT pg_get_serial_sequence('${table}', 'id') AS name`,
  );
  const sequence = owned.rows[0]?.name;
  // Missing after a restore: inserts fail, and say so.
  if (sequence === null || sequence === undefined) return undefined;
  const { rows } = await connection.query<{ last: string; is_called: string; largest: string | null }>(
    `SELECT last_value AS last, is_called, (SELECT max(id) FROM ${table}) AS largest FROM ${sequence}`,
  );
  const [row] = rows;
  if (row === undefined || row.largest === null) return undefined;
  const [last, largest] = [BigInt(row.last), BigInt(row.largest)];
  const isBehind = row.is_called === 't' ? largest > last : largest >= last;
  return isBehind ? { table, from: row.last, to: row.largest } : undefined;
}
