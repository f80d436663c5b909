// `npm run rehearse:image`: carries out the Dockerfile without a Docker engine, in a Debian made by
// debootstrap, starts what it makes as docker-compose.yml would, and checks that it serves and stops.
// Needs root, for its namespaces, and the mirrors that apt and npm are set up with.
//   --plan           only says what would be done, as JSON
//   --context DIR    another folder than this repository, with a Dockerfile and docker-compose.yml
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { makeBaseRoot, parseBaseImage } from './image/base-root.mjs';
import { buildStages, configOf, readNetwork } from './image/build.mjs';
import { contextFiles } from './image/context.mjs';
import { parseDockerfile } from './image/dockerfile.mjs';
import { endAll, run } from './image/namespaces.mjs';
import { readService, serveAndCheck } from './image/serve.mjs';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const { values } = parseArgs({
  options: { plan: { type: 'boolean', default: false }, context: { type: 'string', default: root } },
});
const source = path.resolve(values.context);

function readPlan() {
  const stages = parseDockerfile(readFileSync(path.join(source, 'Dockerfile'), 'utf8'));
  const [image, ...others] = new Set(stages.map((stage) => stage.image));
  if (others.length > 0) throw new Error('all stages must begin with the same image');
  parseBaseImage(image);
  const service = readService(path.join(source, 'docker-compose.yml'), 'app');
  return { image, stages, config: configOf(stages.at(-1)), service, files: contextFiles(source) };
}

const startedMs = performance.now();
const seconds = () => ((performance.now() - startedMs) / 1000).toFixed(0);
function say(what, took = '') {
  console.log(`${`${seconds()} s`.padStart(6)}  ${what}${took === '' ? '' : `  (${took})`}`);
}

async function megabytes(folder) {
  const [bytes] = (await run('du', ['--summarize', '--block-size=1', folder])).split('\t');
  return `${(Number(bytes) / 1e6).toFixed(0)} MB`;
}

let isInterrupted = false;

async function rehearse({ image, stages, config, service, files }) {
  if (process.platform !== 'linux' || process.getuid() !== 0)
    throw new Error('a rehearsal needs Linux, and root for its namespaces');
  await run(process.execPath, [path.join(root, 'scripts/build.mjs'), '--if-needed']);
  const { EmbeddedPostgres } = await import('../dist/src/postgres/embedded.js');

  const folder = mkdtempSync(path.join(tmpdir(), 'switchyard-image-'));
  // The PostgreSQL of the rehearsal runs as an ordinary user, who has to get in.
  chmodSync(folder, 0o755);
  let postgres;
  const cleanUp = async () => {
    await endAll();
    await postgres?.then((started) => started.stop()).catch(() => undefined);
    rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
  };
  for (const signal of ['SIGINT', 'SIGTERM'])
    process.once(signal, () => {
      isInterrupted = true;
      void cleanUp().finally(() => process.exit(130));
    });
  try {
    const fetched = path.join(folder, 'fetched');
    mkdirSync(fetched);
    const base = path.join(folder, 'base');
    const version = await makeBaseRoot(image, base, fetched, say);
    say(`in place of ${image}: Node ${version}`, await megabytes(base));
    const network = await readNetwork(folder);
    const built = await buildStages({ stages, source, files, base, folder, network, say });
    say('the image’s tree', await megabytes(built));
    say(`of it in ${config.workdir}`, await megabytes(path.join(built, config.workdir)));
    postgres = EmbeddedPostgres.start(path.join(folder, 'outside-database'));
    const { user, password, host, port, database } = (await postgres).address;
    await serveAndCheck({
      ...{ root: built, config, service, folder, say },
      databaseUrl: `postgresql://${user}:${password}@${host}:${port}/${database}`,
    });
  } finally {
    if (!isInterrupted) await cleanUp();
  }
  say('the image’s rehearsal went well');
}

try {
  const plan = readPlan();
  if (values.plan) console.log(JSON.stringify(plan, null, 2));
  else await rehearse(plan);
} catch (error) {
  if (!isInterrupted) console.error(`rehearsal: ${error.message}`);
  process.exitCode = 1;
}
