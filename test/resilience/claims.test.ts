import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Url } from '../support/clients/answers.js';
import { TestCluster } from '../support/database/cluster.js';
import { eventually } from '../support/machine/wait.js';
import { startServer, type TestServer } from '../support/server/server.js';
import { createUrl } from '../support/server/suite.js';

let cluster: TestCluster;
let servers: TestServer[];

beforeEach(async () => {
  cluster = await TestCluster.start();
  servers = [];
  for (let count = 0; count < 2; count += 1) servers.push(await startServer({ DATABASE_URL: cluster.url }));
});

afterEach(async () => {
  for (const server of servers) await server.stop();
  await cluster?.remove();
});

async function limitedLink(maxClicks: number): Promise<Url> {
  const [server] = servers as [TestServer];
  const url = await createUrl(server);
  await server.send('PATCH', `/urls/${url.id}`, { max_clicks: maxClicks });
  return url;
}

/** The status, or 0 for no answer. */
async function statusOf(server: TestServer | undefined, { short_code: code }: Url): Promise<number> {
  try {
    const response = await (server as TestServer).fetch(`/${code}`);
    await response.body?.cancel();
    return response.status;
  } catch {
    return 0;
  }
}

describe('a link that redirects five times', () => {
  it('never does so a sixth time, over two servers of which one is killed meanwhile', async () => {
    for (let round = 0; round < 3; round += 1) {
      const url = await limitedLink(5);
      const visits = Array.from({ length: 100 }, async (_, index) => {
        // Some before the kill, some at it, some after.
        await sleep(index * 2);
        return statusOf(servers[index % 2], url);
      });
      await sleep(2 + round * 10);
      const killed = servers.pop() as TestServer;
      await killed.kill();
      const statuses = await Promise.all(visits);
      const redirects = statuses.filter((status) => status === 302).length;
      expect(redirects).toBeLessThanOrEqual(5);
      // A kill may have used some up whose answer never came; nothing else may.
      const lost = statuses.filter((status) => status === 0).length;
      expect(redirects + lost).toBeGreaterThanOrEqual(5);
      expect(statuses.filter((status) => ![0, 302, 410].includes(status))).toEqual([]);
      expect(await statusOf(servers[0], url)).toBe(410);
      servers.push(await startServer({ DATABASE_URL: cluster.url }));
    }
  });

  it('is 503 without a database, cached as it may be, and goes on afterwards', async () => {
    const url = await limitedLink(3);
    expect(await statusOf(servers[0], url)).toBe(302);
    await cluster.stop('kill');
    await eventually(async () => (await statusOf(servers[0], url)) === 503);
    await cluster.restart();
    await eventually(async () => (await statusOf(servers[0], url)) === 302);
    await eventually(async () => (await statusOf(servers[1], url)) === 302);
    expect(await statusOf(servers[0], url)).toBe(410);
  });
});
