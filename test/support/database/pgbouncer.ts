import { chmodSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import pg from 'pg';
import type { EmbeddedAddress } from '../../../src/postgres/answer.js';
import { makeFolder } from '../machine/folders.js';
import { toolPath } from '../machine/tools.js';
import { eventually } from '../machine/wait.js';
import { freePort, Program } from '../server/program.js';

export type PoolMode = 'session' | 'transaction' | 'statement';

/** A PgBouncer between a server and PostgreSQL. */
export class PgBouncer {
  readonly url: string;
  readonly #folder: string;
  readonly #program: Program;
  readonly #settings: (mode: PoolMode) => string;

  private constructor(url: string, folder: string, program: Program, settings: (mode: PoolMode) => string) {
    this.url = url;
    this.#folder = folder;
    this.#program = program;
    this.#settings = settings;
  }

  static async start(database: EmbeddedAddress, mode: PoolMode, extra = ''): Promise<PgBouncer> {
    const folder = makeFolder('pgbouncer');
    const port = await freePort();
    const users = path.join(folder, 'users.txt');
    const file = path.join(folder, 'pgbouncer.ini');
    writeFileSync(users, `"${database.user}" "${database.password}"\n`);
    const settings = (poolMode: PoolMode): string =>
      [
        '[databases]',
        `${database.database} = host=${database.host} port=${database.port} dbname=${database.database}`,
        '[pgbouncer]',
        'listen_addr = 127.0.0.1',
        `listen_port = ${port}`,
        'unix_socket_dir =',
        'auth_type = plain',
        `auth_file = ${users}`,
        `pool_mode = ${poolMode}`,
        'default_pool_size = 20',
        extra,
        '',
      ].join('\n');
    writeFileSync(file, settings(mode));
    // It refuses to run as root; its user must be able to read its files.
    for (const one of [folder, users, file]) chmodSync(one, one === folder ? 0o755 : 0o644);
    const asUser = process.getuid?.() === 0 ? ['-u', 'nobody'] : [];
    const program = new Program(toolPath('pgbouncer'), [...asUser, file]);
    const { user, password } = database;
    const url = `postgresql://${user}:${password}@127.0.0.1:${port}/${database.database}`;
    await eventually(() => connects(url));
    return new PgBouncer(url, folder, program, settings);
  }

  /** Switches the mode for new connections. */
  change(mode: PoolMode): void {
    writeFileSync(path.join(this.#folder, 'pgbouncer.ini'), this.#settings(mode));
    this.#program.signal('SIGHUP');
  }

  async stop(): Promise<void> {
    await this.#program.stop();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

async function connects(url: string): Promise<boolean> {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => undefined);
  try {
    await client.connect();
    await client.query('SELECT 1');
    return true;
  } catch {
    return false;
  } finally {
    await client.end().catch(() => undefined);
  }
}
