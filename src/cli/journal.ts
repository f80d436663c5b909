import { existsSync, readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Config, ConfigError } from '../config.js';
import { listJournals, listSegments } from '../journal/segments.js';
import { type JournalSummary, summarise } from '../journal/summary.js';
import { surveyFolder } from '../journal/survey.js';
import { leaveFolder, markFolder, recogniseFolder } from '../runtime/folder-identity.js';
import { claimFolder, isOwned } from '../runtime/folder-lock.js';
import { takeInJournal } from '../workers/ingest/ingest.js';
import { openDatabase } from './database.js';
import { startProgress } from './progress.js';

/** Thrown if a tool finds nothing to do where something was expected. */
class FolderError extends TypeError {
  override readonly name = 'FolderError';
}

const RETRIES = 20;

/** Prints the content of each journal under a folder. */
export async function showJournals(folder: string): Promise<void> {
  for (const { server, owner, summaries } of await inspect(folder)) {
    print(`${server} (${owner ? 'its server is alive' : 'its server is gone'})`);
    if (summaries.length === 0) print('  no journal');
    for (const summary of summaries) print(describe(summary));
  }
}

/** Reads every frame under a folder. @returns whether all of it is whole. */
export async function verifyJournals(folder: string): Promise<boolean> {
  let damages = 0;
  let clicks = 0;
  for (const { server, owner, summaries } of await inspect(folder)) {
    for (const summary of summaries) {
      clicks += summary.clicks;
      for (const { file, offset, bytes, reason } of summary.damages) {
        // A living server may be writing the end of its last segment right now.
        const isTail = owner && reason === 'frame cut short';
        if (!isTail) damages += 1;
        print(
          `${path.join(server, file)}: ${reason} at byte ${offset}, ${bytes} bytes${isTail ? ' (being written)' : ''}`,
        );
      }
    }
  }
  print(`${clicks} whole clicks, ${damages} damaged places`);
  return damages === 0;
}

/**
 * Makes copied folders, such as those of a restored backup, the originals.
 * @returns whether that worked for all of them.
 */
export async function adoptFolders(folder: string): Promise<boolean> {
  let isDone = true;
  for (const server of serverFolders(folder)) {
    const { kind } = recogniseFolder(server);
    const owner = kind === 'copy' ? await claimFolder(server) : undefined;
    if (owner !== undefined) {
      markFolder(server);
      await owner.release();
      print(`${server}: is the original from now on`);
    } else if (kind === 'copy') {
      print(`${server}: left alone, its server is alive`);
      isDone = false;
    } else print(`${server}: is no copy`);
  }
  return isDone;
}

/** Ingests the journals of servers that are gone. @returns whether nothing is left. */
export async function drainJournals(config: Config, folder: string): Promise<boolean> {
  if (config.CLICK_STREAM !== 'off') {
    throw new ConfigError(
      'CLICK_STREAM=kafka: clicks that Kafka lacks would be left out of it. Start a server on the folder, or give them up with CLICK_STREAM=off',
    );
  }
  const database = await openDatabase(config);
  let isDone = true;
  try {
    for (const server of serverFolders(folder)) {
      const recognised = recogniseFolder(server);
      if (recognised.kind === 'copy') {
        print(`${server}: left alone, it is a copy of ${recognised.of} (see switchyard journal adopt)`);
        isDone = false;
        continue;
      }
      const owner = await claimFolder(server);
      if (owner === undefined) {
        print(`${server}: left alone, its server is alive`);
        isDone = false;
        continue;
      }
      try {
        const { journals: pending } = await surveyFolder(server);
        const total = pending.reduce((sum, id) => sum + bytesOf(server, id), 0);
        const progress = startProgress(path.basename(server), total);
        let clicks = 0;
        for (const journalId of pending) {
          const taken = await drainOne(database, server, journalId, (left) => progress.update(total - left));
          if (taken === undefined) isDone = false;
          else clicks += taken;
        }
        progress.stop();
        print(`${server}: ${clicks} clicks ingested from ${pending.length} journals`);
      } finally {
        await leaveFolder(server, owner);
      }
    }
  } finally {
    await database.close();
  }
  return isDone;
}

async function drainOne(
  database: Parameters<typeof takeInJournal>[0],
  folder: string,
  journalId: string,
  onLeft: (bytes: number) => void,
): Promise<number | undefined> {
  let clicks = 0;
  for (let failures = 0; failures < RETRIES; ) {
    const outcome = await takeInJournal(database, { folder, journalId, written: undefined });
    if (outcome.failure !== undefined) {
      failures += 1;
      if (failures === 1) process.stderr.write(`${journalId}: ${outcome.failure}\n`);
      await sleep(500);
      continue;
    }
    failures = 0;
    clicks += (outcome.after?.clicks ?? 0) - (outcome.before?.clicks ?? 0);
    if (outcome.pendingBytes !== undefined) onLeft(outcome.pendingBytes);
    if (outcome.isGone) return clicks;
  }
  return undefined;
}

interface Inspected {
  readonly server: string;
  readonly owner: boolean;
  readonly summaries: readonly JournalSummary[];
}

async function inspect(folder: string): Promise<Inspected[]> {
  const servers = serverFolders(folder);
  const total = servers.flatMap((server) => listJournals(server).map((id) => bytesOf(server, id)));
  const progress = startProgress(
    'reading',
    total.reduce((sum, bytes) => sum + bytes, 0),
  );
  let done = 0;
  const found: Inspected[] = [];
  for (const server of servers) {
    const summaries = listJournals(server).map((journalId) =>
      summarise(server, journalId, (bytes) => {
        done += bytes;
        progress.update(done);
      }),
    );
    found.push({ server, owner: await isOwned(server), summaries });
  }
  progress.stop();
  return found;
}

/** The servers' folders under a data folder or a journal folder, or the given folder itself. */
function serverFolders(given: string): string[] {
  const folder = path.resolve(given);
  if (!existsSync(folder) || !statSync(folder).isDirectory())
    throw new FolderError(`${given} is not a folder`);
  if (listJournals(folder).length > 0) return [folder];
  const root = existsSync(path.join(folder, 'journal')) ? path.join(folder, 'journal') : folder;
  const names = readdirSync(root, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  return names.map((entry) => path.join(root, entry.name)).sort();
}

function bytesOf(folder: string, journalId: string): number {
  return listSegments(folder, journalId).reduce((sum, { size }) => sum + size, 0);
}

function describe(summary: JournalSummary): string {
  const { journalId, segments, bytes, turns, clicks, links, texts, firstMs, lastMs, damages } = summary;
  const time = (ms: number | undefined): string => (ms === undefined ? '-' : new Date(ms).toISOString());
  return [
    `  ${journalId}`,
    `    ${segments} segments, ${bytes} bytes, ${turns} turns, ${damages.length} damaged places`,
    `    ${clicks} clicks on ${links} links, ${texts} texts, from ${time(firstMs)} to ${time(lastMs)}`,
  ].join('\n');
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
