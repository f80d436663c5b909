import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { appendFileSync, chownSync, closeSync, mkdirSync, openSync, realpathSync, rmSync } from 'node:fs';
import path from 'node:path';
import { postgresIdentity } from '../../../src/postgres/binaries.js';
import { makeFolder } from '../machine/folders.js';
import { toolPath } from '../machine/tools.js';
import { eventually } from '../machine/wait.js';
import { freePort } from '../server/program.js';
import { connectDatabase, type TestDatabase, urlOf } from './database.js';

const USER = 'switchyard';
const DEADLINE_MS = 120_000;

/** One of several PostgreSQL of the system's package that are copies of each other: a primary, standbys, backups. */
export class PostgresNode {
  readonly folder: string;
  readonly port: number;
  #child: ChildProcess | undefined;

  private constructor(folder: string, port: number) {
    this.folder = folder;
    this.port = port;
  }

  /** A new cluster, running. */
  static async create(): Promise<PostgresNode> {
    const node = await PostgresNode.#place();
    run('initdb', [
      '-D',
      node.#cluster,
      '-U',
      USER,
      '--auth=trust',
      '--encoding=UTF8',
      '--locale=C',
      '--no-sync',
    ]);
    await node.start();
    return node;
  }

  /** Copies this PostgreSQL while it runs. The copy does not run yet. */
  async baseBackup(): Promise<PostgresNode> {
    const copy = await PostgresNode.#place();
    const source = ['-h', '127.0.0.1', '-p', String(this.port), '-U', USER];
    const child = spawn(
      program('pg_basebackup'),
      [...source, '-D', copy.#cluster, '-c', 'fast', '--no-sync'],
      asUser(),
    );
    const errors: string[] = [];
    child.stderr?.on('data', (text) => errors.push(String(text)));
    const code = await new Promise((resolve) => child.once('close', resolve));
    if (code !== 0) throw new Error(`pg_basebackup ended with ${code}: ${errors.join('')}`);
    return copy;
  }

  /** A standby, running; it is sent all changes by a port, which may be a proxy's. */
  async standby(sourcePort: number): Promise<PostgresNode> {
    const standby = await this.baseBackup();
    appendFileSync(
      path.join(standby.#cluster, 'postgresql.auto.conf'),
      `primary_conninfo = 'host=127.0.0.1 port=${sourcePort} user=${USER}'\n`,
    );
    appendFileSync(path.join(standby.#cluster, 'standby.signal'), '');
    await standby.start();
    return standby;
  }

  get url(): string {
    return urlOf(this.#address);
  }

  connect(): Promise<TestDatabase> {
    return connectDatabase(this.#address);
  }

  async start(): Promise<void> {
    const log = openSync(path.join(this.folder, 'postgres.log'), 'a', 0o600);
    const settings = {
      listen_addresses: '127.0.0.1',
      port: this.port,
      unix_socket_directories: '',
      fsync: 'off',
      shared_buffers: '32MB',
      max_connections: 60,
      max_wal_senders: 5,
      wal_retrieve_retry_interval: '100ms',
    };
    const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
    const child = spawn(program('postgres'), ['-D', this.#cluster, ...flags], {
      ...asUser(),
      stdio: ['ignore', log, log],
    });
    closeSync(log);
    this.#child = child;
    await eventually(
      async () => {
        if (child.exitCode !== null) throw new Error(`PostgreSQL ended with ${child.exitCode}`);
        const database = await this.connect().catch(() => undefined);
        await database?.drop();
        return database !== undefined;
      },
      DEADLINE_MS,
      'an answer of PostgreSQL',
    );
  }

  async promote(): Promise<void> {
    const database = await this.connect();
    await database.query('SELECT pg_promote(true, 60)');
    await database.drop();
  }

  /** Ends it at once, like a crash; unsent changes are lost. */
  async kill(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined || child.exitCode !== null) return;
    const end = new Promise((resolve) => child.once('close', resolve));
    child.kill('SIGQUIT');
    await end;
  }

  async remove(): Promise<void> {
    await this.kill();
    rmSync(this.folder, { recursive: true, force: true });
  }

  get #cluster(): string {
    return path.join(this.folder, 'cluster');
  }

  get #address(): Parameters<typeof connectDatabase>[0] {
    return { host: '127.0.0.1', port: this.port, database: 'postgres', user: USER, password: '' };
  }

  static async #place(): Promise<PostgresNode> {
    const node = new PostgresNode(makeFolder('postgres-node'), await freePort());
    mkdirSync(node.#cluster, { mode: 0o700 });
    const identity = postgresIdentity();
    if (identity !== undefined) chownSync(node.#cluster, identity.uid, identity.gid);
    return node;
  }
}

function program(name: string): string {
  return path.join(path.dirname(realpathSync(toolPath('postgres'))), name);
}

/** PostgreSQL refuses to run as root. */
function asUser(): { cwd: string; uid?: number; gid?: number } {
  const identity = postgresIdentity();
  return { cwd: '/', ...(identity === undefined ? {} : { uid: identity.uid, gid: identity.gid }) };
}

function run(name: string, args: string[]): void {
  const { status, stderr } = spawnSync(program(name), args, { ...asUser(), encoding: 'utf8' });
  if (status !== 0) throw new Error(`${name} ended with ${status}: ${stderr}`);
}
