import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import type { Coherence } from '../memory/coherence.js';
import { Database, type ServerState } from '../memory/server-state.js';
import { destroy } from '../postgres/cancel.js';
import { type ClusterIdentity, identityOf, isSameCluster, roleOf } from '../postgres/cluster-identity.js';
import { withDeadline } from '../postgres/deadline.js';
import {
  isConnectionLoss,
  NotPrimaryError,
  sqlStateOf,
  UnusableDatabaseError,
} from '../postgres/failures.js';
import { type Connection, clientOptions } from '../postgres/pool.js';
import { isStatementMode, sharesBackends } from '../postgres/pooler.js';
import { Backoff } from '../runtime/backoff.js';
import { admitRelease } from '../store/schema-floor.js';
import type { DatabaseHosts } from './database-hosts.js';
import type { StandbyProofs } from './standby-proofs.js';

const CHANNEL = 'switchyard_invalidation';

export interface DatabaseWatchOptions {
  /** The hosts of PostgreSQL, and which of them is the primary. */
  readonly hosts: DatabaseHosts;
  readonly coherence: Coherence;
  readonly state: ServerState;
  readonly connectMs: number;
  readonly heartbeatMs: number;
  readonly timeoutMs: number;
  /** Run on the first connection, before anything else may use the database. */
  readonly prepare: (connection: Connection) => Promise<void>;
  /** Run on a connection to another PostgreSQL, or to the same one on another timeline. */
  readonly prepareAgain: (connection: Connection) => Promise<void>;
  /** Of what standbys have. */
  readonly proofs: StandbyProofs;
  /** Run before each attempt to reconnect, as to start an embedded PostgreSQL again. */
  readonly revive: () => Promise<void>;
  readonly onChange: (change: DatabaseChange) => void;
  /** Connections to PostgreSQL that the server's other threads hold. */
  readonly openConnections: () => number;
}

export type DatabaseChange =
  | { readonly kind: 'up' }
  | { readonly kind: 'down'; readonly error: Error }
  /** Notifications no longer arrive; PostgreSQL itself may be well. */
  | { readonly kind: 'listen-lost'; readonly error: Error }
  /** What is known about the database may be from a time that it has fallen back from. */
  | { readonly kind: 'reconnected' }
  /** A standby was promoted, or a backup restored. */
  | { readonly kind: 'replaced'; readonly from: ClusterIdentity; readonly to: ClusterIdentity };

/** How often to prove that notifications arrive; in between, that the connection is alive. */
const ECHO_EVERY_MS = 10_000;
const BACKOFF = { firstMs: 40, maxMs: 1000 };
/** How often to check whether a primary is known; this asks no host. */
const PRIMARY_LOOK_MS = 50;
const GOODBYE_MS = 500;
/** pg_stat_activity, LISTEN and the heartbeat all stand on this one. */
const APPLICATION_NAME = 'switchyard listen';

/** PostgreSQL answers on the LISTEN connection, but sends no notification over it. */
class NotHeardError extends Error {
  override readonly name = 'NotHeardError';
}

/**
 * Keeps one connection to PostgreSQL, for two purposes: it hears what other servers changed (LISTEN),
 * and it is how the server knows whether PostgreSQL can be reached at all.
 *
 * A NOTIFY to itself, on a separate channel, proves that notifications arrive: when it connects and every
 * 10 s. A live connection may still not hear them: a pooler in between may have put LISTEN on
 * another backend.
 *
 * States: *connecting* (the database counts as down, unless it was up a moment ago) → *listening* (up
 * and coherent) → *connecting* again, when the connection breaks or a heartbeat goes unanswered. A
 * change may have gone unheard meanwhile, so on entering *listening* again a new epoch begins: all
 * that is cached becomes suspect. Another PostgreSQL, or the same one on another timeline, is prepared again. Of
 * several hosts it listens to the primary; when the primary changes, it cuts the connection.
 */
