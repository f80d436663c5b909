import { rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BlockedHosts } from '../../src/runtime/blocked-hosts.js';
import { makeFolder } from '../support/machine/folders.js';

let folder: string;
let file: string;

beforeAll(() => {
  folder = makeFolder('blocked');
  file = path.join(folder, 'blocked');
  writeFileSync(file, '# phishing\nEvil.example\n*.bad.example # and below\nbücher.example\r\n10.9.8.7\n\n');
});

afterAll(() => rmSync(folder, { recursive: true }));

const hostOf = (url: string): string => new URL(url).hostname;

describe('blocked hosts', () => {
  it.each([
    ['http://evil.example/', true],
    ['http://EVIL.example./x', true],
    ['http://a.b.evil.example/', true],
    ['http://notevil.example/', false],
    ['http://bad.example/', true],
    ['http://www.bad.example/', true],
    ['http://xn--bcher-kva.example/', true],
    ['http://10.9.8.7/', true],
    ['http://example/', false],
    ['http://evil.example.com/', false],
  ])('%s: %s', (url, expected) => {
    expect(new BlockedHosts(file, false).has(hostOf(url))).toBe(expected);
  });

  it.each([
    ['http://localhost/', true],
    ['http://x.localhost/', true],
    ['http://127.0.0.1/', true],
    ['http://2130706433/', true],
    ['http://0x7f.1/', true],
    ['http://10.0.0.1/', true],
    ['http://172.16.5.4/', true],
    ['http://172.32.5.4/', false],
    ['http://192.168.1.1/', true],
    ['http://169.254.169.254/', true],
    ['http://[::1]/', true],
    ['http://[fe80::1]/', true],
    ['http://[fd00::1]/', true],
    ['http://[::ffff:10.0.0.1]/', true],
    ['http://[2001:db8::1]/', false],
    ['http://8.8.8.8/', false],
    ['http://localhost.example/', false],
  ])('private: %s: %s', (url, expected) => {
    expect(new BlockedHosts(undefined, true).has(hostOf(url))).toBe(expected);
    expect(new BlockedHosts(undefined, false).has(hostOf(url))).toBe(false);
  });

  it('are read again when the file has changed, and kept while it is gone', () => {
    const changing = path.join(folder, 'changing');
    writeFileSync(changing, 'one.example\n');
    const blocked = new BlockedHosts(changing, false);
    expect(blocked.has('one.example')).toBe(true);
    writeFileSync(changing, 'two.example\nthree.example\n');
    expect([blocked.has('one.example'), blocked.has('two.example')]).toEqual([false, true]);
    rmSync(changing);
    expect(blocked.has('two.example')).toBe(true);
  });

  it('that can’t be read end the start', () => {
    expect(() => new BlockedHosts(path.join(folder, 'none'), false)).toThrow(/ENOENT/);
  });
});
