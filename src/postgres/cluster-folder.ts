import { existsSync, readdirSync, readFileSync, renameSync, rmdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { EmbeddedPostgresError } from './binaries.js';

/** A cluster in the making has such a name until it is whole. */
const UNFINISHED = /^cluster\.[0-9a-f]{12}\.new$/;

/**
 * Whether to make a cluster: only if there is nothing. A folder with files in it is never removed and never
 * initialised, whatever it lacks.
 * @param major Of the PostgreSQL that will run on it.
 * @throws EmbeddedPostgresError for anything that is neither a whole cluster of this version nor nothing.
 */
export function needsInitialising(folder: string, major: number): boolean {
  const cluster = path.join(folder, 'cluster');
  const version = textOf(path.join(cluster, 'PG_VERSION'))?.trim();
  if (version === undefined) {
    if (holdsFiles(cluster)) {
      throw new EmbeddedPostgresError(
        `the embedded PostgreSQL: ${cluster} holds files but no PG_VERSION: restore it from a backup, or move it away to begin with an empty database`,
      );
    }
    // The file is made after the cluster. Alone, it shows that there was one.
    if (textOf(path.join(folder, 'access.json')) !== undefined) {
      throw new EmbeddedPostgresError(
        `the embedded PostgreSQL: ${cluster} is missing or empty, though ${folder}/access.json is there: restore it from a backup, or remove that file to begin with an empty database`,
      );
    }
    return true;
  }
  if (Number(version) !== major) {
    throw new EmbeddedPostgresError(
      `the embedded PostgreSQL: ${cluster} was made by PostgreSQL ${version}, this is ${major}: take a dump with the version that made it and set DATABASE_URL, or move it away to begin with an empty database`,
    );
  }
  if (textOf(path.join(cluster, 'global/pg_control')) === undefined) {
    throw new EmbeddedPostgresError(
      `the embedded PostgreSQL: ${cluster} is not whole (no global/pg_control): restore it from a backup, or move it away to begin with an empty database`,
    );
  }
  return false;
}

/** Removes the leftovers of a killed initdb, on which no PostgreSQL ever ran. */
export function removeUnfinished(folder: string): void {
  for (const name of readdirSync(folder)) {
    if (UNFINISHED.test(name)) rmSync(path.join(folder, name), { recursive: true, force: true });
  }
}

/** Gives a new cluster its name. The kernel refuses to replace a folder with anything in it. */
export function putInPlace(unfinished: string, cluster: string): void {
  try {
    removeEmptyFolders(cluster);
    renameSync(unfinished, cluster);
  } catch (error) {
    if (!['ENOTEMPTY', 'EEXIST'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
    throw new EmbeddedPostgresError(
      `the embedded PostgreSQL: ${cluster} was filled by another process meanwhile: start again`,
    );
  }
}

/** What an initdb left that was killed early; anything but an empty folder ends it with ENOTEMPTY. */
function removeEmptyFolders(folder: string): void {
  if (!existsSync(folder)) return;
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (entry.isDirectory()) removeEmptyFolders(path.join(folder, entry.name));
  }
  rmdirSync(folder);
}

/** A file's text; `undefined` only where there is none. */
function textOf(file: string): string | undefined {
  try {
    return readFileSync(file, 'latin1');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw unreadable(file, error);
  }
}

function holdsFiles(folder: string): boolean {
  try {
    return readdirSync(folder, { withFileTypes: true }).some(
      (entry) => !entry.isDirectory() || holdsFiles(path.join(folder, entry.name)),
    );
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw unreadable(folder, error);
  }
}

function unreadable(file: string, error: unknown): EmbeddedPostgresError {
  const { code } = error as NodeJS.ErrnoException;
  return new EmbeddedPostgresError(
    `the embedded PostgreSQL: ${file} can't be read (${code}): start as the user who made it, or set DATABASE_URL`,
  );
}