export class DatabaseWatch {
  readonly #options: DatabaseWatchOptions;
  #client: pg.Client | undefined;
  #isPrepared = false;
  #identity: ClusterIdentity | undefined;
  #isStopped = false;
  #connections = 0;
  #isLossReported = false;
  #isUnusable = false;
  readonly #echoChannel = `switchyard_echo_${randomBytes(8).toString('hex')}`;
  #echoes = 0;
  #echoedAtMs = 0;
  #onEcho: (payload: string) => void = () => undefined;
  #wake = new AbortController();
  #first: { resolve: () => void; reject: (error: unknown) => void } | undefined;
  #done: Promise<void> | undefined;

  constructor(options: DatabaseWatchOptions) {
    this.#options = options;
  }

  /** Connections made so far; all but the first meant that invalidations may have been missed. */
  get connections(): number {
    return this.#connections;
  }

  /**
   * Begins, and goes on by itself.
   * @returns when the database is ready for the first time.
   * @throws UnusableDatabaseError, or what `prepare` or PostgreSQL's refusal to let us in threw.
   */
  start(): Promise<void> {
    this.#options.hosts.start();
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
    this.#options.hosts.stop();
  }

  async #watch(): Promise<void> {
    const backoff = new Backoff(BACKOFF);
    while (!this.#isStopped) {
      let client: pg.Client;
      try {
        client = await this.#connect();
        backoff.reset();
      } catch (error) {
        if (this.#isFatal(error)) {
          this.#first?.reject(error);
          return;
        }
        this.#failedToConnect(error as Error);
        await this.#pause(error instanceof NotPrimaryError ? PRIMARY_LOOK_MS : backoff.next());
        await this.#options.revive().catch(() => undefined);
        continue;
      }
      const error = await this.#listen(client);
      this.#options.state.coherent = false;
      this.#options.proofs.end();
      if (!this.#isStopped) this.#reportLoss(error);
    }
  }

  /** Once for each loss, however many attempts it takes to hear again. */
  #reportLoss(error: Error): void {
    if (this.#isLossReported) return;
    this.#isLossReported = true;
    this.#options.onChange({ kind: 'listen-lost', error });
  }

  async #connect(): Promise<pg.Client> {
    const { connectMs, hosts } = this.#options;
    const host = await hosts.choose();
    const client = await this.#open(host);
    try {
      const identity = identityOf(await withDeadline(client, roleOf(client), connectMs));
      hosts.requireNewest(identity);
      if (this.#isPrepared) await admitRelease(client, connectMs);
      else {
        await this.#requireOwnBackend(client, host);
        // That admits it too.
        await this.#options.prepare(client);
        this.#isPrepared = true;
      }
      client.on('notification', ({ channel, payload }) => {
        if (channel === CHANNEL) this.#hear(payload ?? '*');
        else this.#onEcho(payload ?? '');
      });
      const listen = `LISTEN ${CHANNEL}; LISTEN ${this.#echoChannel}`;
      await withDeadline(client, client.query(listen), connectMs);
      await this.#proveHearing(client, connectMs);
      await this.#readClock(client, connectMs);
      await this.#recognise(client, identity);
      const mark = await withDeadline(client, this.#options.proofs.begin(client), connectMs);
      hosts.use(host, this.#identity, mark);
    } catch (error) {
      destroy(client);
      throw error;
    }
    this.#client = client;
    if (this.#connections > 0) {
      this.#options.coherence.beginEpoch();
      this.#options.onChange({ kind: 'reconnected' });
    }
    this.#connections += 1;
    return client;
  }

  /** Whether it is the same PostgreSQL, on the same timeline. One that does not identify itself counts as the same. */
  async #recognise(client: pg.Client, identity: ClusterIdentity | undefined): Promise<void> {
    const from = this.#identity;
    const to = identity ?? from;
    if (from !== undefined && to !== undefined && !isSameCluster(from, to)) {
      // Nobody may work on it before it is prepared, and nobody on the old one.
      this.#options.hosts.leave();
      this.#options.onChange({ kind: 'replaced', from, to });
      await this.#options.prepareAgain(client);
    }
    this.#identity = to;
  }

  async #open(host: number): Promise<pg.Client> {
    const { hosts, connectMs } = this.#options;
    const client = new pg.Client(clientOptions(hosts.addressOf(host), APPLICATION_NAME, connectMs));
    client.on('error', () => undefined);
    try {
      await client.connect();
      return client;
    } catch (error) {
      destroy(client);
      throw error;
    }
  }

