import { rmSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startLoad } from '../support/clients/load.js';
import { createDatabase, type TestDatabase } from '../support/database/database.js';
import { makeFolder } from '../support/machine/folders.js';
import { eventually } from '../support/machine/wait.js';
import { freePort } from '../support/server/program.js';
import { type ServerEnvironment, startServer, type TestServer } from '../support/server/server.js';
import { createUrl, createUser, uniqueName } from '../support/server/suite.js';

const KILLS = 2;
const LINKS = 40;

let database: TestDatabase;
let environment: ServerEnvironment;

beforeAll(async () => {
  database = await createDatabase();
  environment = {
    DATABASE_URL: database.url,
    DATA_DIR: makeFolder('restart'),
    PORT: String(await freePort()),
    GATEWAY_THREADS: '2',
    // A machine that is very slow answers late, which is not what is looked for here.
    CALL_DEADLINE_MS: '30000',
    TRANSFER_WAIT_MS: '30000',
  };
});

afterAll(async () => {
  rmSync(environment?.DATA_DIR ?? '', { recursive: true, force: true });
  await database?.drop();
});

function file(header: string, row: string): FormData {
  const form = new FormData();
  form.append('file', new Blob([`${header}\n${row}\n`]), 'rows.csv');
  return form;
}

/** One call of each kind: what is asked, and how. */
function callsOf(code: string, id: number, userId: number): [path: string, init?: RequestInit][] {
  const json = (method: string, body: unknown): RequestInit => ({
    method,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  const target = { original_url: 'https://example.com/early' };
  const form = (header: string, row: string): RequestInit => ({ method: 'POST', body: file(header, row) });
  return [
    [`/${code}`],
    [`/${code}`, { method: 'HEAD' }],
    [`/${code}+`],
    ['/no-such-code'],
    [`/urls/${id}`],
    [`/urls/${id}/stats`],
    [`/urls/${id}/qr`],
    ['/stats'],
    ['/urls?limit=10'],
    ['/urls?sort=-click_count&limit=10'],
    ['/urls?q=example&with_total=true'],
    ['/users?page=1&per_page=5'],
    [`/events?url_id=${id}`],
    // Whole lists, by the thread of transfers.
    ['/urls'],
    ['/users'],
    ['/urls?format=csv'],
    ['/shorten', json('POST', { url: 'https://example.com/early' })],
    ['/urls', json('POST', target)],
    ['/urls/bulk', json('POST', { urls: [target, target] })],
    // Long enough to be parsed by a worker.
    [
      '/urls/bulk',
      json('POST', { urls: Array.from({ length: 500 }, () => ({ ...target, title: 'x'.repeat(400) })) }),
    ],
    [`/urls/${id}`, json('PATCH', { title: 'early' })],
    ['/events', json('POST', { event_type: 'early', url_id: id })],
    [`/users/${userId}`],
    ['/users', json('POST', { username: uniqueName('early'), email: 'a@example.com' })],
    ['/users/bulk', form('username,email', `${uniqueName('early')},a@example.com`)],
    ['/urls/import', form('original_url', 'https://example.com/early')],
    ['/urls/import?dry_run=true', form('original_url', 'https://example.com/early')],
    ['/health'],
    ['/health/ready'],
    ['/metrics'],
    ['/logs'],
  ];
}

/** The status, and what else was said of a failure. */
async function answerOf(
  server: TestServer,
  path: string,
  init?: RequestInit,
): Promise<readonly [number, string]> {
  const response = await server.fetch(path, init);
  const text = await response.text();
  return [response.status, response.status < 400 ? '' : text];
}

describe('the first calls after a kill -9', () => {
  it(`and a start are served, each kind of them, while visitors come back: ${KILLS} times`, {
    timeout: 180_000,
  }, async () => {
    let server = await startServer(environment);
    const links = await Promise.all(Array.from({ length: LINKS }, () => createUrl(server)));
    const { id: userId } = await createUser(server);
    // Visitors that never stop asking are there in the moment the port opens.
    const load = startLoad(
      server.port,
      links.map(({ short_code: code }) => code),
      16,
    );
    try {
      for (let kill = 0; kill < KILLS; kill += 1) {
        const before = load.total();
        await eventually(() => load.total() > before + 200);
        await server.kill();
        server = await startServer(environment);
        const { short_code: code, id } = links[kill] as (typeof links)[0];
        const calls = callsOf(code, id, userId);
        const answers = await Promise.all(
          calls.map(
            async ([path, init]) =>
              [init?.method ?? 'GET', path, ...(await answerOf(server, path, init))] as const,
          ),
        );
        expect(answers.filter(([, , status]) => status >= 500)).toEqual([]);
        // They are what they are meant to be, too.
        const bad = answers.filter(([, path, status]) => status >= 400 && path !== '/no-such-code');
        expect(bad).toEqual([]);
      }
    } finally {
      await load.stop();
      await server.stop();
    }
    // Broken connections and redirects: nobody who came back early was turned away.
    expect([...load.statuses.keys()].filter((status) => status !== 0 && status !== 302)).toEqual([]);
  });
});
