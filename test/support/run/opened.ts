import { existsSync, readdirSync, readlinkSync, rmSync } from 'node:fs';
import { globalAgent } from 'node:http';
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
/** Time for what was asked to end, in milliseconds. */
const GRACE_MS = Number(process.env.LEFTOVERS_GRACE_MS ?? 30_000);

/** What Node itself holds open, by its names for it. */
const openResources: Readonly<Record<string, string>> = {
  TCPSocketWrap: 'TCP socket',
  TCPServerWrap: 'TCP server',
  ProcessWrap: 'child process',
};

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
 * @returns what was left: names of what was noted, processes that live in the folders, child processes, sockets.
 */
export async function closeLeftovers(): Promise<string[]> {
  await closeFetchConnections();
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

/** `fetch` keeps its connections, and those of answers that nobody read. They are not a test's to close. */
async function closeFetchConnections(): Promise<void> {
  const fetchAgent = Reflect.get(globalThis, Symbol.for('undici.globalDispatcher.1')) as
    | { destroy(): Promise<void> }
    | undefined;
  await fetchAgent?.destroy();
  globalAgent.destroy();
}

function left(): string[] {
  return [
    ...[...opened].map(({ what }) => what),
    ...tenants().map(({ pid, folder }) => `process ${pid} in ${folder}`),
    ...process.getActiveResourcesInfo().flatMap((name) => openResources[name] ?? []),
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
