import type pg from 'pg';
import { sqlStateOf } from './failures.js';

const ROUNDS = 3;

/**
 * Whether something between us and PostgreSQL gives one backend to several connections in turn, as
 * PgBouncer does in transaction and statement mode. LISTEN, prepared statements and session settings
 * are lost there. In session mode a connection keeps its backend.
 * @param another Opens a second connection the same way.
 */
export async function sharesBackends(client: pg.Client, another: () => Promise<pg.Client>): Promise<boolean> {
  const own = await backendOf(client);
  // The process that greeted us also works for us: nothing is in between.
  if (own === String((client as unknown as { processID: number }).processID)) return false;
  const other = await another();
  // A second transaction takes the backend that ours has left, or ours moves to another one.
  await other.query('BEGIN');
  const others = await backendOf(other);
  if (others === own) return true;
  for (let round = 0; round < ROUNDS; round += 1) {
    if ((await backendOf(client)) !== own) return true;
  }
  // A pooler with only two backends had no other for us. Now it has two for whoever asks first.
  await other.query('COMMIT');
  for (let round = 0; round < ROUNDS; round += 1) {
    if ((await backendOf(other)) !== others || (await backendOf(client)) !== own) return true;
  }
  return false;
}

/** Whether an error is a pooler's refusal of transactions (statement mode). */
export function isStatementMode(error: unknown): boolean {
  return sqlStateOf(error) === '08P01' && /statement pooling/.test((error as Error).message);
}

async function backendOf(client: pg.Client): Promise<string> {
  const { rows } = await client.query<{ pid: string }>('SELECT pg_backend_pid() AS pid');
  return String(rows[0]?.pid);
}
