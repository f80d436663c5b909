import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import type { DatabaseAddress } from '../config.js';
import type { ThreadCounters } from '../memory/counters.js';
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
  #queued = 0;

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
   * Runs `work` on a connection. After `deadlineMs` a DeadlineError is thrown, and what runs on the connection is canceled.
   * A deadlock's victim is run again from the start, so `work` must be a whole transaction.
   */
  async run<T>(deadlineMs: number, work: (connection: Connection) => Promise<T>): Promise<T> {
    const deadline = Date.now() + deadlineMs;
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.#once(deadline - Date.now(), work);
      } catch (error) {
        this.#counters.add('poolErrors');
        if (verdictOf(error) !== 'retry' || attempt === ATTEMPTS || Date.now() >= deadline) throw error;
        this.#counters.add('poolRetries');
      }
    }
  }

  /** As `run`, without a second attempt: for work that consumes what it is given. */
  runOnce<T>(deadlineMs: number, work: (connection: Connection) => Promise<T>): Promise<T> {
    return this.#once(deadlineMs, work).catch((error: unknown) => {
      this.#counters.add('poolErrors');
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
      this.#counters.add('poolRetries');
      return await this.run(deadline - Date.now(), work);
    }
  }

  async #once<T>(deadlineMs: number, work: (connection: Connection) => Promise<T>): Promise<T> {
    const client = await this.#pool.connect();
    this.#publish();
    this.#counters.add('poolCheckouts');
    let onEnd: () => void = () => undefined;
    let timer: NodeJS.Timeout | undefined;
    // A cursor is never told that its connection is gone, and would be waited for until the deadline.
    const lost = new Promise<never>((_, reject) => {
      onEnd = () => reject(new Error('connection terminated while it was in use'));
      client.once('end', onEnd);
    });
    const worked = Promise.race([work(client), lost]);
    const late = new Promise<never>((_, reject) => {
      const error = new DeadlineError(`no answer from PostgreSQL within ${deadlineMs} ms`);
      timer = setTimeout(reject, Math.max(1, deadlineMs), error);
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
      // Whoever asked has the answer now; the connection is free when PostgreSQL has let go of it.
      if (error instanceof DeadlineError) void endWork(client, worked).then(release);
      else release(isConnectionLoss(error));
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  async end(): Promise<void> {
    await this.#pool.end();
  }

  /** Says how much work waits for a connection without having asked for one yet. */
  setQueued(count: number): void {
    this.#queued = count;
    this.#counters.set('poolWaiting', this.#pool.waitingCount + count);
  }

  #publish(): void {
    this.#counters.set('poolSize', this.#pool.totalCount);
    this.#counters.set('poolInUse', this.#pool.totalCount - this.#pool.idleCount);
    this.#counters.set('poolWaiting', this.#pool.waitingCount + this.#queued);
  }
}

/** How long PostgreSQL may take to give up a statement before its connection is cut. */
const CANCEL_MS = 1000;

/**
 * Ends work that is past its deadline. PostgreSQL does not notice that a client has gone while a
 * statement waits for a lock: cut off, the backend would stay, and the next connection would be one
 * more than DATABASE_POOL_MAX. So it is asked to cancel, as psql does.
 * @returns whether the connection is of no further use.
 */
async function endWork(client: pg.ClientBase, worked: Promise<unknown>): Promise<boolean> {
  const ended = worked.then(
    () => 'usable' as const,
    (error: unknown) => (isConnectionLoss(error) ? ('broken' as const) : ('usable' as const)),
  );
  // Both, for a cancellation that arrives late would hit the next one's statement.
  const canceled = Promise.all([ended, requestCancel(client)]).then(([state]) => state);
  const state = await Promise.race([canceled, sleep(CANCEL_MS, 'late' as const, { ref: false })]);
  if (state === 'late') cut(client);
  return state !== 'usable';
}

/** Asks PostgreSQL, over a connection of the request's own, to cancel what a connection is running. */
function requestCancel(client: pg.ClientBase): Promise<void> {
  const { host, port, processID, secretKey } = client as unknown as {
    host: string;
    port: number;
    processID: number;
    secretKey: number;
  };
  const request = Buffer.alloc(16);
  request.writeInt32BE(request.length, 0);
  request.writeInt32BE(CANCEL_REQUEST, 4);
  request.writeInt32BE(processID, 8);
  request.writeInt32BE(secretKey, 12);
  return new Promise((resolve) => {
    const socket = host.startsWith('/') ? connect(`${host}/.s.PGSQL.${port}`) : connect({ host, port });
    socket.setTimeout(CANCEL_MS, () => socket.destroy());
    // Then the statement's own time-out ends it.
    socket.on('error', () => undefined);
    socket.once('close', () => resolve());
    socket.resume();
    socket.end(request);
  });
}

/** The code that PostgreSQL's protocol gives to a cancel request. */
const CANCEL_REQUEST = 80877102;

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
