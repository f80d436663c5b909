import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import {
  canReach,
  EmbeddedPostgresError,
  type Identity,
  reachableFolder,
  reachableRoots,
  shortHash,
} from './binaries.js';
import { hasSessions, runningPostmaster, stopPostmaster } from './postmaster.js';

/** In a cluster's folder outside its data folder: the data folder that it belongs to. */
const OWNER_FILE = 'data-folder.json';
/** In a data folder: the place of its cluster. */
const PLACE_FILE = 'place';

interface Owner {
  readonly path: string;
  /** Of the data folder: a copy has another one. */
  readonly inode: string;
}

/**
 * The place of a data folder's cluster: inside, or, if root starts the server and PostgreSQL's user can't
 * enter the data folder, outside. Then each of the two names the other: a moved data folder keeps its
 * cluster, and a copied one does not share it.
 * @throws EmbeddedPostgresError with one line if the two don't match.
 */
export function placeOfCluster(dataDir: string, identity: Identity | undefined): string {
  const wanted = path.resolve(dataDir, 'postgres');
  mkdirSync(path.dirname(wanted), { recursive: true });
  const named = readText(path.join(wanted, PLACE_FILE));
  if (named === undefined && (identity === undefined || canReach(path.dirname(wanted), identity)))
    return wanted;
  if (identity === undefined) {
    throw failure(
      `${dataDir} has its database in ${named}, which only root can start: start as root, or set DATABASE_URL`,
    );
  }
  if (readText(path.join(wanted, 'cluster/PG_VERSION')) !== undefined) {
    throw failure(
      `the user ${identity.name} can no longer enter ${wanted}, which holds the database: let it in (chmod o+x on the folders above)`,
    );
  }
  const outside = named ?? path.join(reachableFolder(identity), `cluster-${shortHash(wanted)}`);
  if (named !== undefined && statSync(outside, { throwIfNoEntry: false }) === undefined) {
    throw failure(
      `${dataDir} has its database in ${outside}, which is missing: restore it, or remove ${wanted}/${PLACE_FILE} to begin with an empty database`,
    );
  }
  claimOutside(outside, path.dirname(wanted));
  if (named === undefined) {
    mkdirSync(wanted, { recursive: true });
    writeFileSync(path.join(wanted, PLACE_FILE), `${outside}\n`, { mode: 0o600 });
  }
  return outside;
}

function claimOutside(outside: string, dataDir: string): void {
  const owner = ownerOf(outside);
  const inode = inodeOf(dataDir) ?? '';
  if (owner !== undefined && owner.inode !== inode && inodeOf(owner.path) === owner.inode) {
    throw failure(
      `${dataDir} is a copy of ${owner.path}, whose database lies in ${outside}: remove ${dataDir}/postgres to begin with an empty database`,
    );
  }
  if (owner?.path === dataDir && owner.inode === inode) return;
  mkdirSync(outside, { recursive: true, mode: 0o755 });
  writeFileSync(path.join(outside, OWNER_FILE), JSON.stringify({ path: dataDir, inode } satisfies Owner), {
    mode: 0o600,
  });
}

export interface OutsideCluster {
  readonly folder: string;
  /** The data folder that it was made for; `undefined` if unknown. */
  readonly dataDir: string | undefined;
  /** Whether that data folder is still there and names it. */
  readonly isUsed: boolean;
}

/** All clusters outside their data folders. */
export function outsideClusters(roots: readonly string[] = reachableRoots): OutsideCluster[] {
  return roots.flatMap((root) =>
    entriesOf(root)
      .filter((name) => /^cluster-[0-9a-f]{12}$/.test(name))
      .map((name) => {
        const folder = path.join(root, name);
        const dataDir = ownerOf(folder)?.path;
        const place =
          dataDir === undefined ? undefined : readText(path.join(dataDir, 'postgres', PLACE_FILE));
        return { folder, dataDir, isUsed: place === folder };
      }),
  );
}

/** Removes a cluster that no data folder names. @throws EmbeddedPostgresError for any other folder. */
export async function removeOutsideCluster(
  folder: string,
  roots: readonly string[] = reachableRoots,
): Promise<void> {
  const found = outsideClusters(roots).find((cluster) => cluster.folder === path.resolve(folder));
  if (found === undefined) throw failure(`${folder} is no cluster that lies outside of its data folder`);
  if (found.isUsed) throw failure(`${folder} is the database of ${found.dataDir}: it stays`);
  const cluster = path.join(found.folder, 'cluster');
  const postmaster = runningPostmaster(cluster);
  if (postmaster !== undefined && hasSessions(postmaster, 'switchyard') !== false) {
    throw failure(`${folder} is in use: stop the server that uses it first`);
  }
  await stopPostmaster(cluster, 'SIGINT');
  rmSync(found.folder, { recursive: true });
}

function ownerOf(folder: string): Owner | undefined {
  const text = readText(path.join(folder, OWNER_FILE));
  try {
    return text === undefined ? undefined : (JSON.parse(text) as Owner);
  } catch {
    return undefined;
  }
}

function inodeOf(folder: string): string | undefined {
  return statSync(folder, { bigint: true, throwIfNoEntry: false })?.ino.toString();
}

function entriesOf(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

function readText(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined;
    throw error;
  }
}

function failure(what: string): EmbeddedPostgresError {
  return new EmbeddedPostgresError(`the embedded PostgreSQL: ${what}`);
}
