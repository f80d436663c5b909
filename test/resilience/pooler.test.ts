import { afterEach, beforeEach, expect, it } from 'vitest';
import { createDatabase, type TestDatabase } from '../support/database/database.js';
import { PgBouncer } from '../support/database/pgbouncer.js';
import { describeWith } from '../support/machine/tools.js';
import { eventually } from '../support/machine/wait.js';
import { runServer, startServer, type TestServer } from '../support/server/server.js';
import { click, createUrl } from '../support/server/suite.js';

describeWith('pgbouncer')('a server behind PgBouncer', { timeout: 90_000 }, () => {
  let database: TestDatabase;
  let pooler: PgBouncer | undefined;
  let server: TestServer | undefined;

  beforeEach(async () => {
    database = await createDatabase();
  });

  afterEach(async () => {
    await server?.stop();
    await pooler?.stop();
    await database.drop();
    server = undefined;
    pooler = undefined;
  });

  it.each([
    ['transaction', ''],
    ['transaction', 'server_round_robin = 1\nmin_pool_size = 5'],
    // Two backends: one is in a transaction, and whoever asks meanwhile gets the other.
    ['transaction', 'server_round_robin = 1\nmin_pool_size = 2\ndefault_pool_size = 2'],
    ['transaction', 'ignore_startup_parameters = statement_timeout,idle_in_transaction_session_timeout'],
    ['statement', ''],
  ] as const)('in %s mode (%j) does not start, and says what to use', async (mode, extra) => {
    pooler = await PgBouncer.start(database.address, mode, extra);
    const { code, stderr } = await runServer({ DATABASE_URL: pooler.url });
    expect(code).toBe(3);
    expect(stderr.trim().split('\n')).toEqual([
      'switchyard: the database is reached through a pooler that shares connections by transaction: use its session mode (PgBouncer: pool_mode = session) or a direct connection',
    ]);
  });

  it('in session mode serves as ever, and hears what others change', async () => {
    pooler = await PgBouncer.start(database.address, 'session');
    server = await startServer({ DATABASE_URL: pooler.url });
    const link = await createUrl(server);
    expect(await click(server, link.short_code)).toBe(link.original_url);
    await database.query(`UPDATE short_urls SET original_url = 'https://example.com/by-hand'`);
    await eventually(
      async () => (await click(server as TestServer, link.short_code)) === 'https://example.com/by-hand',
    );
    // On a busy machine a read may end before the clicks are there, and says so.
    const running = server;
    await eventually(async () => {
      const body = await running.get(`/events?url_id=${link.id}`);
      return body.length > 2;
    });
  });

  it('that drops LISTEN while it runs knows that it hears nothing', async () => {
    pooler = await PgBouncer.start(database.address, 'session', 'server_reset_query_always = 1');
    server = await startServer({ DATABASE_URL: pooler.url });
    const coherent = async (): Promise<boolean> =>
      (await (await (server as TestServer).fetch('/metrics')).text()).includes(
        '\nswitchyard_cache_coherent 1\n',
      );
    await eventually(coherent);
    // From here on the backend that listened forgets it after each transaction, and the connection lives on.
    pooler.change('transaction');
    await eventually(() =>
      server?.logs.some(({ message }) => message.includes('a notification did not come back')),
    );
    expect(await coherent()).toBe(false);
    pooler.change('session');
    await eventually(coherent, 60_000);
  });
});
