import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse, stringify } from 'yaml';
import { makeFolder } from '../support/machine/folders.js';
import { describeWith, toolPath } from '../support/machine/tools.js';
import { run } from '../support/server/program.js';
import { renderAlertmanager } from '../support/stack/alertmanager.js';
import { root } from '../support/stack/compose.js';
import { prometheusConfig } from '../support/stack/prometheus.js';
import { allRules, type Rule, readRules, rulesFolder } from '../support/stack/rules.js';

const alerts = allRules().filter((rule) => rule.alert !== undefined);
const source = path.join(root, 'ops/prometheus');

describe('every alert', () => {
  it('has a name of its own', () => {
    expect(new Set(alerts.map(({ alert }) => alert)).size).toBe(alerts.length);
  });

  it.each(alerts.map((rule) => [rule.alert ?? '', rule] as const))(
    '%s has a severity, a text, a runbook',
    (name, { labels, annotations }) => {
      expect(['critical', 'warning']).toContain(labels?.severity);
      expect(Object.keys(annotations ?? {}).sort()).toEqual(['description', 'runbook', 'summary']);
      expect(annotations?.runbook).toBe(`{{ $externalLabels.runbook }}#${name.toLowerCase()}`);
    },
  );

  const runbook = path.join(root, 'Docs/OPERATIONAL_RUNBOOK.md');
  it('has a chapter in the runbook', () => {
    const chapters = [...readFileSync(runbook, 'utf8').matchAll(/^#+ (.+)$/gm)].map(([, title]) => title);
    for (const { alert } of alerts) expect(chapters).toContain(alert);
  });
});

describeWith('promtool', 'amtool')('by their own tools', () => {
  let folder: string;
  let tests: string[];

  beforeAll(() => {
    folder = makeFolder('rules');
    cpSync(source, folder, { recursive: true });
    tests = readdirSync(path.join(folder, 'tests')).map((name) => path.join(folder, 'tests', name));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it('the Prometheus configuration and the rules are accepted', async () => {
    const config = path.join(folder, 'prometheus.yml');
    writeFileSync(config, prometheusConfig(folder, 'a key'));
    const { code, output } = await run(toolPath('promtool'), ['check', 'config', config]);
    expect(output).toContain('rules found');
    expect(output).not.toMatch(/FAILED|duplicate/);
    expect(code).toBe(0);
  });

  it.each(['alertmanager.yml', 'alertmanager-discord.yml'])('%s is accepted', async (name) => {
    const rendered = await renderAlertmanager(name);
    const { code, output } = await run(toolPath('amtool'), ['check-config', `${rendered}/alertmanager.yml`]);
    rmSync(rendered, { recursive: true, force: true });
    expect(output).toContain('SUCCESS');
    expect(code).toBe(0);
  });

  it('the two Alertmanager configurations differ in where messages go, and in nothing else', () => {
    const read = (name: string): Record<string, unknown> => {
      const text = readFileSync(path.join(root, 'ops/alertmanager', name), 'utf8');
      const { receivers, templates, ...rest } = parse(text.replaceAll(/receiver: \w+/g, 'receiver: x'));
      expect(receivers).toHaveLength(1);
      return rest;
    };
    expect(read('alertmanager.yml')).toEqual(read('alertmanager-discord.yml'));
  });

  it('the rules’ own tests pass', async () => {
    const { code, output } = await run(toolPath('promtool'), ['test', 'rules', ...tests]);
    expect(output).not.toContain('FAILED');
    expect(code).toBe(0);
  });

  it.each([
    ['never', 'vector(0) > 1'],
    ['always', 'vector(1)'],
  ])(
    'an alert that %s fires would be noticed by them, whichever it is',
    { timeout: 180_000 },
    async (_, expr) => {
      for (const [file, { groups }] of readRules()) {
        const changed = groups.map(({ rules, ...group }) => ({
          ...group,
          rules: rules.map((rule): Rule => (rule.alert === undefined ? rule : { ...rule, expr })),
        }));
        writeFileSync(path.join(folder, 'rules', file), stringify({ groups: changed }));
      }
      const { output } = await run(toolPath('promtool'), ['test', 'rules', ...tests]);
      cpSync(rulesFolder, path.join(folder, 'rules'), { recursive: true });
      const noticed = new Set([...output.matchAll(/alertname=\W*(\w+)/g)].map(([, name]) => name));
      expect(alerts.map(({ alert }) => alert).filter((name) => !noticed.has(name))).toEqual([]);
    },
  );
});
