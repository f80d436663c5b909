import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { ApiClient } from '../clients/api-client.js';
import { makeFolder } from '../machine/folders.js';
import { toolPath } from '../machine/tools.js';
import { freePort, Program, run } from '../server/program.js';
import { environmentOf, root } from './compose.js';

const source = path.join(root, 'ops/nginx');

/** NGINX_ variables that a test sets; the others are as in docker-compose.yml. */
export type NginxVariables = Readonly<Record<`NGINX_${string}`, string>>;

export interface AccessEntry {
  readonly remote_addr: string;
  readonly request_id: string;
  readonly method: string;
  readonly uri: string;
  readonly status: number;
  readonly upstream: string;
  readonly upstream_status: string;
  readonly [field: string]: unknown;
}

/** A real Nginx with the committed configuration, rendered as its container does it. */
export class Nginx extends ApiClient {
  readonly port: number;
  readonly statusPort: number;
  readonly url: string;
  readonly folder: string;
  readonly #program: Program;

  private constructor(folder: string, port: number, statusPort: number, program: Program) {
    const url = `http://127.0.0.1:${port}`;
    super((pathname, init) => fetch(url + pathname, init));
    this.folder = folder;
    this.port = port;
    this.statusPort = statusPort;
    this.url = url;
    this.#program = program;
  }

  /** @param ports Of the gateways it stands in front of; or their whole addresses. */
  static async start(ports: readonly (number | string)[], variables: NginxVariables = {}): Promise<Nginx> {
    const port = await freePort();
    const statusPort = await freePort();
    const folder = renderNginx({ ...addresses(ports, port, statusPort), ...variables });
    const program = new Program(toolPath('nginx'), nginxArguments(folder));
    const nginx = new Nginx(folder, port, statusPort, program);
    await program.answers(nginx.statusUrl);
    return nginx;
  }

  get statusUrl(): string {
    return `http://127.0.0.1:${this.statusPort}/nginx_status`;
  }

  /** The access log so far. */
  log(): AccessEntry[] {
    const text = readFileSync(path.join(this.folder, 'access.log'), 'utf8');
    return text.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line) as AccessEntry]));
  }

  /** What it complained of. */
  get errors(): string {
    return this.#program.output;
  }

  async stop(): Promise<void> {
    await this.#program.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** `nginx -t` on the configuration. */
export async function checkNginx(
  variables: NginxVariables = {},
  extra: Readonly<Record<string, string>> = {},
): Promise<{ code: number | NodeJS.Signals; output: string }> {
  const folder = renderNginx({ ...addresses([1], 8080, 8081), ...variables });
  for (const [name, text] of Object.entries(extra)) writeFileSync(path.join(folder, name), text);
  const result = await run(toolPath('nginx'), ['-t', ...nginxArguments(folder)]);
  rmSync(folder, { recursive: true, force: true });
  return result;
}

function addresses(ports: readonly (number | string)[], port: number, statusPort: number): NginxVariables {
  // "resolve" asks a DNS server, and is known to newer versions only: here the addresses are known.
  const serversOf = (name: string): string => {
    const server = environmentOf('nginx')[name]?.replace(' resolve', '') ?? '';
    const addressOf = (one: number | string): string => (typeof one === 'string' ? one : `127.0.0.1:${one}`);
    return ports.map((one) => server.replace('app:5000', addressOf(one))).join(' ');
  };
  return {
    NGINX_LISTEN: `127.0.0.1:${port}`,
    NGINX_STATUS_LISTEN: `127.0.0.1:${statusPort}`,
    NGINX_UPSTREAM: serversOf('NGINX_UPSTREAM'),
    NGINX_UPSTREAM_WRITES: serversOf('NGINX_UPSTREAM_WRITES'),
  };
}

/** Writes the configuration into a fresh folder, as the official image's entry point does with envsubst. */
function renderNginx(variables: NginxVariables): string {
  const folder = makeFolder('nginx');
  const values: Record<string, string> = {
    ...environmentOf('nginx'),
    NGINX_TEMP_DIR: path.join(folder, 'temp'),
    NGINX_ACCESS_LOG: `${path.join(folder, 'access.log')} json`,
    ...variables,
  };
  mkdirSync(path.join(folder, 'conf.d'));
  mkdirSync(path.join(folder, 'temp'));
  cpSync(path.join(source, 'nginx.conf'), path.join(folder, 'nginx.conf'));
  for (const name of readdirSync(path.join(source, 'templates'))) {
    const template = readFileSync(path.join(source, 'templates', name), 'utf8');
    writeFileSync(
      path.join(folder, 'conf.d', name.replace(/\.template$/, '')),
      substitute(template, values, name),
    );
  }
  return folder;
}

function substitute(template: string, values: Readonly<Record<string, string>>, name: string): string {
  return template.replaceAll(/\$\{(NGINX_\w+)\}|\$(NGINX_\w+)/g, (_, braced?: string, bare?: string) => {
    const value = values[braced ?? bare ?? ''];
    if (value === undefined) throw new Error(`${name}: docker-compose.yml does not set ${braced ?? bare}`);
    return value;
  });
}

function nginxArguments(folder: string): string[] {
  const own = `daemon off; pid ${path.join(folder, 'nginx.pid')};`;
  return ['-e', 'stderr', '-p', folder, '-c', path.join(folder, 'nginx.conf'), '-g', own];
}
