import { setTimeout as sleep } from 'node:timers/promises';
import { type Config, ConfigError } from '../config.js';
import { isConnectionLoss } from '../postgres/failures.js';
import { type Connection, inTransaction } from '../postgres/pool.js';
import { describeError } from '../runtime/describe-error.js';
import type { Logger } from '../runtime/logger.js';
import { settleIngestWay, wrongWay } from '../store/click-ingest.js';
import { hasAdminKey } from '../store/keys.js';
import { databaseId, type Prepared, prepareDatabase } from '../store/migrate.js';
import { reservedLinks, reservedLinksNotice } from '../store/reserved-codes.js';
import { type SeedReport, seedDatabase } from '../store/seed.js';

/** How long a start waits for the database before it serves without it. */
const FIRST_CONTACT_MS = 3000;
/** The same, once PostgreSQL has answered: migrations, and a seed on a slow machine. */
const PREPARATION_MS = 60_000;

/** The server's first contact with its database: migrations, seed, and how long to wait for both. */
export class FirstContact {
  readonly #config: Config;
  readonly #log: Logger;
  #untilMs = 0;
  #databaseId: string | undefined;
  #seedReports: readonly SeedReport[] = [];

  constructor(config: Config, log: Logger) {
    this.#config = config;
    this.#log = log;
  }

  /** What was loaded; empty if there was nothing to load, or not yet. */
  get seedReports(): readonly SeedReport[] {
    return this.#seedReports;
  }

  async prepare(connection: Connection): Promise<void> {
    this.#untilMs = Date.now() + PREPARATION_MS;
    const { SEED_ON_BOOT, SEED_LENIENT, CSV_DIR } = this.#config;
    const prepared = await prepareDatabase(connection, async () => {
      if (!SEED_ON_BOOT) return;
      this.#seedReports = (await seedDatabase(connection, CSV_DIR, { isLenient: SEED_LENIENT })) ?? [];
    });
    await this.#requireWayIn(connection);
    await this.#requireIngestWay(connection);
    this.#databaseId = await databaseId(connection);
    this.#report(prepared);
    const codes = await reservedLinks(connection);
    if (codes.length > 0) this.#log.warn({ codes }, reservedLinksNotice(codes));
    for (const { table, loaded, notes, rejected, rejections } of this.#seedReports) {
      if (rejected > 0)
        this.#log.warn({ table, rejected, rejections }, `left ${rejected} rows out of ${table}`);
      const fields = { table, loaded, notes: Object.fromEntries(notes) };
      this.#log.info(fields, `seeded ${loaded} rows into ${table}`);
    }
  }

  /**
   * Prepares a database that has fallen back in time: its schema and its sequences may be older. Leaves
   * another database, or one that is still being restored, as it is.
   */
  async prepareAgain(connection: Connection): Promise<void> {
    try {
      const id = await databaseId(connection);
      if (id !== this.#databaseId) {
        const what = `the address leads to another database (${id}): clicks wait for ${this.#databaseId}`;
        this.#log.error({ database: id }, what);
        return;
      }
      this.#report(await prepareDatabase(connection));
      await this.#requireIngestWay(connection);
    } catch (error) {
      if (isConnectionLoss(error)) throw error;
      this.#log.error({ error }, `the database could not be prepared again: ${describeError(error)}`);
    }
  }

  #report(prepared: Prepared): void {
    if (prepared.applied.length > 0) {
      this.#log.info({ migrations: prepared.applied }, `applied ${prepared.applied.length} migrations`);
    }
    for (const { table, from, to } of prepared.raised) {
      const what = `the sequence of ${table} was behind its ids: raised from ${from} to ${to}`;
      this.#log.warn({ table, from, to }, what);
    }
    if (prepared.newer) this.#log.warn('the database was migrated by a newer version of this server');
  }

  /** @throws ConfigError if nobody could ever create a key, or do anything. */
  async #requireWayIn(connection: Connection): Promise<void> {
    if (this.#config.API_AUTH === 'off' || this.#config.ADMIN_KEY !== undefined) return;
    if (await hasAdminKey(connection)) return;
    throw new ConfigError('API_AUTH=on needs ADMIN_KEY, or a key with scope admin in the database');
  }

  /** @throws ConfigError if the database gets its clicks by another way than this server's. */
  async #requireIngestWay(connection: Connection): Promise<void> {
    const { CLICK_INGEST: wanted } = this.#config;
    const way = await inTransaction(connection, () => settleIngestWay(connection, wanted));
    if (way !== wanted) throw new ConfigError(wrongWay(way, wanted));
  }

  /** Waits for the database as long as a start may. @throws the rejection of `ready`. */
  async wait(ready: Promise<void>): Promise<void> {
    this.#untilMs = Date.now() + FIRST_CONTACT_MS;
    const ended = new AbortController();
    const done = ready.finally(() => ended.abort());
    while (!ended.signal.aborted && Date.now() < this.#untilMs) {
      const pause = sleep(this.#untilMs - Date.now(), undefined, { signal: ended.signal });
      // An answer in that time extends it.
      await Promise.race([done, pause.catch(() => undefined)]);
    }
    if (ended.signal.aborted) await done;
    else done.catch(() => undefined);
  }
}