  /** @throws UnusableDatabaseError where a pooler in between would give our backend to others. */
  async #requireOwnBackend(client: pg.Client, host: number): Promise<void> {
    let other: pg.Client | undefined;
    const another = async (): Promise<pg.Client> => {
      other = await this.#open(host);
      return other;
    };
    const isShared = await withDeadline(client, sharesBackends(client, another), this.#options.connectMs * 2)
      .catch((error: unknown) => {
        if (isStatementMode(error)) return true;
        throw error;
      })
      .finally(() => other !== undefined && destroy(other));
    if (!isShared) return;
    throw new UnusableDatabaseError(
      'the database is reached through a pooler that shares connections by transaction: use its session mode (PgBouncer: pool_mode = session) or a direct connection',
    );
  }

  /** @throws NotHeardError if PostgreSQL accepts a notification and does not deliver it. */
  async #proveHearing(client: pg.Client, timeoutMs: number): Promise<void> {
    this.#echoes += 1;
    const sent = String(this.#echoes);
    const heard = new Promise<true>((resolve) => {
      this.#onEcho = (payload) => {
        if (payload === sent) resolve(true);
      };
    });
    await withDeadline(client, client.query(`NOTIFY ${this.#echoChannel}, '${sent}'`), timeoutMs);
    // PostgreSQL is well, and a busy thread of ours is no reason to give up on it.
    const isHeard = await Promise.race([heard, sleep(timeoutMs, false, { ref: false })]);
    if (!isHeard) throw new NotHeardError(`a notification did not come back within ${timeoutMs} ms`);
    this.#echoedAtMs = performance.now();
  }

  /** @returns why it can no longer listen. */
  async #listen(client: pg.Client): Promise<Error> {
    const { state, heartbeatMs, timeoutMs } = this.#options;
    const wasUp = state.database === Database.UP;
    this.#isLossReported = false;
    state.coherent = true;
    state.database = Database.UP;
    if (!wasUp) this.#options.onChange({ kind: 'up' });
    this.#first?.resolve();
    this.#first = undefined;
    const broken = new Promise<Error>((resolve) => {
      client.once('error', resolve);
      client.once('end', () => resolve(new Error('the connection ended')));
      this.#options.hosts.onLeft = resolve;
    });
    for (;;) {
      const heartbeat = this.#heartbeat(client, heartbeatMs, timeoutMs);
      const error = await Promise.race([broken, heartbeat]);
      if (error === undefined && !this.#isStopped) continue;
      destroy(client);
      return error ?? new Error('stopped');
    }
  }

  async #heartbeat(client: pg.Client, everyMs: number, timeoutMs: number): Promise<Error | undefined> {
    await this.#pause(everyMs);
    if (this.#isStopped) return undefined;
    try {
      this.#options.hosts.requireInUse();
      await this.#readClock(client, timeoutMs);
      if (performance.now() - this.#echoedAtMs >= ECHO_EVERY_MS) await this.#proveHearing(client, timeoutMs);
      await withDeadline(client, this.#options.proofs.keep(client), timeoutMs);
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

  /**
   * PostgreSQL is down when it can't be reached, and when it no longer lets us in (a password changed, no
   * connection left, the database gone or closed), unless connections from before still work.
   */
  #failedToConnect(error: Error): void {
    const { state, onChange, openConnections } = this.#options;
    if (error instanceof NotHeardError) {
      this.#reportLoss(error);
      return;
    }
    const isRefusal = sqlStateOf(error) !== undefined && !isConnectionLoss(error);
    const isUnusable = error instanceof UnusableDatabaseError;
    // Down for another reason than before: this one needs the operator.
    const isNews = isUnusable && !this.#isUnusable;
    this.#isUnusable = isUnusable;
    const wasKnown = (isRefusal && openConnections() > 0) || state.database === Database.DOWN;
    if (wasKnown && !isNews) return;
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
