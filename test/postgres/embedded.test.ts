import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { canReach, installedBinaries, reachableBinaries } from '../../src/postgres/binaries.js';
import { EmbeddedPostgres } from '../../src/postgres/embedded.js';
import { stopPostmaster } from '../../src/postgres/postmaster.js';
import { makeFolder } from '../support/machine/folders.js';
import { eventually } from '../support/machine/wait.js';
import { startServer } from '../support/server/server.js';
import { click, createUrl } from '../support/server/suite.js';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
let dataDir: string;

beforeEach(() => {
  dataDir = makeFolder('embedded');
});

afterEach(async () => {
  // Whatever a test left running.
  await stopPostmaster(path.join(dataDir, 'postgres/cluster'), 'SIGQUIT');
  rmSync(dataDir, { recursive: true, force: true });
});

function postmaster(): number {
  return Number(readFileSync(path.join(dataDir, 'postgres/cluster/postmaster.pid'), 'utf8').split('\n')[0]);
}

function isRunning(pid: number): boolean {
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

describe('the embedded PostgreSQL', () => {
  it('is made once, kept between runs, and stopped with the server', async () => {
    const first = await startServer({
      DATA_DIR: dataDir,
      SEED_ON_BOOT: 'true',
      CSV_DIR: path.join(root, 'csv'),
    });
    await eventually(() => first.banner().includes('seeded 3422 events'));
    const command = first.banner().match(/open it with: (.*)/)?.[1] ?? '';
    expect(command).toMatch(/^PGPASSFILE='.*pgpass' psql -h 127\.0\.0\.1 -p \d+ -U switchyard switchyard$/);
    if (spawnSync('psql', ['--version']).status === 0) {
      const shown = execFileSync('bash', ['-c', `${command} -w -tAc 'SELECT count(*) FROM short_urls'`]);
      expect(shown.toString().trim()).toBe('2000');
    }
    const url = await createUrl(first);
    await click(first, url.short_code);
    for (const file of ['access.json', 'pgpass', 'postgres.log']) {
      expect(statSync(path.join(dataDir, 'postgres', file)).mode & 0o777).toBe(0o600);
    }
    const pid = postmaster();
    expect(await first.stop()).toBe(0);
    expect(isRunning(pid)).toBe(false);

    const second = await startServer({
      DATA_DIR: dataDir,
      SEED_ON_BOOT: 'true',
      CSV_DIR: path.join(root, 'csv'),
    });
    expect(second.banner()).not.toContain('seeded');
    expect((await second.json(`/urls/${url.id}`)).body).toMatchObject({ click_count: 1 });
    expect(await click(second, url.short_code)).toBe(url.original_url);
    expect(await second.stop()).toBe(0);
  });

  it('is taken over when the last run was killed, with every click', async () => {
    const first = await startServer({ DATA_DIR: dataDir });
    const url = await createUrl(first);
    for (let count = 0; count < 30; count += 1) await click(first, url.short_code);
    const pid = postmaster();
    await first.kill();
    expect(isRunning(pid)).toBe(true);
    const second = await startServer({ DATA_DIR: dataDir });
    expect(postmaster()).toBe(pid);
    await eventually(async () => (await second.get(`/urls/${url.id}`)).click_count === 30);
    expect(await second.stop()).toBe(0);
    expect(isRunning(pid)).toBe(false);
  });

  it('recovers when it was killed together with the server, its port taken meanwhile, its pid file stale', async () => {
    const first = await startServer({ DATA_DIR: dataDir });
    const url = await createUrl(first);
    const pid = postmaster();
    await first.kill();
    process.kill(pid, 'SIGKILL');
    await eventually(() => !isRunning(pid));
    const { port } = JSON.parse(readFileSync(path.join(dataDir, 'postgres/access.json'), 'utf8')) as {
      port: number;
    };
    const squatter = createServer((socket) => socket.destroy());
    await new Promise<void>((resolve) => squatter.listen(port, '127.0.0.1', resolve));
    // The number in the pid file now belongs to somebody else: this very process.
    const pidFile = path.join(dataDir, 'postgres/cluster/postmaster.pid');
    writeFileSync(pidFile, readFileSync(pidFile, 'utf8').replace(/^\d+/, String(process.pid)));
    const second = await startServer({ DATA_DIR: dataDir });
    expect((await second.json(`/urls/${url.id}`)).body).toMatchObject({ short_code: url.short_code });
    expect(await second.stop()).toBe(0);
    squatter.close();
  });

  it('is started again when it ends while the server runs', async () => {
    const server = await startServer({ DATA_DIR: dataDir });
    const url = await createUrl(server);
    process.kill(postmaster(), 'SIGQUIT');
    expect(await click(server, url.short_code).catch(() => '503')).toMatch(/^(https:|503)/);
    await eventually(async () => (await server.fetch('/users')).status === 200);
    expect(await click(server, url.short_code)).toBe(url.original_url);
    expect(await server.stop()).toBe(0);
  });

  it('is shared by two servers on one data folder, and stopped by the last', async () => {
    const [one, other] = await Promise.all([
      startServer({ DATA_DIR: dataDir }),
      startServer({ DATA_DIR: dataDir }),
    ]);
    const url = await createUrl(one);
    expect(await click(other, url.short_code)).toBe(url.original_url);
    const pid = postmaster();
    expect(await one.stop()).toBe(0);
    expect(isRunning(pid)).toBe(true);
    expect((await other.json(`/events?url_id=${url.id}`)).body).toHaveLength(2);
    expect(await other.stop()).toBe(0);
    expect(isRunning(pid)).toBe(false);
  });

  it('never has its password half written, and begins its log anew when it has grown', async () => {
    const folder = path.join(dataDir, 'postgres');
    const first = await EmbeddedPostgres.start(dataDir);
    await first.stop();
    const inodes = ['access.json', 'pgpass'].map((name) => statSync(path.join(folder, name)).ino);
    writeFileSync(path.join(folder, 'postgres.log'), 'x'.repeat(17 * 1024 * 1024));
    // What a start that was killed has left.
    writeFileSync(path.join(folder, 'access.json.tmp'), '{"port":');
    const second = await EmbeddedPostgres.start(dataDir);
    expect(second.address.password).toBe(first.address.password);
    // Other files in their places, instead of the same ones written over.
    const now = ['access.json', 'pgpass'].map((name) => statSync(path.join(folder, name)));
    expect(now.map((stat) => stat.mode & 0o777)).toEqual([0o600, 0o600]);
    for (const [index, { ino }] of now.entries()) expect(ino).not.toBe(inodes[index]);
    expect(statSync(path.join(folder, 'postgres.log')).size).toBeLessThan(100_000);
    expect(await second.stop()).toBe(true);
  });

  it('says where to look when it can’t start', async () => {
    const embedded = await EmbeddedPostgres.start(dataDir);
    await embedded.stop();
    rmSync(path.join(dataDir, 'postgres/cluster/pg_xact'), { recursive: true });
    await expect(EmbeddedPostgres.start(dataDir)).rejects.toThrow(/did not start; see .*postgres\.log$/);
    rmSync(path.join(dataDir, 'postgres'), { recursive: true });
  });
});

const isRoot = process.getuid?.() === 0;
const someone = { name: 'nobody', uid: 65_534, gid: 65_534 };

describe.runIf(isRoot)('as root', () => {
  it('works where nobody else can enter', { timeout: 120_000 }, async () => {
    const closed = path.join(dataDir, 'closed');
    mkdirSync(closed, { mode: 0o700 });
    expect(canReach(closed, someone)).toBe(false);
    const inside = path.join(closed, 'data');
    const embedded = await EmbeddedPostgres.start(inside);
    expect(embedded.folder.startsWith(closed)).toBe(false);
    expect(canReach(embedded.folder, someone)).toBe(true);
    const again = await EmbeddedPostgres.start(inside);
    expect(again.address).toEqual(embedded.address);
    expect(await embedded.stop()).toBe(true);
    rmSync(embedded.folder, { recursive: true });
  });

  it('copies binaries out of a folder that can’t be entered, once', async () => {
    const binaries = await installedBinaries();
    const native = path.resolve(path.dirname(binaries.postgres), '..');
    expect(reachableBinaries(binaries, undefined)).toEqual(binaries);
    const closed = path.join(dataDir, 'closed');
    mkdirSync(closed, { mode: 0o700 });
    cpSync(native, path.join(closed, 'native'), { recursive: true, verbatimSymlinks: true });
    const hidden = {
      postgres: path.join(closed, 'native/bin/postgres'),
      initdb: path.join(closed, 'native/bin/initdb'),
    };
    const copied = reachableBinaries(hidden, someone);
    expect(copied.postgres.startsWith(closed)).toBe(false);
    expect(reachableBinaries(hidden, someone)).toEqual(copied);
    const version = execFileSync(copied.postgres, ['--version'], { uid: someone.uid, gid: someone.gid });
    expect(version.toString()).toMatch(/^postgres \(PostgreSQL\) 17/);
    rmSync(path.resolve(path.dirname(copied.postgres), '..'), { recursive: true });
  });

  it('an ordinary user needs none of that', { timeout: 120_000 }, () => {
    // The whole start as nobody, from a copy of what it needs.
    const home = path.join(dataDir, 'home');
    mkdirSync(home);
    for (const part of ['dist', 'csv', 'package.json'])
      cpSync(path.join(root, part), path.join(home, part), { recursive: true });
    cpSync(path.join(root, 'node_modules'), path.join(home, 'node_modules'), {
      recursive: true,
      verbatimSymlinks: true,
      filter: (source) => !/uws_(darwin|win32|linux_arm)|@biomejs|rolldown|typescript/.test(source),
    });
    chownSync(home, someone.uid, someone.gid);
    for (const folder of [tmpdir(), dataDir]) if (!canReach(folder, someone)) chmodSync(folder, 0o755);
    const script = `
      import { EmbeddedPostgres } from './dist/src/postgres/embedded.js';
      const embedded = await EmbeddedPostgres.start('./data');
      console.log(embedded.folder);
      console.log(await embedded.stop());
    `;
    const result = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
      cwd: home,
      uid: someone.uid,
      gid: someone.gid,
      // Node would pass the folder for coverage on, where this user may not write.
      env: { PATH: process.env.PATH ?? '', HOME: home, NODE_V8_COVERAGE: '' },
      encoding: 'utf8',
    });
    expect([result.stdout, result.stderr]).toEqual([`${path.join(home, 'data/postgres')}\ntrue\n`, '']);
    expect(existsSync(path.join(home, 'data/postgres/cluster/PG_VERSION'))).toBe(true);
  });
});
