// `node scripts/stack.mjs [--replicas n] [--port n] [--folder path]`: what docker-compose.yml describes,
// without containers: PostgreSQL, servers, Nginx, its exporter, Prometheus and Alertmanager, all from the
// committed configuration. For load tests and drills. Prints where everything is and writes it to
// stack.json in the folder; Ctrl-C ends all of it. Needs the programs that the stack's tests need.
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, openSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const usage = 'usage: node scripts/stack.mjs [--replicas <n>] [--port <n>] [--folder <path>]';
const values = parseOptions();
if (values.help) {
  console.log(usage);
  process.exit(0);
}

function parseOptions() {
  try {
    return parseArgs({
      options: {
        replicas: { type: 'string', default: '1' },
        port: { type: 'string', default: '8080' },
        folder: { type: 'string' },
        help: { type: 'boolean', default: false },
      },
    }).values;
  } catch (error) {
    console.error(`${error.message}\n${usage}`);
    process.exit(2);
  }
}

// The tests have classes for Nginx, Prometheus and Alertmanager with the committed configuration.
const parts = [
  'clients/api-client',
  'run/opened',
  'stack/alertmanager',
  'stack/compose',
  'machine/folders',
  'stack/nginx',
  'server/program',
  'stack/prometheus',
  'machine/tools',
];
const tsc = path.join(
  path.dirname(createRequire(import.meta.url).resolve('typescript/package.json')),
  'bin/tsc',
);
const run = (args) => {
  const { status } = spawnSync(process.execPath, args, { cwd: root, stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
};
run(['scripts/build.mjs', '--if-needed']);
// `npm run typecheck` checks them, with the server's types that they refer to.
const options = '--target es2023 --module nodenext --types node --noCheck --noResolve --rootDir test/support';
run([
  tsc,
  '--ignoreConfig',
  ...options.split(' '),
  '--outDir',
  'dist/stack',
  ...parts.map((name) => `test/support/${name}.ts`),
]);

const { Alertmanager, DiscordStandIn } = await import('../dist/stack/stack/alertmanager.js');
const { readCompose } = await import('../dist/stack/stack/compose.js');
const { makeFolder } = await import('../dist/stack/machine/folders.js');
const { Nginx } = await import('../dist/stack/stack/nginx.js');
const { freePort, Program } = await import('../dist/stack/server/program.js');
const { Prometheus } = await import('../dist/stack/stack/prometheus.js');
const { toolPath } = await import('../dist/stack/machine/tools.js');
const { EmbeddedPostgres } = await import('../dist/src/postgres/embedded.js');

const folder = values.folder === undefined ? makeFolder('stack') : path.resolve(values.folder);
mkdirSync(path.join(folder, 'data'), { recursive: true });
let isStopping = false;

/** One replica, with the container's settings; started again whenever it ends, as `restart: always` does. */
class Replica {
  constructor(name, port, databaseUrl) {
    this.name = name;
    this.port = port;
    this.log = path.join(folder, `${name}.log`);
    this.environment = { ...serverEnvironment(), DATABASE_URL: databaseUrl, PORT: String(port) };
    this.start();
  }

  start() {
    const output = openSync(this.log, 'a');
    this.child = spawn(process.execPath, ['--enable-source-maps', path.join(root, 'dist/server/main.js')], {
      cwd: folder,
      env: this.environment,
      stdio: ['ignore', output, output],
    });
    this.exit = new Promise((resolve) => this.child.once('close', resolve));
    this.exit.then((code) => {
      if (isStopping) return;
      if (!this.hasAnswered) {
        this.failure = new Error(`${this.name} ended with ${code}: see ${this.log}`);
        return;
      }
      say(`${this.name} ended with ${code ?? this.child.signalCode}, and is started again`);
      setTimeout(() => isStopping || this.start(), 100);
    });
  }

  /** @throws when it ends before it has served for the first time. */
  async answers() {
    while (!this.hasAnswered) {
      if (this.failure !== undefined) throw this.failure;
      await new Promise((resolve) => setTimeout(resolve, 50));
      this.hasAnswered = await fetch(`http://127.0.0.1:${this.port}/health`).then(
        ({ ok }) => ok,
        () => false,
      );
    }
  }

  async stop() {
    this.child.kill('SIGTERM');
    await this.exit;
  }
}

/** What docker-compose.yml sets for `app`, and what it passes on; the addresses are this machine's. */
function serverEnvironment() {
  const { PATH, HOME } = process.env;
  const settings = Object.entries(readCompose(process.env).services.app.environment ?? {});
  const wanted = settings
    .map(([name, value]) => [name, value ?? process.env[name]])
    .filter(([name, value]) => value !== undefined && !name.startsWith('DATABASE_'))
    // Made at the first start of the containers, into their volumes.
    .filter(([, value]) => !String(value).startsWith('/secrets/'));
  const pool = process.env.DATABASE_POOL_MAX;
  return {
    PATH,
    HOME,
    ...(process.env.NODE_OPTIONS === undefined ? {} : { NODE_OPTIONS: process.env.NODE_OPTIONS }),
    ...Object.fromEntries(wanted),
    ...(pool === undefined ? {} : { DATABASE_POOL_MAX: pool }),
    CHAOS_TOKEN: process.env.CHAOS_TOKEN ?? 'rehearsal',
    HOST: '127.0.0.1',
    DATA_DIR: path.join(folder, 'data'),
    CSV_DIR: path.join(root, 'csv'),
  };
}

function say(line) {
  console.log(`${new Date().toISOString()} ${line}`);
}

const started = [];
/** Ends in reverse what was started. */
async function stop(code) {
  if (isStopping) return;
  isStopping = true;
  for (const one of started.reverse()) await one.stop();
  say('all has ended');
  process.exit(code);
}
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => void stop(0));
const keep = (one) => {
  started.push(one);
  return one;
};

try {
  const postgres = keep(await EmbeddedPostgres.start(folder));
  const { user, password, host, port: databasePort, database } = postgres.address;
  const databaseUrl = `postgresql://${user}:${password}@${host}:${databasePort}/${database}`;

  const replicas = [];
  for (let number = 1; number <= Number(values.replicas); number += 1) {
    const replica = keep(new Replica(`app-${number}`, await freePort(), databaseUrl));
    replicas.push(replica);
    await replica.answers();
  }
  const ports = replicas.map(({ port }) => port);

  const nginx = keep(
    await Nginx.start(ports, {
      NGINX_LISTEN: `127.0.0.1:${values.port}`,
      NGINX_ACCESS_LOG: `${path.join(folder, 'access.log')} json buffer=32k flush=1s`,
    }),
  );
  const exporterPort = await freePort();
  keep(
    new Program(toolPath('prometheus-nginx-exporter'), [
      `-nginx.scrape-uri=${nginx.statusUrl}`,
      `-web.listen-address=127.0.0.1:${exporterPort}`,
    ]),
  );
  const discord = keep(await DiscordStandIn.start());
  const alertmanager = keep(await Alertmanager.start('alertmanager-discord.yml', discord.url));
  const prometheus = keep(
    await Prometheus.start({
      switchyard: ports,
      nginx: [exporterPort],
      alertmanager: [alertmanager.port],
      runbookUrl: readCompose(process.env).services.prometheus.environment.RUNBOOK_URL,
    }),
  );

  let told = 0;
  setInterval(() => {
    for (const { title, text } of discord.messages.slice(told)) say(`Discord: ${title}\n${text}`);
    told = discord.messages.length;
  }, 200);

  const facts = {
    pid: process.pid,
    folder,
    url: `http://127.0.0.1:${values.port}`,
    replicas: replicas.map(({ name, port, log }) => ({ name, url: `http://127.0.0.1:${port}`, log })),
    prometheus: prometheus.url,
    alertmanager: `http://127.0.0.1:${alertmanager.port}`,
    psql: postgres.psqlCommand,
    databaseUrl,
    databaseFolder: postgres.folder,
  };
  writeFileSync(path.join(folder, 'stack.json'), `${JSON.stringify(facts, null, 2)}\n`, { mode: 0o600 });
  say(`the stack serves ${facts.url}`);
  console.log(JSON.stringify({ ...facts, databaseUrl: undefined }, null, 2));
} catch (error) {
  console.error(error);
  await stop(1);
}
