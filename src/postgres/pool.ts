import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import type { DatabaseAddress } from '../config.js';
import type { ThreadCounters } from '../memory/counters.js';
import { closeConnection, destroy, endWork } from './cancel.js';
import type { RoleRow } from './cluster-identity.js';
import {
  DeadlineError,
  isConnectionLoss,
  isConnectTimeout,
  lacksPartition,
  NotPrimaryError,
  retryDecisionOf,
} from './failures.js';
import { PrimaryConnections, type PrimaryOptions } from './primary-connections.js';

/** A connection in use; every statement of the store takes one as its first argument. */
export type Connection = pg.ClientBase;

/** A named statement: PostgreSQL plans it once for each connection. Each name has exactly one text. */
export interface Statement {
  readonly name: string;
  readonly text: string;
}

export interface PoolOptions {
  /** One that stays the same, or whichever host is the primary. */
  readonly address: DatabaseAddress | PrimaryOptions;
  /** Connections this pool may hold: a share of DATABASE_POOL_MAX. */
  readonly max: number;
  /** Whether the thread's gauges of connections are this pool's. */
  readonly isMeasured?: boolean;
  /** Shown in pg_stat_activity. */
  readonly name: string;
  readonly connectMs: number;
  /** The server ends a longer statement. 0: no limit. */
  readonly statementMs: number;
  /** The server ends a transaction that waits this long for its client. */
  readonly idleInTransactionMs: number;
  readonly counters: ThreadCounters;
  readonly onConnectionError: (error: Error) => void;
  /** Run on each new connection to the primary; if it throws, the connection is not used. */
  readonly admit?: (connection: Connection, timeoutMs: number) => Promise<void>;
  /** Makes the partition that a row lacked; the failed work is then repeated. */
  readonly makePartitions?: (connection: Connection) => Promise<unknown>;
}

/** Values come as PostgreSQL's own text: an id beyond 2^53 stays exact, a timestamp stays a string. */
export const textTypes = { getTypeParser: () => (text: string) => text } as unknown as pg.CustomTypesConfig;

/** The options of a single connection, the same for pooled ones and for the LISTEN connection. */
export function clientOptions(
  address: DatabaseAddress | Record<string, never>,
  name: string,
  connectMs: number,
): pg.ClientConfig {
  return {
    ...address,
    application_name: name,
    connectionTimeoutMillis: connectMs,
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
    types: textTypes,
  };
}

/** A deadlock's victim is seldom the victim again. */
const ATTEMPTS = 3;
/** How long work waits for another primary than the one that is gone, and how often it looks. */
const PRIMARY_WAIT_MS = 2000;
const PRIMARY_LOOK_MS = 25;

/** A bounded pool of connections for one kind of work in one thread. */
export class Pool {
  readonly max: number;
  readonly #pool: pg.Pool;
  readonly #counters: ThreadCounters;
  readonly #isMeasured: boolean;
  readonly #makePartitions: PoolOptions['makePartitions'];
  readonly #primary: PrimaryConnections | undefined;
  /** A connection's generation; statements prepared in an earlier one are out of date. */
  readonly #generations = new WeakMap<pg.ClientBase, number>();
  #generation = 0;
  /** Connections that PostgreSQL has accepted. */
  #open = 0;
  #queued = 0;

