import { randomBytes } from 'node:crypto';
import { readFileSync, rmSync, statSync } from 'node:fs';
import { rename, writeFile } from 'node:fs/promises';
import path from 'node:path';

const FILE = 'access.json';
const PASS_FILE = 'pgpass';

/** The access to an embedded cluster, kept beside it, readable only by the server (mode 600). */
export interface Access {
  /** The port of the last run; 0 when it is not known. */
  readonly port: number;
  readonly password: string;
  /** The inode of the cluster's folder: another one after it was copied or restored. Empty in old files. */
  readonly cluster: string;
}

export type FoundAccess =
  | { readonly access: Access; readonly from: typeof FILE | typeof PASS_FILE; readonly why: string }
  | { readonly access: undefined; readonly why: string };

/** What is saved in a folder; `why` says what is wrong with access.json, empty if nothing is. */
export function findAccess(folder: string): FoundAccess {
  let why: string;
  try {
    const saved = JSON.parse(readFileSync(path.join(folder, FILE), 'utf8')) as Partial<Access> | null;
    if (typeof saved?.port === 'number' && typeof saved.password === 'string' && saved.password !== '') {
      const { port, password, cluster = '' } = saved;
      return { access: { port, password, cluster }, from: FILE, why: '' };
    }
    why = 'is damaged';
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    why = code === 'ENOENT' ? 'is missing' : code === undefined ? 'is damaged' : `can't be read (${code})`;
  }
  const access = readPassFile(folder);
  return access === undefined ? { access, why } : { access, from: PASS_FILE, why };
}

/** The file for psql, which may have survived, has the same password. */
function readPassFile(folder: string): Access | undefined {
  try {
    const [line] = readFileSync(path.join(folder, PASS_FILE), 'utf8').split('\n');
    const [, port, , , password] = (line ?? '').split(':');
    if (password === undefined || password === '' || !/^\d+$/.test(port ?? '')) return undefined;
    return { port: Number(port), password, cluster: '' };
  } catch {
    return undefined;
  }
}

export function newPassword(): string {
  return randomBytes(24).toString('base64url');
}

export function inodeOf(folder: string): string {
  return String(statSync(folder, { bigint: true }).ino);
}

/** @param login host, database and user, for psql's password file. */
export async function saveAccess(
  folder: string,
  access: Access,
  login: { host: string; database: string; user: string },
): Promise<void> {
  const pgpass = `${login.host}:${access.port}:${login.database}:${login.user}:${access.password}\n`;
  await replaceFile(folder, PASS_FILE, pgpass);
  await replaceFile(folder, FILE, JSON.stringify(access));
}

/** At no moment is the file half written. */
async function replaceFile(folder: string, name: string, text: string): Promise<void> {
  const file = path.join(folder, name);
  // An existing file would keep its mode.
  rmSync(`${file}.tmp`, { force: true });
  await writeFile(`${file}.tmp`, text, { mode: 0o600, flush: true });
  await rename(`${file}.tmp`, file);
}

export function passFileOf(folder: string): string {
  return path.join(folder, PASS_FILE);
}
