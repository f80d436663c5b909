import { execFileSync } from 'node:child_process';
import { mkdirSync, utimesSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';
import { memoryLimit, Surroundings } from '../../src/ops/surroundings.js';
import { makeFolder } from '../support/machine/folders.js';
import { describeWith, toolPath } from '../support/machine/tools.js';

async function read(options: Partial<ConstructorParameters<typeof Surroundings>[0]>): Promise<Surroundings> {
  const surroundings = new Surroundings({
    folders: {},
    certificateFile: undefined,
    backupFolder: undefined,
    ...options,
  });
  await surroundings.start();
  surroundings.stop();
  return surroundings;
}

it('of disks, those whose folder is there', async () => {
  const { disks } = await read({ folders: { data: makeFolder('disk'), journal: '/no/such/folder' } });
  expect(disks.map(({ folder }) => folder)).toEqual(['data']);
  expect(disks[0]?.sizeBytes).toBeGreaterThan(0);
  expect(disks[0]?.freeBytes).toBeLessThanOrEqual(disks[0]?.sizeBytes ?? 0);
});

it('of backups, the newest; long ago where there is none, 0 where none is watched', async () => {
  const folder = makeFolder('backups');
  expect((await read({})).lastBackup).toBe(0);
  expect((await read({ backupFolder: folder })).lastBackup).toBe(1);
  expect((await read({ backupFolder: path.join(folder, 'none') })).lastBackup).toBe(1);
  for (const [name, time] of [
    ['a', 2000],
    ['b', 5000],
    ['c', 3000],
  ] as const) {
    writeFileSync(path.join(folder, name), name);
    utimesSync(path.join(folder, name), time, time);
  }
  expect((await read({ backupFolder: folder })).lastBackup).toBe(5000);
});

describeWith('openssl')('of a certificate', () => {
  it('when it expires; long ago where it can’t be read', async () => {
    const folder = makeFolder('certificate');
    mkdirSync(folder, { recursive: true });
    const file = path.join(folder, 'server.crt');
    const args = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
    const output = [
      '-days',
      '10',
      '-subj',
      '/CN=test',
      '-keyout',
      path.join(folder, 'server.key'),
      '-out',
      file,
    ];
    execFileSync(toolPath('openssl'), [...args, ...output], { stdio: 'ignore' });
    const days = ((await read({ certificateFile: file })).certificateExpires - Date.now() / 1000) / 86_400;
    expect(days).toBeCloseTo(10, 1);
    expect((await read({ certificateFile: `${file}.none` })).certificateExpires).toBe(1);
    expect((await read({})).certificateExpires).toBe(0);
  });
});

it('of memory, the limit of the container or all there is', () => {
  expect(memoryLimit()).toBeGreaterThan(50 * 1024 * 1024);
  expect(memoryLimit()).toBeLessThan(2 ** 50);
});
