// Stands in for an image node:<major>-<suite>-slim: a Debian of that suite from the mirror that this machine
// uses, with Node and npm from the packages registry where that image has them, and its user `node`.
import { existsSync, mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { run } from './namespaces.mjs';

/** What the images of the official repository have in common. */
const NODE_ID = '1000';

/** @returns {{ major: string, suite: string }} @throws for an image that this can't stand in for. */
export function parseBaseImage(image) {
  const [, major, suite] = image.match(/^node:(\d+)(?:\.\d+\.\d+)?-([a-z]+)-slim$/) ?? [];
  if (major === undefined) throw new Error(`${image} is not of the form node:<version>-<suite>-slim`);
  return { major, suite };
}

/** Makes the root at `root`, with `folder` for what is fetched. @returns the version of Node in it. */
export async function makeBaseRoot(image, root, folder, say) {
  const { major, suite } = parseBaseImage(image);
  await requireDebootstrap(say);
  const mirror = await debianMirror();
  say(`Debian ${suite}`);
  // In namespaces of its own: what debootstrap mounts and starts goes with it, however it ends.
  const apart = ['--mount', '--pid', '--fork', '--kill-child', '--mount-proc', '--'];
  await run('unshare', [...apart, 'debootstrap', '--variant=minbase', suite, root, mirror], {
    env: { ...process.env, ...(await aptProxy()), DEBIAN_FRONTEND: 'noninteractive' },
  });
  rmSync(path.join(root, 'var/cache/apt'), { recursive: true });
  rmSync(path.join(root, 'var/lib/apt/lists'), { recursive: true });
  await run('chroot', [root, 'groupadd', '--gid', NODE_ID, 'node']);
  const user = ['--uid', NODE_ID, '--gid', 'node', '--shell', '/bin/bash', '--create-home', 'node'];
  await run('chroot', [root, 'useradd', ...user]);
  for (const file of ['resolv.conf', 'hosts'])
    if (!existsSync(path.join(root, 'etc', file))) writeFileSync(path.join(root, 'etc', file), '');

  say(`Node ${major} and its npm`);
  const local = path.join(root, 'usr/local');
  await unpack(`node-linux-${process.arch}@${major}`, local, folder);
  for (const name of ['package.json', 'README.md', 'CHANGELOG.md', 'LICENSE'])
    rmSync(path.join(local, name), { force: true });
  const version = (await run('chroot', [root, 'node', '--version'])).trim();
  if (!version.startsWith(`v${major}.`)) throw new Error(`the packages registry gave Node ${version}`);
  const npm = path.join(local, 'lib/node_modules/npm');
  mkdirSync(npm, { recursive: true });
  await unpack('npm@11', npm, folder);
  for (const name of ['npm', 'npx'])
    symlinkSync(`../lib/node_modules/npm/bin/${name}-cli.js`, path.join(local, 'bin', name));
  return version;
}

async function requireDebootstrap(say) {
  if (existsSync('/usr/sbin/debootstrap')) return;
  say('debootstrap');
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  await run('apt-get', ['update', '--quiet=2'], { env });
  await run('apt-get', ['install', '--quiet=2', '--yes', '--no-install-recommends', 'debootstrap'], { env });
}

/** The mirror of Debian's main archive that apt is set up with. */
async function debianMirror() {
  const format = '$(CODENAME) $(REPO_URI)';
  const targets = await run('apt-get', ['indextargets', '--format', format, 'Created-By: Packages']);
  const mirrors = targets
    .trim()
    .split('\n')
    .map((row) => row.split(' '))
    .filter(([codename, uri]) => /^[a-z]+$/.test(codename) && /\/debian\/?$/.test(uri));
  if (mirrors[0] === undefined) throw new Error('the sources of apt name no mirror of Debian');
  return mirrors[0][1];
}

/** debootstrap fetches by other means than apt, and has to be told of apt's proxy. */
async function aptProxy() {
  const dump = await run('apt-config', ['shell', 'PROXY', 'Acquire::http::Proxy']);
  const [, proxy] = dump.match(/^PROXY='(.*)'$/m) ?? [];
  return proxy === undefined || proxy === '' ? {} : { http_proxy: proxy };
}

/** Unpacks a package of the registry into a folder. */
async function unpack(name, target, folder) {
  const packed = path.join(folder, name.replaceAll(/\W/g, '-'));
  mkdirSync(packed, { recursive: true });
  await run('npm', ['pack', '--silent', '--pack-destination', packed, name], { cwd: packed });
  const [archive] = readdirSync(packed);
  const flags = ['--extract', '--gzip', '--strip-components=1', '--no-same-owner'];
  await run('tar', [...flags, '--file', path.join(packed, archive), '--directory', target]);
}
