import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chownSync, closeSync, mkdirSync, openSync, rmSync, statSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { Binaries, Identity } from './binaries.js';
import { putInPlace, removeUnfinished } from './cluster-folder.js';

const MAX_LOG_BYTES = 16 * 1024 * 1024;
/** Recovery may come first. */
const SINGLE_USER_DEADLINE_MS = 180_000;

/** PostgreSQL's programs at work on one folder, with its log. */
export class Programs {
  readonly #folder: string;
  readonly #cluster: string;
  readonly #binaries: Binaries;
  readonly #identity: Identity | undefined;

  constructor(folder: string, binaries: Binaries, identity: Identity | undefined) {
    this.#folder = folder;
    this.#cluster = path.join(folder, 'cluster');
    this.#binaries = binaries;
    this.#identity = identity;
  }

  /** @returns the exit code of initdb; only a whole cluster gets its name, and never the place of another. */
  async initialise(user: string, password: string): Promise<number | null> {
    removeUnfinished(this.#folder);
    const unfinished = `${this.#cluster}.${randomBytes(6).toString('hex')}.new`;
    mkdirSync(unfinished, { mode: 0o700 });
    const passwordFile = path.join(this.#folder, 'password.tmp');
    rmSync(passwordFile, { force: true });
    await writeFile(passwordFile, `${password}\n`, { mode: 0o600 });
    if (this.#identity !== undefined) {
      for (const file of [unfinished, passwordFile]) chownSync(file, this.#identity.uid, this.#identity.gid);
    }
    const child = this.#spawn(this.#binaries.initdb, unfinished, [
      `--pgdata=${unfinished}`,
      `--username=${user}`,
      `--pwfile=${passwordFile}`,
      '--auth=scram-sha-256',
      '--locale=C',
      '--lc-messages=C',
      '--encoding=UTF8',
    ]);
    const code = await exitOf(child);
    rmSync(passwordFile, { force: true });
    if (code === 0) putInPlace(unfinished, this.#cluster);
    else rmSync(unfinished, { recursive: true, force: true });
    return code;
  }

  /** Sets the password without knowing one, while no postmaster runs: the owner of the files may. */
  async setPassword(user: string, password: string): Promise<number | null> {
    const child = this.#spawn(
      this.#binaries.postgres,
      this.#cluster,
      ['--single', '-D', this.#cluster, 'postgres'],
      true,
    );
    const timer = setTimeout(() => child.kill('SIGINT'), SINGLE_USER_DEADLINE_MS);
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(`ALTER ROLE "${user}" WITH LOGIN SUPERUSER PASSWORD '${password}';\n`);
    const code = await exitOf(child);
    clearTimeout(timer);
    return code;
  }

  postgres(host: string, port: number): ChildProcess {
    const settings = {
      listen_addresses: host,
      port: String(port),
      unix_socket_directories: '',
      max_connections: '100',
      shared_buffers: '256MB',
      max_wal_size: '4GB',
      checkpoint_timeout: '15min',
    };
    const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
    const child = this.#spawn(this.#binaries.postgres, this.#cluster, ['-D', this.#cluster, ...flags]);
    // It may outlive the server, but must not keep the server alive.
    child.unref();
    return child;
  }

  /** Detached: a Ctrl-C meant for the server must not end PostgreSQL before the drain. */
  #spawn(program: string, folder: string, args: string[], hasInput = false): ChildProcess {
    const logFile = path.join(this.#folder, 'postgres.log');
    if ((statSync(logFile, { throwIfNoEntry: false })?.size ?? 0) > MAX_LOG_BYTES) rmSync(logFile);
    const log = openSync(logFile, 'a', 0o600);
    try {
      return spawn(program, args, {
        cwd: folder,
        detached: true,
        stdio: [hasInput ? 'pipe' : 'ignore', log, log],
        env: { PATH: process.env.PATH ?? '', LC_ALL: 'C', TZ: 'UTC' },
        ...(this.#identity === undefined ? {} : { uid: this.#identity.uid, gid: this.#identity.gid }),
      });
    } finally {
      closeSync(log);
    }
  }
}

function exitOf(child: ChildProcess): Promise<number | null> {
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve(code));
  });
}
