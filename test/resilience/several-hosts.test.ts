import { rmSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startLoad } from '../support/clients/load.js';
import type { TestDatabase } from '../support/database/database.js';
import { PostgresNode } from '../support/database/replicated-postgres.js';
import { makeFolder } from '../support/machine/folders.js';
import { describeWith } from '../support/machine/tools.js';
import { eventually } from '../support/machine/wait.js';
import { run } from '../support/server/program.js';
import { startServer, type TestServer } from '../support/server/server.js';
import { click } from '../support/server/suite.js';

const cli = path.resolve(import.meta.dirname, '../../dist/server/cli.js');
const CODE = 'kept';

describeWith('postgres')('a server with two hosts', { timeout: 120_000 }, () => {
  let old: PostgresNode;
  let next: PostgresNode;
  let onOld: TestDatabase;
  let onNext: TestDatabase;
  let folder: string;
  let server: TestServer;
  let environment: Record<string, string>;
  let made = 0;
  let clicks = 0;

  beforeAll(async () => {
    folder = makeFolder('hosts');
    old = await PostgresNode.create();
    next = await old.standby(old.port);
    environment = {
      // The standby comes first.
      DATABASE_URL: `postgresql://switchyard@127.0.0.1:${next.port},127.0.0.1:${old.port}/postgres?target_session_attrs=read-write`,
      DATA_DIR: folder,
      GATEWAY_THREADS: '1',
      CLICK_JOURNAL_SEGMENT_MS: '200',
    };
    server = await startServer(environment);
    onOld = await old.connect();
    onNext = await next.connect();
  }, 120_000);

  afterAll(async () => {
    await server?.stop();
    for (const database of [onOld, onNext]) await database?.drop();
    for (const node of [old, next]) await node?.remove();
    rmSync(folder, { recursive: true, force: true });
  });

  async function create(code: string): Promise<number> {
    const target = `https://example.com/${code}`;
    return (await server.post('/urls', { original_url: target, short_code: code })).status;
  }

  /** Creates links until one is there. @returns its code. */
  async function creates(): Promise<string> {
    return eventually(
      async () => {
        made += 1;
        return (await create(`made${made}`)) === 201 ? `made${made}` : undefined;
      },
      30_000,
      'a link that is made',
    );
  }

  const has = async (database: TestDatabase, code: string): Promise<boolean> =>
    (await database.query('SELECT FROM short_urls WHERE short_code = $1', [code])).length === 1;

  async function hosts(): Promise<Record<string, number>> {
    const text = await (await server.fetch('/metrics')).text();
    const lines = text.matchAll(/^switchyard_database_hosts\{place="(\w+)"\} (\d+)/gm);
    return Object.fromEntries([...lines].map(([, place, count]) => [place, Number(count)]));
  }

  /** All that a server may have written. */
  const written = (database: TestDatabase): Promise<unknown[]> =>
    database.query(
      `SELECT (SELECT count(*) FROM short_urls) AS links, (SELECT count(*) FROM users) AS users, (SELECT count(*) FROM events) AS events,
              (SELECT sum(clicks) FROM journal_checkpoints) AS clicks, (SELECT sum(click_count) FROM short_urls) AS counted`,
    );

  const isCounted = async (database: TestDatabase): Promise<boolean> => {
    const rows = await database.query<{ counted: string; events: string }>(
      `SELECT click_count AS counted, (SELECT count(*) FROM events WHERE url_id = u.id AND event_type = 'click') AS events
       FROM short_urls AS u WHERE short_code = $1`,
      [CODE],
    );
    return Number(rows[0]?.counted) === clicks && Number(rows[0]?.events) === clicks;
  };

  it('writes to the primary, whichever place it has', async () => {
    expect(await create(CODE)).toBe(201);
    expect(await has(onOld, CODE)).toBe(true);
    expect(await hosts()).toEqual({ primary: 1, standby: 1, silent: 0, stale: 0 });
    await eventually(() => has(onNext, CODE));
    await click(server, CODE);
    clicks += 1;
  });

  it('leaves an old primary that goes on taking writes, and never writes to it again', async () => {
    const load = startLoad(server.port, [CODE], 4, 2);
    await eventually(() => load.total() > 50);
    await next.promote();
    const promotedMs = performance.now();
    await eventually(async () => has(onNext, await creates()));
    console.info(`writes were back ${Math.round(performance.now() - promotedMs)} ms after the promotion`);
    const before = await written(onOld);
    for (let count = 0; count < 5; count += 1) expect(await has(onNext, await creates())).toBe(true);
    await load.stop();
    clicks += load.total();
    expect([...load.statuses.keys()]).toEqual([302]);
    await eventually(() => isCounted(onNext));
    expect(await written(onOld)).toEqual(before);
    expect(await hosts()).toEqual({ primary: 1, standby: 0, silent: 0, stale: 1 });
    expect(
      server.logs.filter(({ message }) => message.includes('says that it is the primary, on timeline 1')),
    ).toHaveLength(1);
  });

  it('writes to nobody when only the old one is left, also after a restart', async () => {
    await onNext.drop();
    await next.kill();
    const before = await written(onOld);
    await eventually(async () => (await hosts()).silent === 1);
    expect(await create('refused')).toBe(503);
    await click(server, CODE);
    clicks += 1;
    await server.kill();
    server = await startServer(environment);
    expect(await create('refused')).toBe(503);
    await eventually(async () => (await hosts()).stale === 1);
    expect(await written(onOld)).toEqual(before);
  });

  it('writes to it once the operator accepts its timeline; clicks on what it has are exact', async () => {
    const tool = (...args: string[]): ReturnType<typeof run> =>
      run(process.execPath, [cli, 'timeline', ...args], {
        env: { PATH: process.env.PATH, DATA_DIR: folder },
      });
    expect((await tool()).output).toMatch(/^timeline: 2 of system \d+\n$/);
    expect(await tool('accept', 'x')).toMatchObject({ code: 2 });
    expect((await tool('accept', '1')).output).toMatch(/^timeline: 1 of system \d+\n$/);
    expect(await has(onOld, await creates())).toBe(true);
    await eventually(() => isCounted(onOld));
    expect((await tool()).output).toContain('timeline: 1 of');
  });
});