  constructor(options: PoolOptions) {
    this.max = options.max;
    this.#counters = options.counters;
    this.#isMeasured = options.isMeasured ?? true;
    this.#makePartitions = options.makePartitions;
    const { address } = options;
    const primary = 'primary' in address ? new PrimaryConnections(address) : undefined;
    this.#primary = primary;
    this.#pool = new pg.Pool({
      ...clientOptions('primary' in address ? {} : address, options.name, options.connectMs),
      ...(primary === undefined ? {} : { Client: primary.Client as never }),
      max: options.max,
      idleTimeoutMillis: 60_000,
      // Not as startup parameters, which a connection pooler in between refuses.
      onConnect: async (client) => {
        const question = primary?.questionTo(client);
        const results = (await client.query({
          text: [sessionSettings(options), ...(question === undefined ? [] : [question])].join(';'),
          query_timeout: options.connectMs,
        } as pg.QueryConfig)) as unknown as pg.QueryResult<RoleRow>[];
        primary?.requirePrimary(client, question === undefined ? undefined : results.at(-1)?.rows[0]);
        await options.admit?.(client, options.connectMs);
      },
    });
    // A broken idle connection emits its error on the pool, one in use on itself. Unhandled, either would end
    // the process.
    this.#pool.on('error', options.onConnectionError);
    this.#pool.on('connect', (client) => {
      this.#generations.set(client, this.#generation);
      this.#open += 1;
      client.on('error', options.onConnectionError);
    });
    this.#pool.on('remove', () => {
      this.#open -= 1;
      this.#publish();
    });
  }

  /**
   * Runs `work` on a connection. After `deadlineMs` it throws a DeadlineError and cancels what the connection
   * runs. It repeats a deadlock's victim from the start: `work` must be a whole transaction. Once, and on a
   * fresh connection, it also repeats work that failed because the schema changed beneath a prepared
   * statement.
   */
  async run<T>(deadlineMs: number, work: (connection: Connection) => Promise<T>): Promise<T> {
    const deadline = Date.now() + deadlineMs;
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.#once(deadline - Date.now(), work);
      } catch (error) {
        this.#counters.add('poolErrors');
        const decision = retryDecisionOf(error);
        const mayRepeat =
          decision === 'again' ? attempt < ATTEMPTS : decision === 'reconnect' && attempt === 1;
        if (!mayRepeat || Date.now() >= deadline) throw error;
        this.#counters.add('poolRetries');
        if (lacksPartition(error) && this.#makePartitions !== undefined)
          await this.#once(deadline - Date.now(), this.#makePartitions);
      }
    }
  }

  /** As `run`, without a second attempt: for work that consumes its input. */
  runOnce<T>(deadlineMs: number, work: (connection: Connection) => Promise<T>): Promise<T> {
    return this.#once(deadlineMs, work).catch((error: unknown) => {
      this.#counters.add('poolErrors');
      throw error;
    });
  }

  /**
   * As `run`, and once more on a fresh connection if the first one turns out to be broken, as idle ones are
   * after a restart of PostgreSQL. Only for work that changes nothing.
   */
  async runReadOnly<T>(deadlineMs: number, work: (connection: Connection) => Promise<T>): Promise<T> {
    const deadline = Date.now() + deadlineMs;
    try {
      return await this.run(deadlineMs, work);
    } catch (error) {
      if (!isConnectionLoss(error) || error instanceof DeadlineError) throw error;
      this.#counters.add('poolRetries');
      return await this.run(deadline - Date.now(), work);
    }
  }

  async #once<T>(deadlineMs: number, work: (connection: Connection) => Promise<T>): Promise<T> {
    const deadline = Date.now() + deadlineMs;
    const client = await this.#checkOut(deadline);
    // The caller has its answer, and may repeat the call: work that begins now would be done twice.
    if (Date.now() >= deadline) {
      client.release();
      throw new DeadlineError(`no connection to PostgreSQL within ${deadlineMs} ms`);
    }
    deadlines.set(client, deadline);
    if (this.#primary !== undefined) primaries.set(client, this.#primary);
    this.#publish();
    this.#counters.add('poolCheckouts');
    let onEnd: () => void = () => undefined;
    let timer: NodeJS.Timeout | undefined;
    // A cursor never learns that its connection is gone, and we would wait for it until the deadline.
    const lost = new Promise<never>((_, reject) => {
      onEnd = () => reject(new Error('connection terminated while it was in use'));
      client.once('end', onEnd);
    });
    const worked = Promise.race([work(client), lost]);
    const late = new Promise<never>((_, reject) => {
      const error = new DeadlineError(`no answer from PostgreSQL within ${deadlineMs} ms`);
      timer = setTimeout(reject, Math.max(1, deadline - Date.now()), error);
    });
    const release = (isBroken: boolean): void => {
      client.off('end', onEnd);
      client.release(isBroken);
      this.#publish();
    };
    try {
      const result = await Promise.race([worked, late]);
      release(false);
      return result;
    } catch (error) {
      // The caller has its answer now; the connection is free once PostgreSQL has released it.
      if (error instanceof DeadlineError) void endWork(client, worked).then(release);
      else if (retryDecisionOf(error) === 'reconnect') {
        // The schema changed for all connections of this pool alike.
        this.#generation += 1;
        void closeConnection(client).then(() => release(true));
      } else release(isConnectionLoss(error));
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  /** A connection whose prepared statements are up to date. */
  async #checkOut(deadline: number): Promise<pg.PoolClient> {
    for (;;) {
      const client = await this.#connect(deadline);
      const isOfPrimary = this.#primary?.isCurrent(client) ?? true;
      if (this.#generations.get(client) === this.#generation && isOfPrimary) return client;
      // Closed before the next one is opened, which would be one too many. An old primary may never say goodbye.
      if (isOfPrimary) await closeConnection(client);
      else destroy(client);
      client.release(true);
    }
  }

  /**
   * Requests a late connection again, because nothing was done on it: usually our own thread is slow, just
   * after a start on a busy machine.
   */
  async #connect(deadline: number): Promise<pg.PoolClient> {
    const primaryUntil = Math.min(deadline, Date.now() + PRIMARY_WAIT_MS);
    for (let attempt = 1; ; attempt += 1) {
      try {
        this.#primary?.requireKnown();
        return await this.#pool.connect();
      } catch (error) {
        // What answers is another one than the supervisor knows of, which it soon will.
        if (error instanceof NotPrimaryError && Date.now() < primaryUntil) {
          attempt -= 1;
          await sleep(PRIMARY_LOOK_MS);
          continue;
        }
        if (!isConnectTimeout(error) || attempt === ATTEMPTS || Date.now() >= deadline) throw error;
        this.#counters.add('poolRetries');
      }
    }
  }

  async end(): Promise<void> {
    this.#primary?.stop();
    await this.#pool.end();
  }

  /** Reports how much work waits for a connection without having requested one yet. */
  setQueued(count: number): void {
    this.#queued = count;
    this.#counters.set('poolWaiting', this.#pool.waitingCount + count);
  }

  #publish(): void {
    if (!this.#isMeasured) return;
    this.#counters.set('poolSize', this.#open);
    this.#counters.set('poolInUse', this.#pool.totalCount - this.#pool.idleCount);
    this.#counters.set('poolWaiting', this.#pool.waitingCount + this.#queued);
  }
}

