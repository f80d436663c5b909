import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { outsideClusters, removeOutsideCluster } from '../../src/postgres/cluster-place.js';
import { EmbeddedPostgres } from '../../src/postgres/embedded.js';
import { stopPostmaster } from '../../src/postgres/postmaster.js';
import { connectDatabase } from '../support/database/database.js';
import { makeFolder } from '../support/machine/folders.js';
import { eventually } from '../support/machine/wait.js';
import { runServer, startServer } from '../support/server/server.js';
import { click, createUrl } from '../support/server/suite.js';

let home: string;
let dataDir: string;
let notices: string[];
const others: string[] = [];

beforeEach(() => {
  home = makeFolder('cluster');
  dataDir = path.join(home, 'data');
  notices = [];
});

afterEach(async () => {
  for (const folder of [dataDir, ...others.splice(0)])
    await stopPostmaster(inside('cluster', folder), 'SIGQUIT');
  rmSync(home, { recursive: true, force: true });
});

const start = (folder = dataDir) => EmbeddedPostgres.start(folder, (line) => notices.push(line));
const inside = (name: string, folder = dataDir) => path.join(folder, 'postgres', name);

function postmaster(folder = dataDir): number {
  return Number(readFileSync(inside('cluster/postmaster.pid', folder), 'utf8').split('\n')[0]);
}

