import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Url } from '../support/clients/answers.js';
import { startLoad } from '../support/clients/load.js';
import { createDatabase, type TestDatabase } from '../support/database/database.js';
import { eventually } from '../support/machine/wait.js';
import { Restarter } from '../support/server/restarter.js';
import type { TestServer } from '../support/server/server.js';
import { createUrl } from '../support/server/suite.js';
import { untilEnd } from '../support/server/until-end.js';

const TOKEN = 'let it end';

let database: TestDatabase;

beforeAll(async () => {
  database = await createDatabase();
});

afterAll(async () => {
  await database?.drop();
});

async function begin(): Promise<{ restarter: Restarter; url: Url }> {
  const restarter = untilEnd(
    await Restarter.start({
      DATABASE_URL: database.url,
      CHAOS_TOKEN: TOKEN,
      GATEWAY_THREADS: '1',
      // What the test holds up, it holds up for longer than a call may take.
      CALL_DEADLINE_MS: '30000',
      DRAIN_DEADLINE_MS: '30000',
    }),
  );
  return { restarter, url: await createUrl(restarter.server) };
}

const chaos = (server: TestServer, token: string) =>
  server.fetch('/chaos', { headers: { 'x-chaos-token': token } });

/** Click events of a link; the counter beside them says the same. */
async function clicksOf({ id }: Url): Promise<number> {
  const [row] = await database.query<{ click_count: string; events: string }>(
    `SELECT click_count, (SELECT count(*) FROM events WHERE url_id = $1 AND event_type = 'click') AS events
     FROM short_urls WHERE id = $1`,
    [id],
  );
  expect(row?.click_count).toBe(row?.events);
  return Number(row?.events);
}

/** A request that is under way until `finish`: it waits in PostgreSQL for a row that the test holds. */
async function startRequest(
  server: TestServer,
): Promise<{ answer: Promise<number>; finish: () => Promise<void> }> {
  const { id } = await createUrl(server);
  await database.query('BEGIN');
  await database.query('SELECT 1 FROM short_urls WHERE id = $1 FOR UPDATE', [id]);
  const answer = server.send('PUT', `/urls/${id}`, { title: 'changed' }).then(({ status }) => status);
  await eventually(async () => {
    const waiting = await database.query(
      "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'",
    );
    return waiting.length > 0;
  });
  const finish = async (): Promise<void> => {
    await database.query('COMMIT');
  };
  return { answer, finish };
}

/** What a run of this test took, for the failure modes; no machine is held to it. */
function record(what: string, sinceMs: number): void {
  console.log(`${what}: the first redirect after ${Math.round(performance.now() - sinceMs)} ms`);
}

/** Until visitors are redirected again. */
async function recovery({ server }: Restarter, { short_code: code }: Url): Promise<void> {
  await eventually(async () => {
    const answer = await server.fetch(`/${code}`).catch(() => undefined);
    return answer?.status === 302;
  });
}

it('/chaos with the token: what is under way is answered, clicks are kept, the server comes back', async () => {
  const { restarter, url } = await begin();
  const first = restarter.server;
  const load = startLoad(first.port, [url.short_code], 4);
  await eventually(() => load.total() >= 500);
  const { answer, finish } = await startRequest(first);

  const sinceMs = performance.now();
  expect((await chaos(first, TOKEN)).status).toBe(204);
  await eventually(() => first.logs.some(({ message }) => message === 'SIGTERM: the server drains'));
  expect(restarter.lives).toEqual([]);
  await finish();
  expect(await answer).toBe(200);

  const second = await restarter.nextLife(0);
  await recovery(restarter, url);
  record('GET /chaos', sinceMs);
  expect(restarter.lives).toEqual([{ pid: first.pid, code: 0 }]);
  expect(second.pid).not.toBe(first.pid);

  const before = load.total();
  await eventually(() => load.total() >= before + 100);
  await load.stop();
  await restarter.stop();
  // 0: a connection that was refused or closed between the two lives. No error was answered.
  expect([...load.statuses.keys()].filter((status) => status !== 0)).toEqual([302]);
  // One more by the test itself, when it saw the recovery.
  expect(await clicksOf(url)).toBe(load.total() + 1);
});

it('/chaos without the token ends nothing', async () => {
  const { restarter } = await begin();
  for (const token of ['', 'let it', `${TOKEN}!`]) {
    expect((await chaos(restarter.server, token)).status).toBe(401);
  }
  await createUrl(restarter.server);
  expect(restarter.server.logs.some(({ message }) => message.includes('drains'))).toBe(false);
  expect(restarter.lives).toEqual([]);
});

it('a killed server comes back too, with the clicks of the life before', async () => {
  const { restarter, url } = await begin();
  const first = restarter.server;
  for (let count = 0; count < 200; count += 1) {
    expect((await first.fetch(`/${url.short_code}`)).status).toBe(302);
  }
  // The journal is written when a turn ends, after its answers: a further turn, and all of it is there.
  expect((await first.fetch('/health')).status).toBe(200);
  const sinceMs = performance.now();
  first.signal('SIGKILL');
  await restarter.nextLife(0);
  await recovery(restarter, url);
  record('kill -9', sinceMs);
  expect(restarter.lives).toEqual([{ pid: first.pid, code: 'SIGKILL' }]);
  await eventually(async () => (await clicksOf(url)) >= 201);
  await restarter.stop();
  expect(await clicksOf(url)).toBe(201);
});
