import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createDatabase, type TestDatabase } from '../support/database/database.js';
import { startServer, type TestServer } from '../support/server/server.js';

let database: TestDatabase;
let server: TestServer;
let closed: TestServer;

beforeAll(async () => {
  database = await createDatabase();
  server = await startServer({ DATABASE_URL: database.url });
  closed = await startServer({ DATABASE_URL: database.url, DATABASE_POOL_MAX: '4', ROBOTS_INDEX: 'false' });
});

afterAll(async () => {
  await server?.stop();
  await closed?.stop();
  await database?.drop();
});

describe('what browsers and crawlers ask for by themselves', () => {
  it('robots.txt closes all but links, and links where that is set', async () => {
    const open = await fetch(`${server.url}/robots.txt`);
    expect([open.status, open.headers.get('content-type')]).toEqual([200, 'text/plain; charset=utf-8']);
    const lines = (await open.text()).split('\n');
    expect(lines[0]).toBe('User-agent: *');
    for (const path of ['/$', '/urls/', '/users?', '/events$', '/metrics$'])
      expect(lines).toContain(`Disallow: ${path}`);
    expect(lines).not.toContain('Disallow: /');
    expect(await (await fetch(`${closed.url}/robots.txt`)).text()).toBe('User-agent: *\nDisallow: /\n');
  });

  it('there are no icons, and nothing is looked up or counted for them', async () => {
    expect((await fetch(`${server.url}/favicon.ico`)).status).toBe(204);
    for (const name of ['', '-precomposed', '-120x120', '-120x120-precomposed']) {
      const answer = await fetch(`${server.url}/apple-touch-icon${name}.png`);
      expect([name, answer.status, await answer.json()]).toEqual([
        name,
        404,
        { error: 'Not found', status: 404 },
      ]);
    }
    const metrics = await (await fetch(`${server.url}/metrics`)).text();
    expect(metrics).toMatch(/^switchyard_cache_misses_total 0$/m);
    expect(await (await fetch(`${server.url}/events`)).json()).toEqual([]);
  });
});
