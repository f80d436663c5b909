import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import type { DatabaseAddress } from '../config.js';
import type { Coherence } from '../memory/coherence.js';
import { Database, type ServerState } from '../memory/server-state.js';
import { isConnectionLoss, sqlStateOf } from '../postgres/failures.js';
import { type Connection, clientOptions, cut } from '../postgres/pool.js';
import { UnusableDatabaseError } from '../store/migrate.js';

const CHANNEL = 'switchyard_invalidation';

export interface DatabaseWatchOptions {
  readonly address: () => DatabaseAddress;
  readonly coherence: Coherence;
  readonly state: ServerState;
  readonly connectMs: number;
  readonly heartbeatMs: number;
  readonly timeoutMs: number;
  /** Run on the first connection, before anything else may use the database. */
  readonly prepare: (connection: Connection) => Promise<void>;
  /** Run before each attempt to reconnect, as to start an embedded PostgreSQL again. */
  readonly revive: () => Promise<void>;
  readonly onChange: (change: DatabaseChange) => void;
}

export type DatabaseChange =
  | { readonly kind: 'up' }
  | { readonly kind: 'down'; readonly error: Error }
  /** The LISTEN connection broke; PostgreSQL itself may be well. */
  | { readonly kind: 'deaf'; readonly error: Error };

const FIRST_BACKOFF_MS = 20;
const LONGEST_BACKOFF_MS = 1000;
const GOODBYE_MS = 500;
/** pg_stat_activity, LISTEN and the heartbeat all stand on this one. */
const APPLICATION_NAME = 'switchyard listen';

/**
 * Keeps one connection to PostgreSQL, for two purposes: it hears what other servers changed (LISTEN),
 * and it is how the server knows whether PostgreSQL can be reached at all.
 *
 * States: *connecting* (the database counts as down, unless it was up a moment ago) → *listening* (up
 * and coherent) → *connecting* again, when the connection breaks or a heartbeat goes unanswered. A
 * change may have gone unheard meanwhile, so on entering *listening* again a new epoch begins: all
 * that is cached becomes suspect.
 */
export class DatabaseWatch {
  readonly #options: DatabaseWatchOptions;
  #client: pg.Client | undefined;
  #isPrepared = false;
  #isStopped = false;
  #attempts = 0;
  #wake = new AbortController();
  #first: { resolve: () => void; reject: (error: unknown) => void } | undefined;
  #done: Promise<void> | undefined;

  constructor(options: DatabaseWatchOptions) {
    this.#options = options;
  }

  /** Connections made so far; all but the first meant that invalidations may have been missed. */
  get attempts(): number {
    return this.#attempts;
  }

