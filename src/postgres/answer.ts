import { randomUUID } from 'node:crypto';
import { closeSync, existsSync, openSync, rmSync } from 'node:fs';
import path from 'node:path';
import pg from 'pg';
import { sqlStateOf } from './failures.js';

const CONNECT_MS = 2000;
const QUERY_MS = 10_000;

export interface EmbeddedAddress {
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly user: string;
  readonly password: string;
}

/** Who answers at the cluster's address. */
export type Answer =
  /** Its own PostgreSQL, which lets us in. */
  | 'ours'
  /** One that refuses our password. */
  | 'locked'
  /** One that works on other files. */
  | 'foreign'
  /** One that starts, stops, or has no connection left. */
  | 'busy'
  | 'nobody';

/**
 * Asks the PostgreSQL at a cluster's address; makes the database if only that is missing.
 * @param isRunning Whether a postmaster is known to work on the cluster.
 */
export async function askWhoAnswers(
  address: EmbeddedAddress,
  cluster: string,
  isRunning: boolean,
): Promise<Answer> {
  try {
    return await withClient(address, 'postgres', async (client) => {
      if (!(await worksOn(client, cluster))) return 'foreign';
      await makeDatabase(client, address.database);
      return 'ours';
    });
  } catch (error) {
    const sqlState = sqlStateOf(error);
    if (sqlState === undefined) return 'nobody';
    // Without a postmaster here, a server that refuses the password is a stranger on our port.
    if (sqlState.startsWith('28')) return isRunning ? 'locked' : 'foreign';
    // Full, but with us in it: its own pid file names it.
    if (sqlState === '53300' && isRunning) return 'ours';
    return 'busy';
  }
}

/**
 * Whether the answering server sees a file that we make here: neither a path nor a copied file could fake
 * that.
 */
async function worksOn(client: pg.Client, cluster: string): Promise<boolean> {
  if (!existsSync(cluster)) return false;
  const name = `switchyard.${randomUUID()}`;
  const file = path.join(cluster, name);
  closeSync(openSync(file, 'wx', 0o600));
  try {
    const { rows } = await client.query<{ seen: boolean }>(
      'SELECT (pg_stat_file($1, true)).size IS NOT NULL AS seen',
      [name],
    );
    return rows[0]?.seen === true;
  } finally {
    rmSync(file, { force: true });
  }
}

async function makeDatabase(client: pg.Client, name: string): Promise<void> {
  const { rows } = await client.query('SELECT 1 FROM pg_database WHERE datname = $1', [name]);
  if (rows.length > 0) return;
  try {
    await client.query(`CREATE DATABASE ${name}`);
  } catch (error) {
    // Another server on this folder was faster.
    if (!['42P04', '23505'].includes(sqlStateOf(error) ?? '')) throw error;
  }
}

/** Whether a server or a tool of this project is connected. */
export async function isInUse(address: EmbeddedAddress): Promise<boolean> {
  try {
    return await withClient(address, address.database, async (client) => {
      const { rows } = await client.query<{ n: string }>(
        `SELECT count(*) AS n FROM pg_stat_activity
         WHERE backend_type = 'client backend' AND application_name LIKE 'switchyard%'`,
      );
      return Number(rows[0]?.n ?? 0) > 0;
    });
  } catch {
    return false;
  }
}

export async function withClient<T>(
  address: EmbeddedAddress,
  database: string,
  use: (client: pg.Client) => Promise<T>,
): Promise<T> {
  const client = new pg.Client({
    ...address,
    database,
    connectionTimeoutMillis: CONNECT_MS,
    query_timeout: QUERY_MS,
  });
  client.on('error', () => undefined);
  await client.connect();
  try {
    return await use(client);
  } finally {
    await client.end();
  }
}
