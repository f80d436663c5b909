import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { parse, stringify } from 'yaml';
import { makeFolder } from '../machine/folders.js';
import { toolPath } from '../machine/tools.js';
import { freePort, Program } from '../server/program.js';
import { environmentOf, root } from './compose.js';

const source = path.join(root, 'ops/prometheus');

/** Ports to scrape, by job, and of the Alertmanagers to tell. */
export interface PrometheusTargets {
  readonly switchyard: readonly number[];
  readonly consume?: readonly number[];
  readonly nginx?: readonly number[];
  readonly alertmanager?: readonly number[];
  /** The key that the servers' /metrics are asked with. */
  readonly opsKey?: string;
  /** The address of the runbook; by default the stack's. */
  readonly runbookUrl?: string;
}

export interface Sample {
  readonly metric: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface RuleState {
  readonly name: string;
  readonly type: 'alerting' | 'recording';
  readonly health: string;
  readonly lastError?: string;
}

interface ScrapeConfig {
  job_name: string;
  dns_sd_configs?: unknown;
  static_configs?: { targets: string[] }[];
  authorization?: { credentials_file: string };
}

interface PrometheusConfig {
  alerting: { alertmanagers: { static_configs: { targets: string[] }[] }[] };
  scrape_configs: ScrapeConfig[];
}

/** A real Prometheus with the committed configuration and rules; only the addresses are its test's. */
export class Prometheus {
  readonly url: string;
  readonly #folder: string;
  readonly #program: Program;

  private constructor(url: string, folder: string, program: Program) {
    this.url = url;
    this.#folder = folder;
    this.#program = program;
  }

  static async start(targets: PrometheusTargets): Promise<Prometheus> {
    const folder = makeFolder('prometheus');
    const port = await freePort();
    cpSync(path.join(source, 'rules'), path.join(folder, 'rules'), { recursive: true });
    writeFileSync(path.join(folder, 'prometheus.yml'), render(targets, port, folder));
    const runbookUrl = targets.runbookUrl ?? environmentOf('prometheus').RUNBOOK_URL;
    const program = new Program(
      toolPath('prometheus'),
      [
        `--config.file=${folder}/prometheus.yml`,
        `--storage.tsdb.path=${folder}/data`,
        `--web.listen-address=127.0.0.1:${port}`,
        '--log.level=warn',
        // Version 3 does it unasked.
        '--enable-feature=expand-external-labels',
      ],
      { env: { ...process.env, RUNBOOK_URL: runbookUrl } },
    );
    const prometheus = new Prometheus(`http://127.0.0.1:${port}`, folder, program);
    await program.answers(`${prometheus.url}/-/ready`);
    return prometheus;
  }

  /** The instant value of an expression. @throws when Prometheus refuses it. */
  async query(expression: string): Promise<Sample[]> {
    const answer = await this.#get<{ resultType: string; result: unknown }>('query', { query: expression });
    if (answer.resultType === 'scalar') {
      return [{ metric: {}, value: Number((answer.result as [number, string])[1]) }];
    }
    return (answer.result as { metric: Record<string, string>; value: [number, string] }[]).map(
      ({ metric, value }) => ({ metric, value: Number(value[1]) }),
    );
  }

  /** Names of all series, scraped and recorded. */
  names(): Promise<string[]> {
    return this.#get('label/__name__/values');
  }

  async rules(): Promise<RuleState[]> {
    const { groups } = await this.#get<{ groups: { rules: RuleState[] }[] }>('rules');
    return groups.flatMap(({ rules }) => rules);
  }

  async stop(): Promise<void> {
    await this.#program.stop();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async #get<T>(endpoint: string, parameters: Record<string, string> = {}): Promise<T> {
    const response = await fetch(`${this.url}/api/v1/${endpoint}?${new URLSearchParams(parameters)}`);
    const answer = (await response.json()) as { status: string; error?: string; data: T };
    if (answer.status !== 'success') throw new Error(`${parameters.query ?? endpoint}: ${answer.error}`);
    return answer.data;
  }
}

function render(targets: PrometheusTargets, ownPort: number, folder: string): string {
  const { switchyard, consume = [], nginx = [], alertmanager = [], opsKey = 'none' } = targets;
  const config = parse(prometheusConfig(folder, opsKey)) as PrometheusConfig;
  const ports: Readonly<Record<string, readonly number[]>> = {
    prometheus: [ownPort],
    switchyard,
    consume,
    nginx,
    alertmanager,
  };
  for (const job of config.scrape_configs) {
    delete job.dns_sd_configs;
    job.static_configs = [{ targets: (ports[job.job_name] ?? []).map(addressOf) }];
  }
  for (const { static_configs } of config.alerting.alertmanagers) {
    for (const entry of static_configs) entry.targets = alertmanager.map(addressOf);
  }
  return stringify(config);
}

/** The committed configuration, with the key's file in a folder of the test's. */
export function prometheusConfig(folder: string, opsKey: string): string {
  const file = path.join(folder, 'ops_key');
  writeFileSync(file, opsKey);
  return readFileSync(path.join(source, 'prometheus.yml'), 'utf8').replace('/secrets/ops_key', file);
}

function addressOf(port: number): string {
  return `127.0.0.1:${port}`;
}