  /**
   * Begins, and goes on by itself.
   * @returns when the database is ready for the first time.
   * @throws UnusableDatabaseError, or what `prepare` or PostgreSQL's refusal to let us in threw.
   */
  start(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#first = { resolve, reject };
      this.#done = this.#watch();
    });
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#wake.abort();
    const client = this.#client;
    // A frozen PostgreSQL would never say goodbye.
    if (client !== undefined) await withDeadline(client, client.end(), GOODBYE_MS).catch(() => undefined);
    await this.#done;
  }

  async #watch(): Promise<void> {
    let backoffMs = FIRST_BACKOFF_MS;
    while (!this.#isStopped) {
      let client: pg.Client;
      try {
        client = await this.#connect();
        backoffMs = FIRST_BACKOFF_MS;
      } catch (error) {
        if (this.#isFatal(error)) {
          this.#first?.reject(error);
          return;
        }
        this.#failedToConnect(error as Error);
        // Jitter, so that the servers of one database do not come back at the same moment.
        await this.#pause(backoffMs * (0.5 + Math.random()));
        backoffMs = Math.min(LONGEST_BACKOFF_MS, backoffMs * 2);
        await this.#options.revive().catch(() => undefined);
        continue;
      }
      const error = await this.#listen(client);
      this.#options.state.coherent = false;
      if (!this.#isStopped) this.#options.onChange({ kind: 'deaf', error });
    }
  }

  async #connect(): Promise<pg.Client> {
    const client = new pg.Client(
      clientOptions(this.#options.address(), APPLICATION_NAME, this.#options.connectMs),
    );
    client.on('error', () => undefined);
    try {
      await client.connect();
      if (!this.#isPrepared) {
        await this.#options.prepare(client);
        this.#isPrepared = true;
      }
      client.on('notification', ({ payload }) => this.#hear(payload ?? '*'));
      await withDeadline(client, client.query(`LISTEN ${CHANNEL}`), this.#options.connectMs);
      await this.#readClock(client, this.#options.connectMs);
    } catch (error) {
      cut(client);
      throw error;
    }
    this.#client = client;
    if (this.#attempts > 0) this.#options.coherence.beginEpoch();
    this.#attempts += 1;
    return client;
  }

  /** @returns why it can listen no more. */
  async #listen(client: pg.Client): Promise<Error> {
    const { state, heartbeatMs, timeoutMs } = this.#options;
    const wasUp = state.database === Database.UP;
    state.coherent = true;
    state.database = Database.UP;
    if (!wasUp) this.#options.onChange({ kind: 'up' });
    this.#first?.resolve();
    this.#first = undefined;
    const broken = new Promise<Error>((resolve) => {
      client.once('error', resolve);
      client.once('end', () => resolve(new Error('the connection ended')));
    });
    for (;;) {
      const heartbeat = this.#heartbeat(client, heartbeatMs, timeoutMs);
      const error = await Promise.race([broken, heartbeat]);
      if (error === undefined && !this.#isStopped) continue;
      cut(client);
      return error ?? new Error('stopped');
    }
  }

  async #heartbeat(client: pg.Client, everyMs: number, timeoutMs: number): Promise<Error | undefined> {
    await this.#pause(everyMs);
    if (this.#isStopped) return undefined;
    try {
      await this.#readClock(client, timeoutMs);
      return undefined;
    } catch (error) {
      return error as Error;
    }
  }

  /** Links begin and expire by the database's clock, on every server at the same second. */
  async #readClock(client: pg.Client, timeoutMs: number): Promise<void> {
    const askedMs = Date.now();
    const query = client.query<{ now_ms: string }>(
      'SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now_ms',
    );
    const { rows } = await withDeadline(client, query, timeoutMs);
    const answeredMs = Date.now();
    this.#options.state.setDatabaseClockOffset(Number(rows[0]?.now_ms) - (askedMs + answeredMs) / 2);
  }

  #hear(payload: string): void {
    if (payload.startsWith('=')) this.#options.coherence.invalidate(payload.slice(1));
    else this.#options.coherence.invalidateAll();
  }

  /** Only a PostgreSQL that can't be reached is down; one that refuses one connection more is not. */
  #failedToConnect(error: Error): void {
    const { state, onChange } = this.#options;
    const isAway = sqlStateOf(error) === undefined || isConnectionLoss(error);
    if (!isAway || state.database === Database.DOWN) return;
    state.database = Database.DOWN;
    onChange({ kind: 'down', error });
  }

  /** Before the first success, a refusal that waiting will not mend. */
  #isFatal(error: unknown): boolean {
    if (this.#isPrepared) return false;
    if (error instanceof UnusableDatabaseError) return true;
    const sqlState = sqlStateOf(error);
    // Starting, stopping, or out of connections: it may let us in later.
    return sqlState !== undefined ? !/^(57P0|53|55P03)/.test(sqlState) : !isConnectionLoss(error);
  }

  async #pause(milliseconds: number): Promise<void> {
    await sleep(milliseconds, undefined, { signal: this.#wake.signal, ref: true }).catch(() => undefined);
  }
}

/** The promise's value, unless it takes too long: then the connection is cut. */
async function withDeadline<T>(client: pg.Client, promise: Promise<T>, milliseconds: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new Error(`no answer within ${milliseconds} ms: connection terminated`));
      cut(client);
    }, milliseconds);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
    promise.catch(() => undefined);
  }
}
