import { spawnSync } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';
import { makeFolder } from '../data/database.js';
import { codeOf, targetOf } from '../data/links.js';
import { launch, type Placement, type ServerHandle } from './process.js';

export function hasNginx(): boolean {
  return spawnSync('nginx', ['-v']).status === 0;
}

/** One worker that answers `return 302` from a map of all links. */
export async function startNginx(links: number, placement: Placement): Promise<ServerHandle> {
  const folder = makeFolder('nginx');
  const port = await freePort();
  const map = Array.from({ length: links }, (_, index) => `/${codeOf(index + 1)} "${targetOf(index + 1)}";`);
  writeFileSync(path.join(folder, 'links.map'), map.join('\n'));
  writeFileSync(path.join(folder, 'nginx.conf'), configuration(folder, port, links));
  const handle = await launch({
    command: 'nginx',
    args: ['-p', folder, '-c', path.join(folder, 'nginx.conf')],
    placement,
    listening: /start worker process /,
    port,
  });
  return {
    ...handle,
    stop: async () => {
      await handle.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function configuration(folder: string, port: number, links: number): string {
  return `
daemon off;
pid ${folder}/nginx.pid;
error_log stderr notice;
worker_processes 1;
events { worker_connections 4096; }
http {
  access_log off;
  keepalive_requests 1000000000;
  server_tokens off;
  map_hash_max_size ${links * 4};
  map_hash_bucket_size 256;
  map $uri $target { include ${folder}/links.map; }
  client_body_temp_path ${folder}/body;
  proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/fastcgi;
  uwsgi_temp_path ${folder}/uwsgi;
  scgi_temp_path ${folder}/scgi;
  server {
    listen 127.0.0.1:${port} backlog=4096;
    absolute_redirect off;
    if ($target = "") { return 404; }
    return 302 $target;
  }
}
`;
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address();
      probe.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}
