import { existsSync, readdirSync, readlinkSync, rmSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

interface Opened {
  readonly what: string;
  readonly end: () => unknown;
}

const opened = new Set<Opened>();
const folders = new Set<string>();
/** What a test that has timed out opens behind its file's end is closed at once. */
let isOver = false;
/** What ends by itself once it is asked to does so within this. */
const GRACE_MS = 10_000;

/**
 * Notes what a test has opened: a server, a program, a connection, a database.
 * @param end Closes it, where the test has not.
 * @returns what is to be called once it is closed.
 */
export function noteOpened(what: string, end: () => unknown): () => void {
  const one = { what, end };
  if (isOver) void end();
  else opened.add(one);
  return () => void opened.delete(one);
}

/** Notes a folder that goes with the file of tests that made it. */
export function noteFolder(folder: string): void {
  folders.add(folder);
}

/**
 * Closes what is still open and removes the folders.
 * @returns what was left: names of what was noted, processes that live in the folders, sockets.
 */
export async function closeLeftovers(): Promise<string[]> {
  const deadline = Date.now() + GRACE_MS;
  while (left().length > 0 && Date.now() < deadline) await sleep(50);
  const found = left();
  isOver = true;
  await Promise.allSettled([...opened].map(async ({ end }) => end()));
  for (const { pid } of tenants()) process.kill(pid, 'SIGKILL');
  for (const folder of folders) rmSync(folder, { recursive: true, force: true, maxRetries: 10 });
  opened.clear();
  folders.clear();
  return found;
}

function left(): string[] {
  return [
    ...[...opened].map(({ what }) => what),
    ...tenants().map(({ pid, folder }) => `process ${pid} in ${folder}`),
    ...process.getActiveResourcesInfo().filter((name) => name.startsWith('TCP')),
  ];
}

/** Processes that were started in the folders, or have moved there, as PostgreSQL does. */
function tenants(): { readonly pid: number; readonly folder: string }[] {
  if (folders.size === 0 || !existsSync('/proc/self/cwd')) return [];
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((name) => ({ pid: Number(name), folder: folderOf(name) }))
    .filter(({ folder }) => [...folders].some((one) => folder === one || folder.startsWith(one + path.sep)));
}

function folderOf(pid: string): string {
  try {
    return readlinkSync(`/proc/${pid}/cwd`);
  } catch {
    return '';
  }
}
