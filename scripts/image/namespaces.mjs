// Runs commands inside a root folder as a container would: with mount and process namespaces of their own,
// so that whatever is mounted goes when they end, and nothing is ever to be unmounted.
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** Everything started here that has not ended. */
const running = new Set();

/** Ends it all, with whatever it has started: nothing outlives its process 1. */
export async function endAll() {
  for (const child of running) child.kill('SIGKILL');
  while (running.size > 0) await sleep(20);
}

function start(program, args, options) {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options });
  running.add(child);
  for (const event of ['close', 'error']) child.once(event, () => running.delete(child));
  return child;
}

const quote = (text) => `'${text.replaceAll("'", `'\\''`)}'`;

/** Devices that every container has. */
const devices = ['null', 'zero', 'full', 'random', 'urandom', 'tty'];

/**
 * @param {object} options
 * @param {string} options.root the folder that becomes /
 * @param {string[]} options.argv the program, which becomes process 1
 * @param {Record<string, string>} options.env its whole environment
 * @param {string} [options.user] by name; with another than root, HOME is that user's
 * @param {{ from: string, to: string }[]} [options.binds] folders and files of outside, by their place inside
 * @param {string[]} [options.tmpfs] folders that start empty, in memory
 * @param {boolean} [options.isReadOnly] whether the root is, but for the binds and tmpfs
 * @param {boolean} [options.isConfined] without any capability, and without a way to get one
 */
export function startInside({
  root,
  argv,
  env,
  user = 'root',
  workdir = '/',
  binds = [],
  tmpfs = [],
  isReadOnly = false,
  isConfined = false,
}) {
  const inside = (name) => quote(path.join(root, name));
  const setup = [
    'set -e',
    // A mount of its own is what can be made read-only.
    `mount --bind ${quote(root)} ${quote(root)}`,
    `mount -t proc proc ${inside('proc')}`,
    `mount -t tmpfs -o mode=755 tmpfs ${inside('dev')}`,
    `ln -s /proc/self/fd ${inside('dev/fd')}`,
    ...devices.flatMap((name) => [
      `touch ${inside(`dev/${name}`)}`,
      `mount --bind /dev/${name} ${inside(`dev/${name}`)}`,
    ]),
    ...binds.map(({ from, to }) => `mount --bind ${quote(from)} ${inside(to)}`),
    ...tmpfs.map((name) => `mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs ${inside(name)}`),
    ...(isReadOnly ? [`mount -o remount,bind,ro ${quote(root)}`] : []),
    `exec chroot ${quote(root)} env --chdir=${quote(workdir)} "$@"`,
  ];
  const privileges =
    user === 'root' && !isConfined
      ? []
      : [
          ...['setpriv', `--reuid=${user}`, `--regid=${user}`, '--init-groups'],
          ...(isConfined ? ['--no-new-privs', '--bounding-set=-all', '--inh-caps=-all'] : []),
        ];
  const HOME = user === 'root' ? '/root' : `/home/${user}`;
  return start(
    'unshare',
    [
      ...['--mount', '--pid', '--fork', '--kill-child', '--', 'sh', '-c', setup.join('\n'), 'sh'],
      ...privileges,
      ...argv,
    ],
    { env: { HOME, ...env } },
  );
}

/** @returns {Promise<{ code: number | string, output: string }>} what a process ended with, and all it said. */
export async function ended(child, onText = () => undefined) {
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text) => {
      output += text;
      onText(text);
    });
  }
  const code = await new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (status, signal) => resolve(status ?? signal));
  });
  return { code, output };
}

/** Runs a program to its end. @throws with all it said, when that is not well. */
export async function run(program, args, options = {}) {
  const { code, output } = await ended(start(program, args, options));
  if (code !== 0) throw new Error(`${program} ${args.join(' ')} ended with ${code}:\n${output}`);
  return output;
}

/** The process that is number 1 inside, by its number outside; once `program` runs there. */
export async function insidePid(child, program, deadlineMs = 10_000) {
  const deadline = Date.now() + deadlineMs;
  while (Date.now() < deadline) {
    const children = read(`/proc/${child.pid}/task/${child.pid}/children`)?.trim() ?? '';
    const pid = Number(children.split(' ')[0]);
    if (pid > 0 && read(`/proc/${pid}/cmdline`)?.split('\0')[0] === program) return pid;
    await sleep(20);
  }
  throw new Error(`${program} did not start inside within ${deadlineMs} ms`);
}

/** A process's rows of /proc/<pid>/status. */
export function statusOf(pid) {
  const rows = (read(`/proc/${pid}/status`) ?? '').split('\n').map((row) => row.split(/:\s*/));
  return Object.fromEntries(rows.filter(([key]) => key !== ''));
}

/** Runs a program beside the one that is process 1 inside, as the same user. */
export async function runBeside(pid, argv, env) {
  const { Uid, Gid } = statusOf(pid);
  const [uid, gid] = [Uid, Gid].map((row) => row.split('\t')[0]);
  const child = start(
    'nsenter',
    [
      ...['--target', String(pid), '--mount', '--pid', '--root', '--wd'],
      ...[`--setuid=${uid}`, `--setgid=${gid}`, '--', ...argv],
    ],
    { env },
  );
  return ended(child);
}

function read(file) {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}
