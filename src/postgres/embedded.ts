import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  chownSync,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
} from 'node:fs';
import { rename, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { claimFolder } from '../runtime/folder-lock.js';
import {
  type Binaries,
  EmbeddedPostgresError,
  type Identity,
  installedBinaries,
  postgresIdentity,
  reachableBinaries,
  reachableCluster,
} from './binaries.js';
import { sqlStateOf } from './failures.js';

const HOST = '127.0.0.1';
const USER = 'switchyard';
const DATABASE = 'switchyard';

/** Recovery after a crash replays the log since the last checkpoint, which may take minutes. */
const START_DEADLINE_MS = 180_000;
const STOP_DEADLINE_MS = 30_000;
const LONGEST_LOG_BYTES = 16 * 1024 * 1024;

export interface EmbeddedAddress {
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly user: string;
  readonly password: string;
}

/** What is kept beside the cluster, for the server's eyes only (mode 600). */
interface SavedAccess {
  readonly port: number;
  readonly password: string;
}

/**
 * A PostgreSQL of our own under a data folder: made on the first start, kept between runs, on
 * loopback with a random password.
 *
 * It is a process beside the server, not within it: a killed server leaves it running, and the next
 * start takes it over as it is. Two servers on one data folder share it, and the last to leave stops
 * it. A start that finds it down starts it; PostgreSQL itself recovers what a crash left.
 */
export class EmbeddedPostgres {
  readonly #folder: string;
  readonly #cluster: string;
  readonly #binaries: Binaries;
  readonly #identity: Identity | undefined;
  #access: SavedAccess;

  private constructor(
    folder: string,
    binaries: Binaries,
    identity: Identity | undefined,
    access: SavedAccess,
  ) {
    this.#folder = folder;
    this.#cluster = path.join(folder, 'cluster');
    this.#binaries = binaries;
    this.#identity = identity;
    this.#access = access;
  }

  /**
   * Starts the PostgreSQL of a data folder, or takes over the one that runs there.
   * @throws EmbeddedPostgresError with one line that says what to do.
   */
  static async start(dataDir: string): Promise<EmbeddedPostgres> {
    const identity = postgresIdentity();
    const binaries = reachableBinaries(await installedBinaries(), identity);
    const wanted = path.resolve(dataDir, 'postgres');
    mkdirSync(path.dirname(wanted), { recursive: true });
    const folder = reachableCluster(wanted, identity);
    mkdirSync(folder, { recursive: true, mode: 0o755 });
    const access = readAccess(folder) ?? { port: 0, password: randomBytes(24).toString('base64url') };
    const embedded = new EmbeddedPostgres(folder, binaries, identity, access);
    await embedded.ensureRunning();
    return embedded;
  }

  get address(): EmbeddedAddress {
    return {
      host: HOST,
      port: this.#access.port,
      database: DATABASE,
      user: USER,
      password: this.#access.password,
    };
  }

  /** The folder that holds the cluster, its log and how to get in. */
  get folder(): string {
    return this.#folder;
  }

  /** A shell line that opens the database with psql. */
  get psqlCommand(): string {
    const passFile = path.join(this.#folder, 'pgpass');
    return `PGPASSFILE='${passFile}' psql -h ${HOST} -p ${this.#access.port} -U ${USER} ${DATABASE}`;
  }

  /** Starts PostgreSQL unless it answers; safe to call from several servers at once. */
  async ensureRunning(): Promise<void> {
    const deadline = Date.now() + START_DEADLINE_MS;
    for (;;) {
      this.#access = readAccess(this.#folder) ?? this.#access;
      if (await this.#answers()) return;
      const owner = await claimFolder(this.#folder);
      if (owner !== undefined) {
        try {
          if (!(await this.#answers())) await this.#startCluster(deadline);
        } finally {
          await owner.release();
        }
        return;
      }
      if (Date.now() > deadline) throw this.#failure('another server has been starting it for too long');
      await sleep(100);
    }
  }

  /** Stops PostgreSQL unless another server is using it. @returns whether it was stopped. */
  async stop(): Promise<boolean> {
    if (await this.#hasOtherUsers()) return false;
    await this.#stopProcess('SIGINT');
    return true;
  }

  async #startCluster(deadline: number): Promise<void> {
    await this.#endUnreachable();
    if (!existsSync(path.join(this.#folder, 'access.json'))) await this.#initialise();
    for (let attempt = 1; ; attempt += 1) {
      // The port of the last run may be taken by now.
      const port = attempt === 1 && (await isFree(this.#access.port)) ? this.#access.port : await freePort();
      await this.#save({ ...this.#access, port });
      const child = this.#spawnPostgres(port);
      if (await this.#becomesReady(child, deadline)) return;
      if (attempt === 3 || Date.now() > deadline) throw this.#failure('it did not start');
    }
  }

  /** initdb, the password's files last: without them a folder counts as never initialised. */
  async #initialise(): Promise<void> {
    rmSync(this.#cluster, { recursive: true, force: true });
    mkdirSync(this.#cluster, { mode: 0o700 });
    const passwordFile = path.join(this.#folder, 'password.tmp');
    await writeFile(passwordFile, `${this.#access.password}\n`, { mode: 0o600 });
    if (this.#identity !== undefined) {
      chownSync(this.#cluster, this.#identity.uid, this.#identity.gid);
      chownSync(passwordFile, this.#identity.uid, this.#identity.gid);
    }
    const child = this.#spawn(this.#binaries.initdb, [
      `--pgdata=${this.#cluster}`,
      `--username=${USER}`,
      `--pwfile=${passwordFile}`,
      '--auth=scram-sha-256',
      '--locale=C',
      '--lc-messages=C',
      '--encoding=UTF8',
    ]);
    const code = await new Promise<number | null>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', resolve);
    });
    rmSync(passwordFile, { force: true });
    if (code !== 0) throw this.#failure(`initdb ended with ${code}`);
  }

  #spawnPostgres(port: number): ChildProcess {
    const settings = {
      listen_addresses: HOST,
      port: String(port),
      unix_socket_directories: '',
      max_connections: '100',
      shared_buffers: '256MB',
      max_wal_size: '4GB',
      checkpoint_timeout: '15min',
      wal_compression: 'on',
    };
    const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
    const child = this.#spawn(this.#binaries.postgres, ['-D', this.#cluster, ...flags]);
    // It may outlive the server; the server must not live on for its sake.
    child.unref();
    return child;
  }

  /** Detached, so that a Ctrl-C meant for the server does not end PostgreSQL before it has drained. */
  #spawn(program: string, args: string[]): ChildProcess {
    const logFile = path.join(this.#folder, 'postgres.log');
    if ((statSync(logFile, { throwIfNoEntry: false })?.size ?? 0) > LONGEST_LOG_BYTES) rmSync(logFile);
    const log = openSync(logFile, 'a', 0o600);
    try {
      const child = spawn(program, args, {
        cwd: this.#cluster,
        detached: true,
        stdio: ['ignore', log, log],
        env: { PATH: process.env.PATH ?? '', LC_ALL: 'C', TZ: 'UTC' },
        ...(this.#identity === undefined ? {} : { uid: this.#identity.uid, gid: this.#identity.gid }),
      });
      return child;
    } finally {
      closeSync(log);
    }
  }

  async #becomesReady(child: ChildProcess, deadline: number): Promise<boolean> {
    let ended = false;
    child.once('error', () => {
      ended = true;
    });
    child.once('exit', () => {
      ended = true;
    });
    while (!ended && Date.now() < deadline) {
      if (await this.#answers()) return true;
      await sleep(20);
    }
    return false;
  }

  /** Whether PostgreSQL lets us in; makes the database where only that is missing. */
  async #answers(): Promise<boolean> {
    if (this.#access.port === 0) return false;
    try {
      await this.#withClient(DATABASE, async () => undefined);
      return true;
    } catch (error) {
      if (sqlStateOf(error) !== '3D000') return false;
    }
    await this.#withClient('postgres', async (client) => {
      try {
        await client.query(`CREATE DATABASE ${DATABASE}`);
      } catch (error) {
        // Another server on this folder was faster.
        if (!['42P04', '23505'].includes(sqlStateOf(error) ?? '')) throw error;
      }
    });
    return true;
  }

  async #withClient<T>(database: string, use: (client: pg.Client) => Promise<T>): Promise<T> {
    const client = new pg.Client({ ...this.address, database, connectionTimeoutMillis: 2000 });
    client.on('error', () => undefined);
    await client.connect();
    try {
      return await use(client);
    } finally {
      await client.end();
    }
  }

  async #hasOtherUsers(): Promise<boolean> {
    try {
      return await this.#withClient(DATABASE, async (client) => {
        const { rows } = await client.query<{ n: string }>(
          `SELECT count(*) AS n FROM pg_stat_activity
           WHERE backend_type = 'client backend' AND application_name LIKE 'switchyard%'`,
        );
        return Number(rows[0]?.n ?? 0) > 0;
      });
    } catch {
      return false;
    }
  }

  /** A postmaster that is alive but does not answer is of no use to anyone. */
  async #endUnreachable(): Promise<void> {
    const pid = this.#postmasterPid();
    if (pid === undefined) return;
    if (isOurPostgres(pid, this.#cluster)) {
      await this.#stopProcess('SIGQUIT');
    } else {
      // The number now belongs to a stranger, and PostgreSQL would refuse to start for its sake.
      rmSync(path.join(this.#cluster, 'postmaster.pid'), { force: true });
    }
  }

  async #stopProcess(signal: 'SIGINT' | 'SIGQUIT'): Promise<void> {
    const pid = this.#postmasterPid();
    if (pid === undefined || !isOurPostgres(pid, this.#cluster)) return;
    signalIfAlive(pid, signal);
    const deadline = Date.now() + STOP_DEADLINE_MS;
    while (isAlive(pid)) {
      if (Date.now() > deadline) {
        signalIfAlive(pid, 'SIGQUIT');
        return;
      }
      await sleep(20);
    }
  }

  #postmasterPid(): number | undefined {
    try {
      const [line] = readFileSync(path.join(this.#cluster, 'postmaster.pid'), 'utf8').split('\n');
      const pid = Number(line);
      return Number.isInteger(pid) && pid > 1 && isAlive(pid) ? pid : undefined;
    } catch {
      return undefined;
    }
  }

  async #save(access: SavedAccess): Promise<void> {
    this.#access = access;
    const pgpass = `${HOST}:${access.port}:${DATABASE}:${USER}:${access.password}\n`;
    await this.#replaceFile('pgpass', pgpass);
    await this.#replaceFile('access.json', JSON.stringify(access));
  }

  /** Without a moment in which the file is half written: the only copy of the password is in it. */
  async #replaceFile(name: string, text: string): Promise<void> {
    const file = path.join(this.#folder, name);
    // One that is there already would keep its mode.
    rmSync(`${file}.tmp`, { force: true });
    await writeFile(`${file}.tmp`, text, { mode: 0o600 });
    await rename(`${file}.tmp`, file);
  }

  #failure(what: string): EmbeddedPostgresError {
    const log = path.join(this.#folder, 'postgres.log');
    return new EmbeddedPostgresError(`the embedded PostgreSQL: ${what}; see ${log}`);
  }
}

function readAccess(folder: string): SavedAccess | undefined {
  try {
    const saved = JSON.parse(readFileSync(path.join(folder, 'access.json'), 'utf8')) as Partial<SavedAccess>;
    const { port, password } = saved;
    return typeof port === 'number' && typeof password === 'string' ? { port, password } : undefined;
  } catch {
    return undefined;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
  // A zombie that nobody has waited for is dead.
  return !/^State:\s+[ZX]/m.test(readProc(pid, 'status') ?? '');
}

/** On systems without /proc the pid file alone is believed. */
function isOurPostgres(pid: number, cluster: string): boolean {
  if (!existsSync('/proc/self')) return true;
  return readProc(pid, 'cmdline')?.split('\0').includes(cluster) === true;
}

function readProc(pid: number, file: 'status' | 'cmdline'): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8');
  } catch {
    return undefined;
  }
}

function signalIfAlive(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // Gone meanwhile.
  }
}

function listenOn(port: number): Promise<number | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(undefined));
    server.listen(port, HOST, () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : undefined));
    });
  });
}

async function isFree(port: number): Promise<boolean> {
  return port !== 0 && (await listenOn(port)) === port;
}

async function freePort(): Promise<number> {
  const port = await listenOn(0);
  if (port === undefined) throw new EmbeddedPostgresError(`no free port on ${HOST}`);
  return port;
}
