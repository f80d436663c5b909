import { chmodSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Url } from '../support/clients/answers.js';
import type { TestDatabase } from '../support/database/database.js';
import { SystemPostgres } from '../support/database/system-postgres.js';
import { makeFolder } from '../support/machine/folders.js';
import { describeWith, toolPath } from '../support/machine/tools.js';
import { Program, run } from '../support/server/program.js';
import { startServer, type TestServer } from '../support/server/server.js';
import { click, createUrl } from '../support/server/suite.js';
import { Alertmanager } from '../support/stack/alertmanager.js';
import { readCompose, root } from '../support/stack/compose.js';
import { codeIn, listDocuments, readDocument } from '../support/stack/documents.js';
import { Prometheus } from '../support/stack/prometheus.js';

const runbook = readDocument('Docs/OPERATIONAL_RUNBOOK.md');
const blocks = (text: string): string[] =>
  [...text.matchAll(/^```sh\n([\s\S]*?)^```/gm)].map(([, code = '']) => code);
/** q, db, sy and logs. */
const shorthands = blocks(runbook)[0] ?? '';
const everywhere = listDocuments().flatMap((name) => codeIn(readDocument(name)));

/** What stands for something else can't be run as it is. */
const isWhole = (command: string): boolean => !/…|<\w/.test(command.replaceAll("'…'", "'secret'"));

describe('every block of shell', () => {
  it.each(listDocuments().filter((name) => blocks(readDocument(name)).length > 0))(
    'of %s is one',
    async (name) => {
      for (const block of blocks(readDocument(name))) {
        const text = block.replaceAll(/<[\w -]+>|\[[^\]\n]*…\]/g, 'placeholder');
        expect(await run('bash', ['-n', '-c', text])).toEqual({ code: 0, output: '' });
      }
    },
  );
});

/**
 * Options of the commands in use, from Docker's reference (docs.docker.com/reference/cli/docker/).
 * A long option that takes a value is followed by "=".
 */
const dockerOptions: Readonly<Record<string, string>> = {
  'compose up':
    '-d --detach --build --no-build --no-recreate --force-recreate --no-deps --remove-orphans --wait --wait-timeout= --scale=',
  'compose down': '-v',
  'compose stop': '',
  'compose start': '',
  'compose restart': '',
  'compose ps': '-q --quiet',
  'compose logs': '--no-log-prefix --no-color --since= --tail=',
  'compose exec': '-T',
  restart: '-t=',
  inspect: '-f= --format=',
  kill: '-s=',
  stats: '--no-stream',
  build: '--build-arg=',
  'image ls': '--format=',
};

