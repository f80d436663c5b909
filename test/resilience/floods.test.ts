import { afterAll, beforeAll, expect, it } from 'vitest';
import { createDatabase, type TestDatabase } from '../support/database/database.js';
import { eventually } from '../support/machine/wait.js';
import { startServer, type TestServer } from '../support/server/server.js';
import { createUrl } from '../support/server/suite.js';

let database: TestDatabase;
let server: TestServer;

beforeAll(async () => {
  database = await createDatabase();
  const environment = {
    DATABASE_URL: database.url,
    LOG_REQUESTS_PER_SECOND: '100000',
    LOG_RING_MAX: '50000',
  };
  server = await startServer(environment);
});

afterAll(async () => {
  await server?.stop();
  await database?.drop();
});

it('of /logs and /metrics delay neither coherence nor a stop', { timeout: 120_000 }, async () => {
  const url = await createUrl(server);
  const fill = Array.from({ length: 20 }, async () => {
    for (let count = 0; count < 250; count += 1) await (await server.fetch('/urls/999999')).arrayBuffer();
  });
  await Promise.all(fill);
  let isOver = false;
  const answers: number[] = [];
  const askAgainAndAgain = async (path: string): Promise<void> => {
    while (!isOver) {
      const status = await server.fetch(path).then(
        async (response) => {
          await response.arrayBuffer();
          return response.status;
        },
        () => 0,
      );
      if (isOver) break;
      answers.push(status);
    }
  };
  const clients = [
    ...Array.from({ length: 12 }, (_, index) =>
      askAgainAndAgain(`/logs?filter=no-such-text-${index}&limit=200`),
    ),
    ...Array.from({ length: 12 }, () => askAgainAndAgain('/metrics')),
  ];
  await eventually(() => answers.length > 20);
  for (let round = 0; round < 5; round += 1) {
    const target = `https://example.com/changed-by-hand/${round}`;
    await server.fetch(`/${url.short_code}`);
    await database.query('UPDATE short_urls SET original_url = $1 WHERE id = $2', [target, url.id]);
    const startMs = performance.now();
    await eventually(
      async () => (await server.fetch(`/${url.short_code}`)).headers.get('location') === target,
    );
    expect(performance.now() - startMs).toBeLessThan(1000);
  }
  expect(new Set(answers)).toEqual(new Set([200, 503]));
  const startMs = performance.now();
  server.signal('SIGTERM');
  expect(await server.exit).toBe(0);
  expect(performance.now() - startMs).toBeLessThan(5000);
  isOver = true;
  await Promise.all(clients);
});
