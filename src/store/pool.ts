import pg from 'pg';
import type { DatabaseAddress } from '../config.js';
import type { ThreadCounters } from '../shared/counters.js';
import { DeadlineError, isConnectionLoss, verdictOf } from './failures.js';

/** A connection in use; every statement of the store takes one as its first argument. */
export type Connection = pg.ClientBase;

/** A named statement: PostgreSQL plans it once a connection. Name and text are one to one. */
export interface Statement {
  readonly name: string;
  readonly text: string;
}

export interface PoolOptions {
  readonly address: DatabaseAddress;
  /** Connections this pool may hold: a share of DATABASE_POOL_MAX. */
  readonly max: number;
  /** Shown in pg_stat_activity. */
  readonly name: string;
  readonly connectMs: number;
  /** The server ends a longer statement. 0: no limit. */
  readonly statementMs: number;
  /** The server ends a transaction that waits so long for its client. */
  readonly idleInTransactionMs: number;
  readonly counters: ThreadCounters;
  readonly onConnectionError: (error: Error) => void;
}

/** Values come as PostgreSQL's own text: an id beyond 2^53 stays exact, a timestamp stays a string. */
export const textTypes = { getTypeParser: () => (text: string) => text } as unknown as pg.CustomTypesConfig;

/** The options of a single connection, the same for pooled ones and for the LISTEN connection. */
export function clientOptions(address: DatabaseAddress, name: string, connectMs: number): pg.ClientConfig {
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

/** A bounded pool of connections for one kind of work in one thread. */
export class Pool {
  readonly max: number;
  readonly #pool: pg.Pool;
  readonly #counters: ThreadCounters;

  constructor(options: PoolOptions) {
    this.max = options.max;
    this.#counters = options.counters;
    this.#pool = new pg.Pool({
      ...clientOptions(options.address, options.name, options.connectMs),
      max: options.max,
      idleTimeoutMillis: 60_000,
      statement_timeout: options.statementMs,
      idle_in_transaction_session_timeout: options.idleInTransactionMs,
    });
    // An idle connection that breaks tells the pool; one in use tells itself. Unheard, either
    // would end the process.
    this.#pool.on('error', options.onConnectionError);
    this.#pool.on('connect', (client) => {
      client.on('error', options.onConnectionError);
    });
  }

  /**
   * Runs `work` on a connection. After `deadlineMs` the connection is cut and a DeadlineError thrown.
   * A deadlock's victim is run again from the start, so `work` must be a whole transaction.
   */
  async run<T>(deadlineMs: number, work: (connection: Connection) => Promise<T>): Promise<T> {
    const deadline = Date.now() + deadlineMs;
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.#once(deadline - Date.now(), work);
      } catch (error) {
        this.#counters.add('sqlErrors');
        if (verdictOf(error) !== 'retry' || attempt === ATTEMPTS || Date.now() >= deadline) throw error;
        this.#counters.add('sqlRetries');
      }
    }
  }

  /** As `run`, without a second attempt: for work that consumes what it is given. */
  runOnce<T>(deadlineMs: number, work: (connection: Connection) => Promise<T>): Promise<T> {
    return this.#once(deadlineMs, work).catch((error: unknown) => {
      this.#counters.add('sqlErrors');
      throw error;
    });
  }

  /**
   * As `run`, and once more on a fresh connection when the first one turns out to be broken, as the
   * idle ones are after PostgreSQL restarted. Only for work that changes nothing.
   */
  async runReadOnly<T>(deadlineMs: number, work: (connection: Connection) => Promise<T>): Promise<T> {
    const deadline = Date.now() + deadlineMs;
    try {
      return await this.run(deadlineMs, work);
    } catch (error) {
      if (!isConnectionLoss(error) || error instanceof DeadlineError) throw error;
      this.#counters.add('sqlRetries');
      return await this.run(deadline - Date.now(), work);
    }
  }

  async #once<T>(deadlineMs: number, work: (connection: Connection) => Promise<T>): Promise<T> {
    const client = await this.#pool.connect();
    this.#publish();
    let broken = false;
    let timer: NodeJS.Timeout | undefined;
    let onEnd: () => void = () => undefined;
    try {
      return await new Promise<T>((resolve, reject) => {
        // A cursor is never told that its connection is gone, and would be waited for until the deadline.
        onEnd = () => reject(new Error('connection terminated while it was in use'));
        client.once('end', onEnd);
        timer = setTimeout(
          () => {
            broken = true;
            reject(new DeadlineError(`no answer from PostgreSQL within ${deadlineMs} ms`));
            cut(client);
          },
          Math.max(1, deadlineMs),
        );
        this.#counters.add('sqlStatements');
        work(client).then(resolve, reject);
      });
    } catch (error) {
      broken ||= isConnectionLoss(error);
      throw error;
    } finally {
      clearTimeout(timer);
      client.off('end', onEnd);
      client.release(broken);
      this.#publish();
    }
  }

  async end(): Promise<void> {
    await this.#pool.end();
  }

  #publish(): void {
    this.#counters.set('poolSize', this.#pool.totalCount);
    this.#counters.set('poolInUse', this.#pool.totalCount - this.#pool.idleCount);
    this.#counters.set('poolWaiting', this.#pool.waitingCount);
  }
}

/** Ends a connection at once, whatever it is doing: nothing is said to PostgreSQL. */
export function cut(client: pg.ClientBase): void {
  const { connection } = client as unknown as { connection: { stream: { destroy(): void } } };
  connection.stream.destroy();
}

/** Runs `work` between BEGIN and COMMIT; ROLLBACK when it throws. */
export async function inTransaction<T>(connection: Connection, work: () => Promise<T>): Promise<T> {
  await connection.query('BEGIN');
  try {
    const result = await work();
    await connection.query('COMMIT');
    return result;
  } catch (error) {
    if (!isConnectionLoss(error)) await connection.query('ROLLBACK').catch(() => cut(connection));
    throw error;
  }
}

/** The rows of a named statement, as arrays of text. */
export async function rowsOf<Row extends readonly (string | null)[]>(
  connection: Connection,
  statement: Statement,
  values: readonly unknown[] = [],
): Promise<Row[]> {
  const result = await connection.query({
    name: statement.name,
    text: statement.text,
    values: values as unknown[],
    rowMode: 'array',
  });
  return result.rows as unknown as Row[];
}
