import { readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { ApiClient } from '../support/clients/api-client.js';
import { makeFolder } from '../support/machine/folders.js';
import { describeWith } from '../support/machine/tools.js';
import { eventually } from '../support/machine/wait.js';
import { freePort, Program } from '../support/server/program.js';
import { root } from '../support/stack/compose.js';
import { codeIn, readDocument } from '../support/stack/documents.js';

interface Facts {
  readonly url: string;
  readonly prometheus: string;
  readonly alertmanager: string;
  readonly replicas: readonly { readonly url: string }[];
}

describeWith(
  'nginx',
  'prometheus',
  'prometheus-alertmanager',
  'amtool',
  'prometheus-nginx-exporter',
)('the stack without containers (scripts/stack.mjs)', { timeout: 120_000 }, () => {
  let folder: string;
  let stack: Program;
  let facts: Facts;

  beforeAll(async () => {
    folder = makeFolder('stack-script');
    const port = await freePort();
    const args = ['scripts/stack.mjs', '--replicas', '2', '--port', String(port), '--folder', folder];
    // Vitest sets BASE_URL for purposes of its own.
    stack = new Program('env', ['-u', 'BASE_URL', '-u', 'CHAOS_TOKEN', process.execPath, ...args], {
      cwd: root,
    });
    let end: unknown;
    void stack.exit.then((code) => {
      end = code;
    });
    await eventually(() => {
      if (end !== undefined) throw new Error(`the stack ended with ${end}: ${stack.output}`);
      return stack.output.includes(`the stack serves http://127.0.0.1:${port}`);
    }, 90_000);
    facts = JSON.parse(readFileSync(path.join(folder, 'stack.json'), 'utf8')) as Facts;
  });

  afterAll(async () => {
    await stack?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  it('serves seed links through Nginx', async () => {
    const client = new ApiClient((pathname, init) => fetch(facts.url + pathname, init));
    const [link] = await client.get('/urls?is_active=true&page=1&per_page=1');
    const response = await client.fetch(`/${link?.short_code}`);
    expect([response.status, response.headers.get('location')]).toEqual([302, link?.original_url]);
    expect((await fetch(`${facts.url}/metrics`)).status).toBe(403);
  });

  it('is watched: Prometheus reaches all of it, Alertmanager answers', async () => {
    const up = async (): Promise<string[]> => {
      const answer = await fetch(`${facts.prometheus}/api/v1/query?query=up==1`);
      const { data } = (await answer.json()) as { data: { result: { metric: { job: string } }[] } };
      return data.result.map(({ metric }) => metric.job).sort();
    };
    const jobs = ['alertmanager', 'nginx', 'prometheus', 'switchyard', 'switchyard'];
    await eventually(async () => (await up()).join() === jobs.join());
    expect((await fetch(`${facts.alertmanager}/-/ready`)).status).toBe(200);
  });

  it('takes every query of the runbook and of the drill', async () => {
    const queries = [
      ...codeIn(readDocument('Docs/OPERATIONAL_RUNBOOK.md')).flatMap((code) => {
        const [, quoted, bare] = /^q (?:'(.+)'|(\S+))$/.exec(code) ?? [];
        return quoted ?? bare ?? [];
      }),
      ...codeIn(readDocument('Docs/OBSERVABILITY.md')).filter((code) => /^(sum|avg|1 - sum)\(/.test(code)),
      ...codeIn(readDocument('Docs/RCA_DRILL.md')).filter((code) => /^(sum|max)[ (]/.test(code)),
    ].map((query) => query.replaceAll('\\|', '|'));
    expect(queries.length).toBeGreaterThan(40);
    for (const query of queries) {
      const answer = await fetch(`${facts.prometheus}/api/v1/query?${new URLSearchParams({ query })}`);
      expect({ query, answer: await answer.json() }).toMatchObject({ answer: { status: 'success' } });
    }
  });

  it('starts a replica again that ended, and ends whole when told to', async () => {
    const response = await fetch(`${facts.url}/chaos`, { headers: { 'x-chaos-token': 'rehearsal' } });
    expect(response.status).toBe(204);
    await eventually(() => /app-[12] ended with 0, and is started again/.test(stack.output));
    const areUp = async (): Promise<boolean> => {
      const answers = facts.replicas.map(({ url }) => fetch(`${url}/health`).catch(() => undefined));
      return (await Promise.all(answers)).every((answer) => answer?.ok === true);
    };
    await eventually(areUp);
    expect(await stack.stop()).toBe(0);
    expect(stack.output).toContain('all has ended');
    expect(await areUp()).toBe(false);
  });
});