describe('every command of Docker', () => {
  const services = Object.keys(readCompose().services);
  const commands = everywhere.flatMap((code) =>
    [...code.matchAll(/(?:^|[\s({;])docker ((?:compose |image )?[a-z]+)([^\n|;)`>]*)/g)].map(
      ([, name = '', rest = '']) => [name, rest.replace(/ #.*$/, '').trim()] as const,
    ),
  );

  it('is one that Docker has, with options that it has', () => {
    expect(commands.length).toBeGreaterThan(40);
    const unknown: string[] = [];
    for (const [name, rest] of commands) {
      const options = dockerOptions[name];
      if (options === undefined) {
        if (name !== 'run') unknown.push(`docker ${name}`);
        continue;
      }
      const known = new Set(options.split(' ').map((option) => option.replace(/=$/, '')));
      // What follows the service is the command that runs inside.
      const own = name === 'compose exec' ? rest.replace(/^((?:-T )?).*$/, '$1') : rest;
      for (const [option] of own.matchAll(/(?<=^|\s)--?[a-zA-Z][\w-]*/g)) {
        if (!known.has(option)) unknown.push(`docker ${name} ${option}`);
      }
    }
    expect(unknown).toEqual([]);
  });

  it('names services that there are', () => {
    const named = commands.flatMap(([name, rest]) =>
      name === 'compose exec' || name === 'compose restart'
        ? [rest.replace(/^-T /, '').split(/\s/)[0] ?? '']
        : [],
    );
    expect(named.length).toBeGreaterThan(10);
    expect(named.filter((service) => service !== '' && !services.includes(service))).toEqual([]);
  });

  it('kills no server that is to come back: to Docker that is a manual stop', () => {
    expect(commands.filter(([name, rest]) => name === 'kill' && rest !== '')).toEqual([]);
  });
});

/** Stands for Docker: what would run in a container runs here, on this test's programs. */
const DOCKER = `#!/usr/bin/env bash
set -euo pipefail
[[ "$1 $2" = "compose exec" ]] || { echo "$*" >> "$STATE/calls"; exit 0; }
shift 2
[[ $1 != -T ]] || shift
service=$1
shift
arguments=()
for argument; do
  argument=\${argument//http:\\/\\/localhost:9090/$PROMETHEUS_URL}
  argument=\${argument//http:\\/\\/localhost:9093/$ALERTMANAGER_URL}
  [[ $service != app ]] || argument=\${argument/#\\/data/$DATA_DIR}
  arguments+=("$argument")
done
[[ $service != app ]] || cd "$ROOT"
exec "\${arguments[@]}"
`;

describeWith(
  'postgres',
  'prometheus',
  'promtool',
  'amtool',
  'prometheus-alertmanager',
)('the runbook’s commands, on real programs', () => {
  let folder: string;
  let postgres: SystemPostgres;
  let admin: TestDatabase;
  let server: TestServer;
  let prometheus: Prometheus;
  let alertmanager: Alertmanager;
  let link: Url;
  const password = 'of-the-server';

  const environment = (): Record<string, string> => ({
    PATH: [
      path.join(folder, 'bin'),
      path.dirname(toolPath('promtool')),
      path.dirname(toolPath('postgres')),
      process.env.PATH,
    ].join(':'),
    STATE: folder,
    ROOT: root,
    DATA_DIR: server.dataDir,
    DATABASE_URL: databaseUrl(),
    PGHOST: '127.0.0.1',
    PGPORT: String(postgres.address.port),
    PGPASSFILE: path.join(folder, 'pgpass'),
    PROMETHEUS_URL: prometheus?.url ?? '',
    ALERTMANAGER_URL: `http://127.0.0.1:${alertmanager?.port ?? 0}`,
  });
  const databaseUrl = (): string =>
    `postgresql://switchyard:${password}@127.0.0.1:${postgres.address.port}/switchyard`;

  /** Runs a script of bash with the runbook's shorthands. */
  const bash = (script: string): Promise<{ code: number | NodeJS.Signals; output: string }> => {
    const variables = Object.entries(environment()).map(([name, value]) => `${name}=${value}`);
    return run('env', ['-i', ...variables, 'bash', '-euo', 'pipefail', '-c', `${shorthands}\n${script}`], {
      cwd: folder,
    });
  };
  const expectToRun = async (script: string): Promise<void> => {
    const { code, output } = await bash(script);
    expect([script, code, code === 0 ? '' : output]).toEqual([script, 0, '']);
  };
  const start = (dataDir?: string): Promise<TestServer> =>
    startServer({ DATABASE_URL: databaseUrl(), DATA_DIR: dataDir });

  beforeAll(async () => {
    folder = makeFolder('commands');
    mkdirSync(path.join(folder, 'bin'));
    writeFileSync(path.join(folder, 'bin/docker'), DOCKER);
    chmodSync(path.join(folder, 'bin/docker'), 0o755);
    postgres = await SystemPostgres.start('postgres');
    admin = await postgres.connect();
    await admin.query('CREATE DATABASE switchyard');
    writeFileSync(
      path.join(folder, 'pgpass'),
      `*:*:*:postgres:${postgres.address.password}\n*:*:*:switchyard:${password}\n`,
      { mode: 0o600 },
    );
    // The volume's own init script.
    const roles = readFileSync(path.join(root, 'ops/postgres/roles.sh'), 'utf8').replaceAll(
      '/etc/switchyard',
      path.join(root, 'ops/postgres'),
    );
    writeFileSync(path.join(folder, 'application'), password);
    writeFileSync(path.join(folder, 'reader'), 'of-the-reader');
    const made = await run('env', [
      `PATH=${path.dirname(toolPath('postgres'))}:${process.env.PATH}`,
      `PGPASSFILE=${path.join(folder, 'pgpass')}`,
      'PGHOST=127.0.0.1',
      `PGPORT=${postgres.address.port}`,
      'POSTGRES_USER=postgres',
      'POSTGRES_DB=switchyard',
      `APPLICATION_PASSWORD_FILE=${path.join(folder, 'application')}`,
      `READER_PASSWORD_FILE=${path.join(folder, 'reader')}`,
      ...['sh', '-c', roles],
    ]);
    if (made.code !== 0) throw new Error(made.output);
    server = await start();
    link = await createUrl(server);
    for (let count = 0; count < 5; count += 1) await click(server, link.short_code);
    await server.json(`/events?url_id=${link.id}`);
    alertmanager = await Alertmanager.start('alertmanager.yml');
    prometheus = await Prometheus.start({
      switchyard: [server.port],
      nginx: [1],
      alertmanager: [alertmanager.port],
    });
  });
  afterAll(async () => {
    await prometheus?.stop();
    await alertmanager?.stop();
    await server?.stop();
    await admin?.drop();
    await postgres?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const spans = codeIn(runbook).flatMap((code) => (code.includes('\n') ? code.split('\n') : [code]));
  const those = (start: RegExp): string[] => [
    ...new Set(
      spans.map((code) => code.replace(/ {2,}#.*$/, '')).filter((code) => start.test(code) && isWhole(code)),
    ),
  ];

  it('q: every expression is one that Prometheus answers', async () => {
    const expressions = those(/^q /);
    expect(expressions.length).toBeGreaterThan(20);
    await expectToRun(expressions.join('\n'));
  });

  it('db: every statement is one that PostgreSQL answers', async () => {
    const statements = those(/^db /).filter((code) => !code.includes('ALTER ROLE'));
    expect(statements.length).toBeGreaterThan(4);
    await expectToRun(statements.join('\n'));
    for (const [, sql = ''] of runbook.matchAll(/^```sql\n([\s\S]*?)^```/gm)) await admin.query(sql);
  });

  it('db: passwords are changed as it says', async () => {
    const changes = those(/^db .*ALTER ROLE/);
    expect(changes).toHaveLength(3);
    // To what they are, so that the others go on.
    const secrets = [postgres.address.password, password, 'of-the-reader'];
    const scripts = changes.map((code, index) => code.replace("'…'", `'${secrets[index]}'`));
    await expectToRun(scripts.join('\n'));
  });

  it('sy: the tool finds the journals and counters well', async () => {
    const commands = those(/^sy /);
    expect(commands.length).toBeGreaterThan(3);
    const drain = 'sy journal drain /data';
    await expectToRun(commands.filter((code) => code !== drain).join('\n'));
    expect(commands).toContain(drain);
    // The server is alive.
    const { code, output } = await bash(drain);
    expect([code, output]).toEqual([3, expect.stringMatching(/: left alone, its server is alive\n$/)]);
  });

  it('amtool: an alert is added and shown', async () => {
    const [block = ''] = blocks(runbook).filter((code) => code.includes('amtool'));
    await expectToRun(block);
    const [shown = ''] = those(/^docker compose exec alertmanager amtool .* alert$/);
    const { output } = await bash(shown);
    expect(output).toContain('Try');
  });

  it('what was backed up is there again after a restore, beside somebody who is connected', async () => {
    const [block = ''] = blocks(runbook).filter((code) => code.includes('pg_dump'));
    const [backup = '', restore = ''] = block.split('\n\n');
    await expectToRun(backup);
    const { dataDir } = server;
    // As Grafana is.
    const looking = new Program('env', [
      ...Object.entries(environment()).map(([name, value]) => `${name}=${value}`),
      ...['psql', '-U', 'switchyard', 'switchyard', '-c', 'SELECT pg_sleep(600)'],
    ]);
    server.signal('SIGTERM');
    await server.exit;
    const [stop = '', ...steps] = restore.split('\n');
    await expectToRun(stop);
    const untilStart = steps.slice(
      0,
      steps.findIndex((line) => line.startsWith('docker compose start')),
    );
    await expectToRun(
      untilStart.join('\n').replace(/switchyard-[\d-]+\.dump/, 'switchyard-$(date +%F).dump'),
    );
    await looking.exit;
    server = await start(dataDir);
    expect((await server.json(`/urls/${link.id}`)).body).toMatchObject({ click_count: 5 });
    await expectToRun('sy reconcile');
    const [owner] = await admin.query(
      "SELECT pg_get_userbyid(datdba) AS name FROM pg_database WHERE datname = 'switchyard'",
    );
    expect(owner).toEqual({ name: 'switchyard' });
  });
});
