import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { describeSettings } from '../../src/config.js';
import { makeFolder } from '../support/machine/folders.js';
import { describeWith, toolPath } from '../support/machine/tools.js';
import { run } from '../support/server/program.js';
import { root } from '../support/stack/compose.js';

const unit = readFileSync(path.join(root, 'ops/systemd/switchyard.service'), 'utf8');
const template = readFileSync(path.join(root, 'ops/systemd/switchyard@.service'), 'utf8');
const consumer = readFileSync(path.join(root, 'ops/systemd/switchyard-consume.service'), 'utf8');
const value = (name: string): string => new RegExp(`^${name}=(.*)$`, 'm').exec(unit)?.[1] ?? '';

describe('the systemd unit', () => {
  it('starts the server as the image does', () => {
    const command = readFileSync(path.join(root, 'Dockerfile'), 'utf8').match(/^CMD (.*)$/m)?.[1] ?? '[]';
    const here = value('ExecStart').replace('/usr/bin/', '').replace('/opt/switchyard/', '');
    expect(here).toBe((JSON.parse(command) as string[]).join(' '));
  });

  it('gives it longer to stop than it may take, and asks it alone', () => {
    const deadline = describeSettings().find(({ name }) => name === 'DRAIN_DEADLINE_MS')?.fallback;
    expect(Number.parseInt(value('TimeoutStopSec'), 10) * 1000).toBeGreaterThan(Number(deadline));
    expect(value('KillSignal')).toBe('SIGTERM');
    expect(value('KillMode')).toBe('mixed');
  });

  it('sets only what there is to set, in a folder that it may write', () => {
    const names = new Set(describeSettings().map(({ name }) => name));
    const given = new Map(
      value('Environment')
        .split(' ')
        .map((pair) => pair.split('=') as [string, string]),
    );
    expect([...given.keys()].filter((name) => !names.has(name))).toEqual(['NODE_ENV']);
    expect(given.get('DATA_DIR')).toBe(`/var/lib/${value('StateDirectory')}`);
  });
});

describe('the unit of several servers', () => {
  it('is the same for each but for its port and its folder', () => {
    const lines = (text: string): string[] => text.split('\n').filter((line) => !line.startsWith('#'));
    const one = template
      .replace(', on port %i', '')
      .replace(' PORT=%i', '')
      .replace('DATA_DIR=/var/lib/switchyard/%i', 'DATA_DIR=/var/lib/switchyard')
      .replace('StateDirectory=switchyard/%i', 'StateDirectory=switchyard');
    expect(lines(one)).toEqual(lines(unit));
  });
});

describeWith('systemd-analyze')('the systemd unit, read by systemd', () => {
  let folder: string;
  let file: string;

  beforeAll(() => {
    folder = makeFolder('systemd');
    file = path.join(folder, 'switchyard.service');
    // It looks for the program and the manual, which are where this machine has them.
    writeFileSync(file, here(unit));
    writeFileSync(path.join(folder, 'switchyard@.service'), here(template));
    writeFileSync(path.join(folder, 'switchyard-consume.service'), here(consumer));
  });
  const here = (text: string): string =>
    text.replace('/usr/bin/node', process.execPath).replaceAll('/opt/switchyard', root);

  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it('is understood without a complaint', async () => {
    for (const name of ['switchyard', 'switchyard@5001', 'switchyard-consume']) {
      const one = path.join(folder, `${name}.service`);
      expect(await run(toolPath('systemd-analyze'), ['verify', one])).toEqual({ code: 0, output: '' });
    }
  });

  it('has every protection that Node can work under', async () => {
    const strict = ['security', '--offline=true', '--threshold=20', file];
    const { code, output } = await run(toolPath('systemd-analyze'), strict);
    expect(output).toContain('Overall exposure level');
    expect(code).toBe(0);
  });

  it('would be refused with a word misspelt', async () => {
    const misspelt = path.join(folder, 'misspelt.service');
    writeFileSync(misspelt, unit.replace('ProtectSystem=strict', 'ProtectSystem=stricter'));
    const { output } = await run(toolPath('systemd-analyze'), ['verify', misspelt]);
    expect(output).toMatch(/ProtectSystem|stricter/);
  });
});
