import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Counters } from '../../src/memory/counters.js';
import { DeadlineError, errorCodeOf, sqlStateOf } from '../../src/postgres/failures.js';
import { type Connection, inTransaction, Pool, rowsOf } from '../../src/postgres/pool.js';
import { createDatabase, type TestDatabase } from '../support/database/database.js';
import { FaultProxy } from '../support/database/proxy.js';
import { eventually } from '../support/machine/wait.js';

const CONNECTIONS = 3;
const readAll = { name: 'users_all', text: 'SELECT * FROM users ORDER BY id' };
const insert = {
  name: 'users_add',
  text: `INSERT INTO users (username, email) VALUES ($1, 'a@example.com') RETURNING *`,
};

let database: TestDatabase;
let pool: Pool;
const { counters } = new Counters().claim('interactive');

beforeEach(async () => {
  database = await createDatabase();
  pool = new Pool({
    address: database.address,
    max: CONNECTIONS,
    name: 'pool test',
    connectMs: 2000,
    statementMs: 5000,
    idleInTransactionMs: 4000,
    counters,
    onConnectionError: () => undefined,
  });
  await database.query(`INSERT INTO users (username, email) VALUES ('first', 'a@example.com')`);
  // Every connection has prepared both.
  await Promise.all(
    Array.from({ length: CONNECTIONS }, (_, index) =>
      pool.run(5000, async (connection) => {
        await rowsOf(connection, readAll);
        await rowsOf(connection, insert, [`user ${index}`]);
        await connection.query('SELECT pg_sleep(0.2)');
      }),
    ),
  );
});

afterEach(async () => {
  await pool.end();
  await database.drop();
});

async function backends(): Promise<number> {
  const [row] = await database.query<{ n: string }>(
    `SELECT count(*) AS n FROM pg_stat_activity WHERE application_name = 'pool test'`,
  );
  return Number(row?.n);
}

const changes = {
  'a column was added': (): Promise<unknown> => database.query('ALTER TABLE users ADD COLUMN note text'),
  'statements were deallocated': async (): Promise<void> => {
    const forget = (connection: Connection): Promise<unknown> =>
      connection.query('DEALLOCATE ALL; SELECT pg_sleep(0.2)');
    await Promise.all(Array.from({ length: CONNECTIONS }, () => pool.run(5000, forget)));
  },
};

describe.each(Object.entries(changes))('a pool beneath which %s', (_, change) => {
  it('answers the very next question, on every connection', async () => {
    await change();
    for (let round = 0; round < CONNECTIONS * 2; round += 1) {
      const rows = await pool.run(5000, (connection) => rowsOf(connection, readAll));
      expect(rows).toHaveLength(4);
      expect(await backends()).toBeLessThanOrEqual(CONNECTIONS);
    }
  });

  it('writes once, in a transaction too', async () => {
    await change();
    const names = Array.from({ length: CONNECTIONS * 2 }, (_, index) => `later ${index}`);
    await Promise.all(
      names.map((name, index) =>
        pool.run(5000, (connection) => {
          const write = (): Promise<unknown> => rowsOf(connection, insert, [name]);
          return index % 2 === 0 ? write() : inTransaction(connection, async () => write());
        }),
      ),
    );
    const rows = await database.query<{ username: string }>(
      `SELECT username FROM users WHERE username LIKE 'later%' ORDER BY username`,
    );
    expect(rows.map(({ username }) => username)).toEqual(names);
    expect(await backends()).toBeLessThanOrEqual(CONNECTIONS);
  });
});

describe('a pool', () => {
  it('runs what no connection can do twice, and no more', async () => {
    let runs = 0;
    const error = await pool
      .run(5000, (connection) => {
        runs += 1;
        return connection.query('EXECUTE nothing_of_that_name');
      })
      .catch((caught: unknown) => caught);
    expect([sqlStateOf(error), errorCodeOf(error), runs]).toEqual(['26000', 'INTERNAL', 2]);
    expect(await pool.run(5000, (connection) => rowsOf(connection, readAll))).toHaveLength(4);
  });

  it('bounds statements and idle transactions on its connections', async () => {
    const [row] = await pool.run(5000, (connection) =>
      rowsOf(connection, {
        name: 'limits',
        text: `SELECT current_setting('statement_timeout'), current_setting('idle_in_transaction_session_timeout')`,
      }),
    );
    expect(row).toEqual(['5s', '4s']);
  });
});

describe('a transaction whose time is over', () => {
  it('changes nothing, though no statement was running that could be canceled', async () => {
    let settled = (): void => undefined;
    const isSettled = new Promise<void>((resolve) => {
      settled = resolve;
    });
    const answer = pool.run(300, (connection) =>
      inTransaction(connection, async () => {
        await rowsOf(connection, insert, ['late']);
        // Longer than the cancellation needs to arrive, and to find nothing to cancel.
        await sleep(800);
      }).finally(settled),
    );
    await expect(answer).rejects.toThrow(DeadlineError);
    await isSettled;
    await eventually(async () => (await backends()) < CONNECTIONS || undefined);
    expect(await database.query(`SELECT FROM users WHERE username = 'late'`)).toEqual([]);
    // The next one on any connection has a time of its own.
    for (let round = 0; round < CONNECTIONS; round += 1) {
      await pool.run(5000, (connection) =>
        inTransaction(connection, () => rowsOf(connection, insert, [`next ${round}`])),
      );
    }
    expect(await database.query(`SELECT FROM users WHERE username LIKE 'next %'`)).toHaveLength(CONNECTIONS);
  });
});

describe('a connection that is not there in time', () => {
  let proxy: FaultProxy;
  let slow: Pool;

  beforeEach(async () => {
    proxy = await FaultProxy.start(database.address.port);
    slow = new Pool({
      address: { ...database.address, port: proxy.port },
      max: 1,
      name: 'slow pool test',
      connectMs: 1000,
      statementMs: 5000,
      idleInTransactionMs: 4000,
      counters,
      onConnectionError: () => undefined,
    });
    proxy.freeze();
  });

  afterEach(async () => {
    proxy.thaw();
    await slow.end();
    await proxy.stop();
  });

  it('is asked for again, and what is to be done on it is done once', async () => {
    const before = counters.get('poolRetries');
    const added = slow.runOnce(60_000, (connection) => rowsOf(connection, insert, ['late']));
    await eventually(() => counters.get('poolRetries') > before);
    proxy.thaw();
    expect(await added).toHaveLength(1);
  });

  it('is not waited for beyond the deadline, nor for ever', async () => {
    const nothing = async (): Promise<void> => undefined;
    const before = counters.get('poolRetries');
    await expect(slow.runOnce(500, nothing)).rejects.toSatisfy(
      (error) => errorCodeOf(error) === 'UNAVAILABLE',
    );
    expect(counters.get('poolRetries')).toBe(before);
    await expect(slow.runOnce(60_000, nothing)).rejects.toSatisfy(
      (error) => errorCodeOf(error) === 'UNAVAILABLE',
    );
    expect(counters.get('poolRetries')).toBe(before + 2);
  });
});
