import { accessSync, constants, readdirSync } from 'node:fs';
import path from 'node:path';
import { describe } from 'vitest';

/** Programs from the system's packages, by name, and the Debian package that has each. */
const packages = {
  nginx: 'nginx-light',
  prometheus: 'prometheus',
  promtool: 'prometheus',
  'prometheus-alertmanager': 'prometheus-alertmanager',
  amtool: 'prometheus-alertmanager',
  'prometheus-nginx-exporter': 'prometheus-nginx-exporter',
  openssl: 'openssl',
  pgbouncer: 'pgbouncer',
  postgres: 'postgresql-15',
  patroni: 'patroni',
  patronictl: 'patroni',
  etcd: 'etcd-server',
  chromium: 'chromium',
  script: 'bsdutils',
  'systemd-analyze': 'systemd',
  ip: 'iproute2',
} as const;

export type Tool = keyof typeof packages;

/** Where Debian has the programs of each PostgreSQL. */
const postgresFolder = '/usr/lib/postgresql';

/**
 * Where a program is; `undefined` when it is not installed. Daemons are not in every user's PATH, and
 * those of PostgreSQL in nobody's.
 */
export function locate(tool: Tool): string | undefined {
  const folders = [
    ...(process.env.PATH ?? '').split(':'),
    '/usr/sbin',
    '/usr/local/sbin',
    ...foldersIn(postgresFolder).map((version) => path.join(version, 'bin')),
  ];
  return folders.map((folder) => path.join(folder, tool)).find(isExecutable);
}

/** @throws when the program is not installed. */
export function toolPath(tool: Tool): string {
  const found = locate(tool);
  if (found === undefined) throw new Error(`${tool} is not installed (Debian: ${packages[tool]})`);
  return found;
}

/**
 * `describe` for tests that need these programs. On a machine without them the tests are skipped with the
 * reason; with CI_TOOLS_REQUIRED=1 they fail.
 */
export function describeWith(...tools: Tool[]): typeof describe | typeof describe.skip {
  const missing = tools.filter((tool) => locate(tool) === undefined);
  if (missing.length === 0) return describe;
  const wanted = [...new Set(missing.map((tool) => packages[tool]))].join(' ');
  const message = `${missing.join(', ')} not found: apt-get install ${wanted}`;
  if (process.env.CI_TOOLS_REQUIRED === '1') throw new Error(message);
  console.warn(`skipped, ${message}`);
  return describe.skip;
}

function foldersIn(folder: string): string[] {
  try {
    return readdirSync(folder)
      .sort()
      .map((name) => path.join(folder, name));
  } catch {
    return [];
  }
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
