import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import path from 'node:path';
import { makeFolder } from '../machine/folders.js';
import { toolPath } from '../machine/tools.js';
import { freePort, Program, run } from '../server/program.js';
import { root } from './compose.js';

const source = path.join(root, 'ops/alertmanager');
const secretFile = 'webhook_url_file: /run/secrets/discord_webhook';

/**
 * Writes a committed configuration and its templates into a fresh folder. The webhook is read from a
 * file; Alertmanagers before 0.28 can't, and get it in the configuration itself.
 */
export async function renderAlertmanager(name: string, webhookUrl = 'http://127.0.0.1:1/'): Promise<string> {
  const folder = makeFolder('alertmanager');
  const secret = path.join(folder, 'webhook');
  const file = path.join(folder, 'alertmanager.yml');
  const text = readFileSync(path.join(source, name), 'utf8');
  cpSync(path.join(source, 'templates'), path.join(folder, 'templates'), { recursive: true });
  writeFileSync(secret, webhookUrl);
  writeFileSync(file, text.replace(secretFile, `webhook_url_file: ${secret}`));
  const { code, output } = await run(toolPath('amtool'), ['check-config', file]);
  if (code !== 0 && output.includes('webhook_url_file not found')) {
    writeFileSync(file, text.replace(secretFile, `webhook_url: ${webhookUrl}`));
  }
  return folder;
}

/** A real Alertmanager with a committed configuration; only the webhook's address is its test's. */
export class Alertmanager {
  readonly port: number;
  readonly #folder: string;
  readonly #program: Program;

  private constructor(port: number, folder: string, program: Program) {
    this.port = port;
    this.#folder = folder;
    this.#program = program;
  }

  static async start(name: string, webhookUrl?: string): Promise<Alertmanager> {
    const folder = await renderAlertmanager(name, webhookUrl);
    const port = await freePort();
    const program = new Program(toolPath('prometheus-alertmanager'), [
      `--config.file=${folder}/alertmanager.yml`,
      `--storage.path=${folder}/data`,
      `--web.listen-address=127.0.0.1:${port}`,
      '--cluster.listen-address=',
      '--log.level=warn',
    ]);
    await program.answers(`http://127.0.0.1:${port}/-/ready`);
    return new Alertmanager(port, folder, program);
  }

  /** Names of the alerts that it shows as active. */
  async active(): Promise<string[]> {
    return (await this.#labels()).map(({ alertname = '' }) => alertname);
  }

  /** Names of the labels that any of them has. */
  async labelNames(): Promise<string[]> {
    return [...new Set((await this.#labels()).flatMap((labels) => Object.keys(labels)))];
  }

  async #labels(): Promise<Record<string, string>[]> {
    const response = await fetch(`http://127.0.0.1:${this.port}/api/v2/alerts?active=true`);
    return ((await response.json()) as { labels: Record<string, string> }[]).map(({ labels }) => labels);
  }

  async stop(): Promise<void> {
    await this.#program.stop();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** A message as Discord's webhook takes it. */
export interface DiscordMessage {
  readonly atMs: number;
  readonly title: string;
  readonly text: string;
}

/** Stands in for Discord: receives messages to its webhook and keeps them. */
export class DiscordStandIn {
  readonly url: string;
  readonly messages: DiscordMessage[] = [];
  readonly #server: Server;

  private constructor(server: Server, port: number) {
    this.#server = server;
    this.url = `http://127.0.0.1:${port}/api/webhooks/1/token`;
  }

  static async start(): Promise<DiscordStandIn> {
    let standIn: DiscordStandIn | undefined;
    const server = createServer((request, response) => {
      let body = '';
      request.setEncoding('utf8').on('data', (chunk: string) => {
        body += chunk;
      });
      request.on('end', () => {
        standIn?.messages.push({ atMs: Date.now(), ...messageOf(body) });
        response.writeHead(204).end();
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    if (typeof address !== 'object' || address === null) throw new Error('not listening');
    standIn = new DiscordStandIn(server, address.port);
    return standIn;
  }

  /** The first message whose title has all these words. */
  find(...words: string[]): DiscordMessage | undefined {
    return this.messages.find(({ title }) => words.every((word) => title.includes(word)));
  }

  stop(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }
}

function messageOf(body: string): { title: string; text: string } {
  const { embeds } = JSON.parse(body) as { embeds: { title: string; description: string }[] };
  return { title: embeds[0]?.title ?? '', text: embeds[0]?.description ?? '' };
}
