import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { chownSync, closeSync, mkdirSync, openSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { EmbeddedAddress } from '../../../src/postgres/answer.js';
import { postgresIdentity } from '../../../src/postgres/binaries.js';
import { makeFolder } from '../machine/folders.js';
import { toolPath } from '../machine/tools.js';
import { eventually } from '../machine/wait.js';
import { freePort } from '../server/program.js';
import { connectDatabase, type TestDatabase } from './database.js';

const PASSWORD = 'of-this-test-only';

/** The system's own PostgreSQL with a cluster of the test's own; the package's cluster is left alone. */
export class SystemPostgres {
  readonly address: EmbeddedAddress;
  readonly #folder: string;
  readonly #child: ChildProcess;
  readonly #exit: Promise<void>;

  private constructor(address: EmbeddedAddress, folder: string, child: ChildProcess) {
    this.address = address;
    this.#folder = folder;
    this.#child = child;
    this.#exit = new Promise((resolve) => child.once('close', () => resolve()));
  }

  static async start(superuser = 'switchyard'): Promise<SystemPostgres> {
    const folder = makeFolder('system-postgres');
    const cluster = path.join(folder, 'cluster');
    const passwordFile = path.join(folder, 'password');
    mkdirSync(cluster, { mode: 0o700 });
    writeFileSync(passwordFile, PASSWORD, { mode: 0o600 });
    // PostgreSQL refuses to run as root.
    const identity = postgresIdentity();
    if (identity !== undefined) {
      for (const file of [cluster, passwordFile]) chownSync(file, identity.uid, identity.gid);
    }
    const user = identity === undefined ? {} : { uid: identity.uid, gid: identity.gid };
    const postgres = toolPath('postgres');
    const made = spawnSync(
      path.join(path.dirname(realpathSync(postgres)), 'initdb'),
      [
        `--pgdata=${cluster}`,
        `--username=${superuser}`,
        `--pwfile=${passwordFile}`,
        '--auth=scram-sha-256',
        '--locale=C.UTF-8',
        '--encoding=UTF8',
        '--no-sync',
      ],
      { cwd: cluster, encoding: 'utf8', ...user },
    );
    if (made.status !== 0) throw new Error(`initdb ended with ${made.status}: ${made.stderr}`);
    const port = await freePort();
    const settings = ['listen_addresses=127.0.0.1', `port=${port}`, 'unix_socket_directories=', 'fsync=off'];
    const log = openSync(path.join(folder, 'postgres.log'), 'a', 0o600);
    const flags = settings.flatMap((setting) => ['-c', setting]);
    const child = spawn(postgres, ['-D', cluster, ...flags], {
      cwd: cluster,
      stdio: ['ignore', log, log],
      ...user,
    });
    closeSync(log);
    const address = { host: '127.0.0.1', port, database: 'postgres', user: superuser, password: PASSWORD };
    return new SystemPostgres(address, folder, child);
  }

  /** A connection, as soon as there can be one. */
  async connect(): Promise<TestDatabase> {
    return eventually(async () => {
      if (this.#child.exitCode !== null) throw new Error(`PostgreSQL ended with ${this.#child.exitCode}`);
      return connectDatabase(this.address).catch(() => undefined);
    });
  }

  async stop(): Promise<void> {
    this.#child.kill('SIGINT');
    await this.#exit;
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