function sessionSettings({ statementMs, idleInTransactionMs }: PoolOptions): string {
  return `SET statement_timeout = ${statementMs}; SET idle_in_transaction_session_timeout = ${idleInTransactionMs}`;
}

/** The deadline of a connection's work, ms since 1970: after it, no caller waits for the changes. */
const deadlines = new WeakMap<Connection, number>();

/** Whose connections lead to the primary, and nowhere else. */
const primaries = new WeakMap<Connection, PrimaryConnections>();

/** Connections between a BEGIN and its end. */
const inside = new WeakSet<Connection>();

/**
 * Runs `work` between BEGIN and COMMIT; ROLLBACK when it throws, or when its time is over before. Within another
 * transaction of the connection it is a part of that one, of which only the part is undone.
 */
export async function inTransaction<T>(connection: Connection, work: () => Promise<T>): Promise<T> {
  if (inside.has(connection)) return inSavepoint(connection, work);
  await connection.query('BEGIN');
  inside.add(connection);
  try {
    const result = await work();
    // A cancellation between two statements cancels nothing, and a busy thread's timer is late.
    if (Date.now() >= (deadlines.get(connection) ?? Number.POSITIVE_INFINITY))
      throw new DeadlineError('too late to commit');
    primaries.get(connection)?.requireCurrent(connection);
    await connection.query('COMMIT');
    return result;
  } catch (error) {
    if (!isConnectionLoss(error)) await connection.query('ROLLBACK').catch(() => destroy(connection));
    throw error;
  } finally {
    inside.delete(connection);
  }
}

async function inSavepoint<T>(connection: Connection, work: () => Promise<T>): Promise<T> {
  await connection.query('SAVEPOINT nested');
  try {
    const result = await work();
    await connection.query('RELEASE SAVEPOINT nested');
    return result;
  } catch (error) {
    if (!isConnectionLoss(error)) {
      await connection
        .query('ROLLBACK TO SAVEPOINT nested; RELEASE SAVEPOINT nested')
        .catch(() => destroy(connection));
    }
    throw error;
  }
}

/** The rows of a named statement, as arrays of text. */
export async function rowsOf<Row extends readonly (string | null)[]>(
  connection: Connection,
  statement: Statement,
  values: readonly unknown[] = [],
): Promise<Row[]> {
  const { rows } = await connection.query<(string | null)[]>({
    name: statement.name,
    text: statement.text,
    values: values as unknown[],
    rowMode: 'array',
  });
  return rows as readonly (readonly (string | null)[])[] as Row[];
}
