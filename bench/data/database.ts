import { chmodSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import pg from 'pg';
import type { EmbeddedAddress } from '../../src/postgres/answer.js';
import { EmbeddedPostgres } from '../../src/postgres/embedded.js';
import { clientOptions } from '../../src/postgres/pool.js';
import { withChildren } from '../measure/process-usage.js';
import { root as ownRoot } from '../root.js';
import { fillLinksSql, fillUsersSql } from './links.js';

type Migrations = typeof import('../../src/store/migrate.js');

/** A fresh folder that any user may enter, as a PostgreSQL started by root needs it. */
export function makeFolder(purpose: string): string {
  const folder = mkdtempSync(path.join(tmpdir(), `switchyard-bench-${purpose}-`));
  chmodSync(folder, 0o755);
  return folder;
}

export interface Database {
  readonly address: EmbeddedAddress;
  readonly url: string;
  /** A connection of the bench's own. */
  readonly client: pg.Client;
  number(sql: string): Promise<number>;
  /** Ends the connection, for scenarios that need the database for themselves. */
  close(): Promise<void>;
}

/**
 * The PostgreSQL that all scenarios of a run share, with the settings of the server's embedded one. Databases
 * are cloned from templates: every arm begins with the same, fresh files.
 */
export class BenchPostgres {
  readonly #folder: string;
  readonly #embedded: EmbeddedPostgres;
  readonly #templates = new Map<string, Promise<string>>();
  #made = 0;

  private constructor(folder: string, embedded: EmbeddedPostgres) {
    this.#folder = folder;
    this.#embedded = embedded;
  }

  static async start(): Promise<BenchPostgres> {
    const folder = makeFolder('postgres');
    return new BenchPostgres(folder, await EmbeddedPostgres.start(folder));
  }

  /** PostgreSQL's processes as they are now. */
  pids(): number[] {
    const file = path.join(this.#embedded.folder, 'cluster/postmaster.pid');
    return withChildren(Number(readFileSync(file, 'utf8').split('\n')[0]));
  }

  /**
   * A database with the bench's users and this many links; further SQL adds the rest.
   * @param root Of the checkout whose schema it has.
   */
  async database(links: number, further: readonly string[] = [], root = ownRoot): Promise<Database> {
    const key = JSON.stringify([links, further, root]);
    const template = this.#templates.get(key) ?? this.#makeTemplate(links, further, root);
    this.#templates.set(key, template);
    const name = `bench_${++this.#made}`;
    await this.#admin(`CREATE DATABASE ${name} TEMPLATE ${await template} STRATEGY file_copy`);
    await this.#admin('CHECKPOINT');
    return this.#open(name);
  }

  async drop(database: Database): Promise<void> {
    await database.close();
    await this.#admin(`DROP DATABASE IF EXISTS ${database.address.database} WITH (FORCE)`);
  }

  async checkpoint(): Promise<void> {
    await this.#admin('CHECKPOINT');
  }

  async setting(name: string): Promise<string> {
    return this.#as('postgres', async (client) => {
      const { rows } = await client.query<{ value: string }>('SELECT current_setting($1) AS value', [name]);
      return rows[0]?.value ?? '';
    });
  }

  async stop(): Promise<void> {
    await this.#embedded.stop();
    rmSync(this.#folder, { recursive: true, force: true });
    if (!this.#embedded.folder.startsWith(this.#folder)) {
      rmSync(this.#embedded.folder, { recursive: true, force: true });
    }
  }

  async #makeTemplate(links: number, further: readonly string[], root: string): Promise<string> {
    const { prepareDatabase } = (await import(path.join(root, 'dist/src/store/migrate.js'))) as Migrations;
    const name = `template_${this.#templates.size}`;
    await this.#admin(`CREATE DATABASE ${name}`);
    const { address } = this.#embedded;
    const client = new pg.Client(clientOptions({ ...address, database: name }, 'bench', 5000));
    await client.connect();
    await prepareDatabase(client);
    await client.query(fillUsersSql);
    if (links > 0) await client.query(fillLinksSql(links));
    await client.query(
      `SELECT setval(pg_get_serial_sequence('short_urls', 'id'), ${Math.max(1, links)}, ${links > 0})`,
    );
    for (const sql of further) await client.query(sql);
    await client.query('VACUUM (ANALYZE, FREEZE)');
    await client.end();
    return name;
  }

  #admin(sql: string): Promise<void> {
    return this.#as('postgres', async (client) => {
      await client.query(sql);
    });
  }

  async #as<T>(database: string, use: (client: pg.Client) => Promise<T>): Promise<T> {
    const client = new pg.Client({ ...this.#embedded.address, database });
    await client.connect();
    try {
      return await use(client);
    } finally {
      await client.end();
    }
  }

  async #open(name: string): Promise<Database> {
    const address = { ...this.#embedded.address, database: name };
    const client = new pg.Client({ ...address, application_name: 'bench' });
    client.on('error', () => undefined);
    await client.connect();
    return {
      address,
      url: `postgresql://${address.user}:${address.password}@${address.host}:${address.port}/${name}`,
      client,
      number: async (sql) => {
        const { rows } = await client.query({ text: sql, rowMode: 'array' });
        return Number((rows[0] as unknown[] | undefined)?.[0] ?? 0);
      },
      close: () => client.end().catch(() => undefined),
    };
  }
}
