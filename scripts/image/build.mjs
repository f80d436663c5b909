// Carries out the stages of a Dockerfile in root folders, one a stage.
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import path from 'node:path';
import { absolute, configure, emptyConfig } from './dockerfile.mjs';
import { ended, run, startInside } from './namespaces.mjs';

/** @returns {ReturnType<typeof emptyConfig>} what a container of the stage would be started with. */
export function configOf(stage) {
  return stage.instructions.reduce(configure, emptyConfig());
}

/**
 * @param {object} options
 * @param {import('./dockerfile.mjs').Stage[]} options.stages
 * @param {string} options.source the folder of the build context
 * @param {string[]} options.files its files, as .dockerignore leaves them
 * @param {string} options.base the root that every stage begins with
 * @param {string} options.folder where the stages' roots are made
 * @param {{ env: object, binds: object[] }} options.network what the packages registry needs
 * @returns {Promise<string>} the last stage's root
 */
export async function buildStages({ stages, source, files, base, folder, network, say }) {
  const roots = new Map();
  let root = base;
  for (const [index, stage] of stages.entries()) {
    root = path.join(folder, `stage-${index}`);
    roots.set(stage.name, root);
    await run('cp', ['--archive', '--reflink=auto', base, root]);
    let config = emptyConfig();
    for (const instruction of stage.instructions) {
      const startedMs = performance.now();
      config = configure(config, instruction);
      if (instruction.name === 'WORKDIR') mkdirSync(path.join(root, config.workdir), { recursive: true });
      if (instruction.name === 'COPY') copy(instruction, { config, root, source, files, roots });
      if (instruction.name === 'RUN') await runStep(instruction, { config, root, folder, network });
      const took = ((performance.now() - startedMs) / 1000).toFixed(1);
      say(`${stage.name === '' ? 'image' : stage.name}: ${shorten(instruction)}`, `${took} s`);
    }
  }
  return root;
}

function shorten({ name, text }) {
  const line = `${name} ${text}`;
  return line.length > 90 ? `${line.slice(0, 89)}…` : line;
}

/** A folder's content goes into the destination, a file beneath it or under its name. */
function copy({ sources, destination, from }, { config, root, source, files, roots }) {
  const target = path.join(root, absolute(destination, config));
  const place = (name) =>
    destination.endsWith('/') || statSync(target, { throwIfNoEntry: false })?.isDirectory()
      ? path.join(target, path.basename(name))
      : target;
  for (const name of sources) {
    if (from !== undefined) {
      const found = path.join(roots.get(from), name);
      const isFolder = statSync(found).isDirectory();
      cpSync(found, isFolder ? target : place(name), { recursive: true, verbatimSymlinks: true });
      continue;
    }
    const inner = path.posix.normalize(name).replace(/\/$/, '');
    const beneath = files.filter((file) => file.startsWith(`${inner}/`));
    if (files.includes(inner)) copyFile(path.join(source, inner), place(inner));
    else if (beneath.length === 0) throw new Error(`COPY ${name}: it is not in the build context`);
    for (const file of beneath)
      copyFile(path.join(source, file), path.join(target, path.relative(inner, file)));
  }
}

function copyFile(from, to) {
  mkdirSync(path.dirname(to), { recursive: true });
  cpSync(from, to);
}

async function runStep({ command, cache, line }, { config, root, folder, network }) {
  const binds = [...network.binds];
  if (cache !== undefined) {
    const kept = path.join(folder, 'cache', cache);
    mkdirSync(kept, { recursive: true });
    mkdirSync(path.join(root, cache), { recursive: true });
    binds.push({ from: kept, to: cache });
  }
  const { code, output } = await ended(
    startInside({
      ...{ root, binds, user: config.user, workdir: config.workdir },
      argv: ['/bin/sh', '-c', command],
      env: { ...config.args, ...network.env, ...config.env },
    }),
  );
  if (code !== 0) throw new Error(`Dockerfile, line ${line}: RUN ended with ${code}:\n${output}`);
  if (cache !== undefined) rmSync(path.join(root, cache), { recursive: true });
}

/**
 * What npm and Node need to reach the packages registry as this machine does: for the RUN steps alone,
 * so that nothing of it stays in the image. Tokens of the user's are not among it.
 */
export async function readNetwork(folder) {
  const get = async (key) => (await run('npm', ['config', 'get', key])).trim().split('\n').at(-1);
  const env = { npm_config_registry: await get('registry'), npm_config_update_notifier: 'false' };
  for (const name of ['http_proxy', 'https_proxy', 'no_proxy', 'HTTP_PROXY', 'HTTPS_PROXY', 'NO_PROXY'])
    if (process.env[name] !== undefined) env[name] = process.env[name];
  const binds = [
    { from: '/etc/resolv.conf', to: '/etc/resolv.conf' },
    { from: '/etc/hosts', to: '/etc/hosts' },
  ];
  const cafile = await get('cafile');
  const authorities = [cafile, process.env.NODE_EXTRA_CA_CERTS].find(
    (file) => file !== undefined && existsSync(file) && readFileSync(file).length > 0,
  );
  if (authorities !== undefined) {
    const shared = path.join(folder, 'outside');
    mkdirSync(shared);
    cpSync(authorities, path.join(shared, 'authorities.pem'), { dereference: true });
    binds.push({ from: shared, to: '/mnt' });
    env.npm_config_cafile = '/mnt/authorities.pem';
    env.NODE_EXTRA_CA_CERTS = '/mnt/authorities.pem';
  }
  return { env, binds };
}
