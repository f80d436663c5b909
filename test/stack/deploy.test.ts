import { execFileSync } from 'node:child_process';
import { chmodSync, cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { makeFolder } from '../support/machine/folders.js';
import { run } from '../support/server/program.js';
import { root } from '../support/stack/compose.js';

/**
 * Docker as far as a deployment asks it: tags are files that hold an id, and what it is asked to do is noted.
 * An image whose id is in `unhealthy` never gets healthy.
 */
const DOCKER = `#!/bin/sh
images=$STATE/images
echo "$*" >> "$STATE/calls"
for last; do :; done
name=$(echo "$last" | tr : =)
case "$1 $2" in
  "load "*) tar -xzf - -C "$images" ;;
  "image inspect") [ -f "$images/$name" ] && cat "$images/$name" ;;
  "image ls") for tag in $(ls -t "$images"); do echo "\${tag#*=}"; done ;;
  "image rm") rm "$images/$name" ;;
  "tag "*) cp "$images/$(echo "$2" | tr : =)" "$images/$name" ;;
  "compose up") ! grep -qxF "$(cat "$images/$(echo "$SWITCHYARD_IMAGE" | tr : =)")" "$STATE/unhealthy" ;;
esac
`;

/** The far machine is this one. */
const SSH = `#!/bin/sh
echo "$*" >> "$STATE/ssh"
while [ "$1" = -o ]; do shift 2; done
shift
exec sh -c "$*"
`;

let folder: string;
let revisions: string[];

const at = (...names: string[]) => path.join(folder, ...names);
const read = (...names: string[]) => readFileSync(at(...names), 'utf8').trim();
const calls = () => read('state/calls').split('\n');
const image = (tag: string) =>
  existsSync(at('state/images', `switchyard=${tag}`)) ? read('state/images', `switchyard=${tag}`) : undefined;

beforeEach(() => {
  folder = makeFolder('deploy');
  revisions = [];
  for (const name of ['bin', 'state/images', 'work']) mkdirSync(at(name), { recursive: true });
  for (const [name, text] of [
    ['docker', DOCKER],
    ['ssh', SSH],
    ['ssh-agent', '#!/bin/sh\n'],
    ['ssh-add', '#!/bin/sh\ncat > "$STATE/key"\n'],
  ] as const) {
    writeFileSync(at('bin', name), text);
    chmodSync(at('bin', name), 0o755);
  }
  writeFileSync(at('state/unhealthy'), '');
  for (const name of ['docker-compose.yml', '.env.example', 'ops']) {
    cpSync(path.join(root, name), at('work', name), { recursive: true });
  }
  git('init', '--quiet');
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

function git(...args: string[]): string {
  const identity = [
    '-c',
    'user.name=test',
    '-c',
    'user.email=test@example.com',
    '-c',
    'commit.gpgsign=false',
  ];
  return execFileSync('git', [...identity, ...args], { cwd: at('work'), encoding: 'utf8' }).trim();
}

/** A commit, and an image of it. */
function commit(): string {
  git('add', '--all');
  git('commit', '--quiet', '--allow-empty', '--message', `change ${revisions.length}`);
  const revision = git('rev-parse', 'HEAD');
  revisions.push(revision);
  mkdirSync(at('image'), { recursive: true });
  writeFileSync(at('image', `switchyard=${revision}`), `id-${revision}\n`);
  execFileSync('tar', ['-czf', at('image.tar.gz'), '-C', at('image'), `switchyard=${revision}`]);
  return revision;
}

const environment = () => ({
  PATH: `${at('bin')}:${process.env.PATH}`,
  STATE: at('state'),
  DEPLOY_HOST: 'links.example.com',
  DEPLOY_USER: 'deploy',
  DEPLOY_PATH: at('server'),
  DEPLOY_SSH_KEY: 'the key',
  DEPLOY_KNOWN_HOSTS: 'links.example.com ssh-ed25519 AAAA',
});

function send(revision: string, changed: Record<string, string> = {}) {
  const variables = Object.entries({ ...environment(), ...changed }).map(
    ([name, value]) => `${name}=${value}`,
  );
  const script = path.join(root, 'ops/deploy/send.sh');
  return run('env', [...variables, script, revision, at('image.tar.gz')], { cwd: at('work') });
}

describe('a deployment', () => {
  it('puts the image of a commit and its files into service', async () => {
    const revision = commit();
    const { code, output } = await send(revision);
    expect(output).toContain(`switchyard:${revision} is in service`);
    expect(code).toBe(0);
    expect(image('local')).toBe(`id-${revision}`);
    expect(read('server/docker-compose.yml')).toBe(read('work/docker-compose.yml'));
    expect(existsSync(at('server/incoming'))).toBe(false);
    expect(read('state/key')).toBe('the key');
    expect(read('state/ssh')).toContain('StrictHostKeyChecking=yes');
    expect(read('state/ssh')).toContain('deploy@links.example.com');
    expect(read('state/ssh')).not.toContain('the key');
  });

  it('starts those again whose mounted files have changed, and only those', async () => {
    await send(commit());
    const before = calls().length;
    writeFileSync(at('work/ops/nginx/nginx.conf'), '# changed\n');
    rmSync(at('work/ops/prometheus/rules/alerts.yml'));
    await send(commit());
    const again = calls()
      .slice(before)
      .flatMap((call) => call.match(/^compose up .*--force-recreate.* (\w+)$/)?.[1] ?? []);
    expect(again).toEqual(['nginx', 'prometheus']);
    expect(read('server/ops/nginx/nginx.conf')).toBe('# changed');
    expect(existsSync(at('server/ops/prometheus/rules/alerts.yml'))).toBe(false);
  });

  it('puts the image before back when the new one does not get healthy', async () => {
    const good = commit();
    await send(good);
    const bad = commit();
    writeFileSync(at('state/unhealthy'), `id-${bad}\n`);
    const { code, output } = await send(bad);
    expect(output).toContain('the image before is put back');
    expect(code).toBe(1);
    expect(image('local')).toBe(`id-${good}`);
    expect(calls().at(-1)).toMatch(/^compose up/);
    // Tried once more, it still leads back to the good one.
    expect((await send(bad)).code).toBe(1);
    expect(image('local')).toBe(`id-${good}`);
  });

  it('goes back to an earlier commit by hand, and keeps the five newest images for that', async () => {
    for (let count = 0; count < 7; count += 1) expect((await send(commit())).code).toBe(0);
    const kept = revisions.filter((revision) => image(revision) !== undefined);
    expect(kept).toHaveLength(5);
    const earlier = kept[0] as string;
    const variables = Object.entries(environment()).map(([name, value]) => `${name}=${value}`);
    const back = await run('env', [...variables, 'sh', 'ops/deploy/apply.sh', earlier], {
      cwd: at('server'),
    });
    expect(back.output).toContain(`switchyard:${earlier} is in service`);
    expect(image('local')).toBe(`id-${earlier}`);
    expect(image('previous')).toBe(`id-${revisions.at(-1)}`);
  });

  it.each([
    ['no commit', { revision: 'main' }, {}, /not a commit: main/],
    ['no host', {}, { DEPLOY_HOST: '' }, /DEPLOY_HOST is not set/],
    ['no known hosts', {}, { DEPLOY_KNOWN_HOSTS: '' }, /DEPLOY_KNOWN_HOSTS is not set/],
    ['a folder that is more than a path', {}, { DEPLOY_PATH: "/srv/a'; reboot '" }, /a plain absolute path/],
  ])('does nothing with %s', async (_what, { revision }: { revision?: string }, changed, message) => {
    const made = commit();
    const { code, output } = await send(revision ?? made, changed);
    expect(output).toMatch(message);
    expect(code).toBe(2);
    expect(existsSync(at('state/ssh'))).toBe(false);
  });
});