function isRunning(pid: number): boolean {
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

async function kill(pid: number, signal: NodeJS.Signals): Promise<void> {
  process.kill(pid, signal);
  await eventually(() => !isRunning(pid));
}

async function put(embedded: EmbeddedPostgres, value: string): Promise<void> {
  const database = await connectDatabase(embedded.address);
  await database.query('CREATE TABLE IF NOT EXISTS kept (value text)');
  await database.query('INSERT INTO kept VALUES ($1)', [value]);
  await database.drop();
}

async function kept(embedded: EmbeddedPostgres): Promise<string[]> {
  const database = await connectDatabase(embedded.address);
  const rows = await database.query<{ value: string }>('SELECT value FROM kept ORDER BY value');
  await database.drop();
  return rows.map(({ value }) => value);
}

const losses: [string, () => void][] = [
  ['missing', () => rmSync(inside('access.json'))],
  ['empty', () => writeFileSync(inside('access.json'), '')],
  ['damaged', () => writeFileSync(inside('access.json'), '{"port":')],
  ['null', () => writeFileSync(inside('access.json'), 'null')],
  ['a wrong password', () => writeFileSync(inside('access.json'), '{"port":1,"password":"wrong"}')],
];

describe('a cluster whose access.json is lost', () => {
  it.each(losses)(
    '(%s, and pgpass too) keeps its data and is opened again, running or not',
    async (_, lose) => {
      const first = await start();
      await put(first, 'one');
      for (const state of ['running', 'stopped', 'killed'] as const) {
        if (state === 'stopped') await first.stop();
        if (state === 'killed') await kill(postmaster(), 'SIGKILL');
        rmSync(inside('pgpass'));
        lose();
        notices = [];
        const beganMs = Date.now();
        const next = await start();
        expect(Date.now() - beganMs).toBeLessThan(15_000);
        expect(await kept(next)).toEqual(['one']);
        expect(notices).toHaveLength(1);
        expect(notices[0]).toMatch(/access\.json .*: the data is untouched, a new password was set/);
        expect(JSON.parse(readFileSync(inside('access.json'), 'utf8'))).toMatchObject({
          port: next.address.port,
          password: next.address.password,
        });
        expect(statSync(inside('access.json')).mode & 0o777).toBe(0o600);
        notices = [];
        expect((await start()).address).toEqual(next.address);
        expect(notices).toEqual([]);
      }
    },
  );

  it('is opened with what psql’s password file still says, without a new password', async () => {
    const first = await start();
    await put(first, 'one');
    rmSync(inside('access.json'));
    const next = await start();
    expect(next.address).toEqual(first.address);
    expect(notices).toEqual([
      'the embedded PostgreSQL: access.json is missing: written again, the data is untouched',
    ]);
    expect(existsSync(inside('access.json'))).toBe(true);
  });

  it('is started again under a running server that knows the way in', async () => {
    const server = await startServer({ DATA_DIR: dataDir });
    const url = await createUrl(server);
    await click(server, url.short_code);
    for (const file of ['access.json', 'pgpass']) rmSync(inside(file));
    await kill(postmaster(), 'SIGQUIT');
    await eventually(async () => (await server.fetch(`/urls/${url.id}`)).status === 200);
    await eventually(() => existsSync(inside('access.json')));
    expect(await click(server, url.short_code)).toBe(url.original_url);
    await eventually(async () => (await server.get(`/urls/${url.id}`)).click_count === 2);
    expect(server.logs.some(({ message }) => /access\.json is missing: written again/.test(message))).toBe(
      true,
    );
    expect(await server.stop()).toBe(0);
  });

  it('is not taken from a server that uses it: the second one ends with one line', async () => {
    const server = await startServer({ DATA_DIR: dataDir });
    const url = await createUrl(server);
    for (const file of ['access.json', 'pgpass']) rmSync(inside(file));
    const pid = postmaster();
    const second = await runServer({ DATA_DIR: dataDir });
    expect(second.code).toBe(3);
    expect(second.stderr).toMatch(
      /^switchyard: the embedded PostgreSQL: access\.json is missing, and another server uses the PostgreSQL: stop that one first; see .*\n$/,
    );
    expect(postmaster()).toBe(pid);
    expect((await server.fetch(`/urls/${url.id}`)).status).toBe(200);
    expect(await server.stop()).toBe(0);
  });
});

describe('a folder that is no whole cluster', () => {
  const refused: [string, () => void, RegExp][] = [
    [
      'of another major version',
      () => writeFileSync(inside('cluster/PG_VERSION'), '16\n'),
      /made by PostgreSQL 16, this is 17/,
    ],
    ['without PG_VERSION', () => rmSync(inside('cluster/PG_VERSION')), /holds files but no PG_VERSION/],
    [
      'without pg_control',
      () => rmSync(inside('cluster/global/pg_control')),
      /is not whole \(no global\/pg_control\)/,
    ],
    [
      'without a cluster beside access.json',
      () => renameSync(inside('cluster'), path.join(home, 'away')),
      /cluster is missing or empty, though .*access\.json is there/,
    ],
  ];

  it.each(refused)('(%s) is refused with one line and left as it is', async (_, harm, message) => {
    await (await start()).stop();
    harm();
    const files = readdirSync(inside(''), { recursive: true }).length;
    const { code, stderr } = await runServer({ DATA_DIR: dataDir });
    expect([code, stderr.trimEnd().split('\n').length]).toEqual([3, 1]);
    expect(stderr).toMatch(message);
    expect(readdirSync(inside(''), { recursive: true })).toHaveLength(files);
  });

  it('left by an initdb that was killed is made anew', async () => {
    mkdirSync(inside('cluster/base/1'), { recursive: true });
    mkdirSync(inside('cluster.0123456789ab.new/base'), { recursive: true });
    writeFileSync(inside('cluster.0123456789ab.new/PG_VERSION'), '17\n');
    // Only empty folders where the cluster belongs: nothing can be lost.
    const embedded = await start();
    await put(embedded, 'one');
    expect(readdirSync(inside('')).filter((name) => name.startsWith('cluster'))).toEqual(['cluster']);
    expect(notices).toEqual([]);
  });

  it('never replaces a cluster that appears while initdb runs', async () => {
    mkdirSync(inside('cluster'), { recursive: true });
    const pending = start();
    await eventually(() => readdirSync(inside('')).some((name) => name.endsWith('.new')));
    writeFileSync(inside('cluster/of-somebody'), 'data');
    await expect(pending).rejects.toThrow(/cluster was filled by another process meanwhile/);
    expect(readFileSync(inside('cluster/of-somebody'), 'utf8')).toBe('data');
    rmSync(inside('cluster/of-somebody'));
  });
});

describe('a copy of a data folder', () => {
  it('beside the running original has its own PostgreSQL, port and password', async () => {
    const original = await start();
    await put(original, 'before');
    const copyDir = path.join(home, 'copy');
    others.push(copyDir);
    execFileSync('cp', ['-a', dataDir, copyDir]);
    const pid = postmaster();
    const copy = await start(copyDir);
    expect(copy.address.port).not.toBe(original.address.port);
    expect(copy.address.password).not.toBe(original.address.password);
    expect(notices).toHaveLength(1);
    expect(notices[0]).toMatch(/copy\/postgres is a copy: it now has its own port and password/);
    await put(copy, 'copy');
    await put(original, 'original');
    expect(await kept(copy)).toEqual(['before', 'copy']);
    expect(await kept(original)).toEqual(['before', 'original']);
    // Ending the one leaves the other alone, and both find their own again.
    await copy.stop();
    expect(isRunning(pid)).toBe(true);
    notices = [];
    expect(await kept(await start(copyDir))).toEqual(['before', 'copy']);
    expect(await kept(await start())).toEqual(['before', 'original']);
    expect([postmaster(), notices]).toEqual([pid, []]);
  });

  it('started first does not become the original’s', async () => {
    const original = await start();
    await put(original, 'before');
    await original.stop();
    const copyDir = path.join(home, 'copy');
    others.push(copyDir);
    execFileSync('cp', ['-a', dataDir, copyDir]);
    const copy = await start(copyDir);
    await put(copy, 'copy');
    const again = await start();
    expect(again.address.port).not.toBe(copy.address.port);
    expect(await kept(again)).toEqual(['before']);
  });

  it('is distinguished from a folder that was moved or is reached by another name', async () => {
    const first = await start();
    await put(first, 'one');
    const pid = postmaster();
    const link = path.join(home, 'link');
    symlinkSync(dataDir, link);
    expect((await start(link)).address).toEqual(first.address);
    const moved = path.join(home, 'moved');
    renameSync(dataDir, moved);
    others.push(moved);
    const after = await start(moved);
    expect([after.address, postmaster(moved), notices]).toEqual([first.address, pid, []]);
    // Its access lost, the postmaster is found by where it works, not by the path it was started with.
    for (const file of ['access.json', 'pgpass']) rmSync(inside(file, moved));
    const regained = await start(moved);
    expect(await kept(regained)).toEqual(['one']);
    expect(isRunning(pid)).toBe(false);
  });
});

describe.runIf(process.getuid?.() === 0)('a cluster outside of its data folder', () => {
  it('moves along, is not shared with a copy, and can be removed only when nothing names it', async () => {
    const closed = path.join(home, 'closed');
    mkdirSync(closed, { mode: 0o700 });
    const data = path.join(closed, 'data');
    const first = await start(data);
    await put(first, 'one');
    expect(first.folder.startsWith(closed)).toBe(false);
    expect(first.isOutside).toBe(true);
    const listed = () => outsideClusters().find(({ folder }) => folder === first.folder);
    expect(listed()).toEqual({ folder: first.folder, dataDir: data, isUsed: true });
    await expect(removeOutsideCluster(first.folder)).rejects.toThrow(/is the database of .*: it stays/);
    const copy = path.join(closed, 'copy');
    execFileSync('cp', ['-a', data, copy]);
    await expect(start(copy)).rejects.toThrow(/copy is a copy of .*data, whose database lies in/);
    const moved = path.join(closed, 'moved');
    renameSync(data, moved);
    const again = await start(moved);
    expect(again.folder).toBe(first.folder);
    expect(await kept(again)).toEqual(['one']);
    rmSync(moved, { recursive: true });
    expect(listed()?.isUsed).toBe(false);
    const tool = (...args: string[]) =>
      spawnSync(process.execPath, ['dist/server/cli.js', 'clusters', ...args]);
    expect(tool().stdout.toString()).toContain(
      `${first.folder} (data folder: ${moved}, which is gone or has another one)\n`,
    );
    await expect(removeOutsideCluster(closed)).rejects.toThrow(/is no cluster/);
    expect(tool('remove', first.folder).status).toBe(0);
    expect(existsSync(first.folder)).toBe(false);
  });

  it('is not begun anew when the folder that holds one can’t be entered any more', async () => {
    await (await start()).stop();
    chmodSync(home, 0o700);
    await expect(start()).rejects.toThrow(/can no longer enter .*which holds the database/);
    chmodSync(home, 0o755);
  });
});
