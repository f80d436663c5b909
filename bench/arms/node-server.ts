import { fileURLToPath } from 'node:url';
import { launch, type Placement, type ServerHandle } from './process.js';

export type NodeServer = 'bare' | 'http' | 'fastify' | 'single-query' | 'single-insert' | 'raw-list';

/** One of the servers in bench/servers, with which Switchyard is compared. */
export function startNodeServer(
  name: NodeServer,
  placement: Placement,
  environment: Readonly<Record<string, string>>,
): Promise<ServerHandle> {
  return launch({
    command: process.execPath,
    args: [fileURLToPath(new URL(`../servers/${name}.js`, import.meta.url))],
    placement,
    environment: { NODE_ENV: 'production', ...environment },
    listening: /listening on (\d+)/,
  });
}
