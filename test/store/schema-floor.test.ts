import { cpSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { floorOf, newestMigration, readMigrations } from '../../src/store/migration-files.js';
import { createDatabase, type TestDatabase, urlOf } from '../support/database/database.js';
import { FaultProxy } from '../support/database/proxy.js';
import { makeFolder } from '../support/machine/folders.js';
import { eventually } from '../support/machine/wait.js';
import { runTool } from '../support/server/consumer.js';
import { runServer, startServer, type TestServer } from '../support/server/server.js';
import { createUrl } from '../support/server/suite.js';
import { untilEnd } from '../support/server/until-end.js';
import { root } from '../support/stack/compose.js';

const FLOOR = 9002;
const newest = newestMigration();
const tooOld = `the database needs a release with migration ${FLOOR} or newer: the newest one of this release is ${newest}`;

/** This release as a newer one: with a migration beside which this one can't run. */
function makeNewerRelease(): string {
  const folder = makeFolder('release');
  cpSync(path.join(root, 'dist'), path.join(folder, 'dist'), { recursive: true });
  cpSync(path.join(root, 'package.json'), path.join(folder, 'package.json'));
  symlinkSync(path.join(root, 'node_modules'), path.join(folder, 'node_modules'));
  const migrations = path.join(folder, 'dist/src/store/migrations');
  writeFileSync(path.join(migrations, '9001_expands.sql'), 'CREATE TABLE expanded (id integer);\n');
  writeFileSync(
    path.join(migrations, '9002_contracts.sql'),
    `-- floor: ${FLOOR}\nALTER TABLE expanded RENAME id TO contracted;\n`,
  );
  return folder;
}

describe('a schema’s floor', () => {
  let newer: string;
  let database: TestDatabase;
  beforeAll(() => {
    newer = makeNewerRelease();
  });
  beforeEach(async () => {
    database = await createDatabase();
  });
  afterEach(async () => {
    await database?.drop();
  });

  const startNewer = async (): Promise<TestServer> =>
    untilEnd(await startServer({ DATABASE_URL: database.url, TEST_RELEASE: newer }));
  const shorten = async (server: TestServer): Promise<number> =>
    (await server.post('/shorten', { url: 'https://example.com' })).status;
  const applied = (): Promise<object[]> =>
    database.query('SELECT number, floor FROM schema_migrations WHERE number > 9000 ORDER BY number');

  it('is set when no older server is connected; one that was cut off writes nothing from then on', async () => {
    const proxy = untilEnd(await FaultProxy.start(database.address.port));
    const old = await startServer({ DATABASE_URL: urlOf({ ...database.address, port: proxy.port }) });
    onTestFinished(() => old.kill());
    const url = await createUrl(old);
    const clicks = async (): Promise<number> => {
      const [row] = await database.query<{ n: string }>(
        `SELECT count(*) AS n FROM events WHERE url_id = ${url.id} AND event_type = 'click'`,
      );
      return Number(row?.n);
    };
    expect((await old.fetch(`/${url.short_code}`)).status).toBe(302);
    await eventually(async () => (await clicks()) === 1);

    const { code, stderr } = await runServer({ DATABASE_URL: database.url, TEST_RELEASE: newer });
    expect([code, stderr]).toEqual([
      3,
      `switchyard: servers or tools of an older release use the database: stop all servers, then start this release (migration 9002_contracts would break those without migration ${FLOOR})\n`,
    ]);
    expect(await applied()).toEqual([]);
    expect(await shorten(old)).toBe(201);

    // Nothing listens there. PostgreSQL ends the connections that were cut in a moment.
    proxy.leadTo(1);
    const first = await eventually(() => startNewer().catch(() => undefined));
    expect(await applied()).toEqual([
      { number: 9001, floor: null },
      { number: 9002, floor: FLOOR },
    ]);
    proxy.leadTo(database.address.port);
    await eventually(() => old.logs.some(({ message }) => message.endsWith(tooOld)), undefined, 'the reason');
    expect((await old.fetch(`/${url.short_code}`)).status).toBe(302);
    expect(await shorten(old)).toBe(503);
    // One that has the floor hinders nobody.
    expect(await shorten(await startNewer())).toBe(201);
    expect(await shorten(first)).toBe(201);
    expect(await clicks()).toBe(1);
  });

  it('keeps servers, tools and consumers of older releases from the database', async () => {
    await database.query(
      `INSERT INTO schema_migrations (number, name, floor) VALUES (9001, '9001_expands', NULL), (${FLOOR}, '9002_contracts', ${FLOOR})`,
    );
    const line = `switchyard: ${tooOld}\n`;
    const { code, stderr } = await runServer({ DATABASE_URL: database.url });
    expect([code, stderr]).toEqual([3, line]);
    const environment = { DATABASE_URL: database.url };
    const kafka = { CLICK_STREAM: 'kafka', CLICK_INGEST: 'consume', KAFKA_BROKERS: '127.0.0.1:1' };
    for (const [args, more] of [
      [['reconcile', '--repair'], {}],
      [['consume'], kafka],
    ] as const) {
      const tool = await runTool({ ...environment, ...more }, ...args);
      expect([tool.output, tool.code]).toEqual([line, 3]);
    }
  });
});

describe('a migration’s floor', () => {
  it.each([
    ['-- floor: 0061\nSELECT 1;', 61],
    ['-- What it does.\n-- floor: 0061', undefined],
    ['-- floors are tiled', undefined],
    ['SELECT 1', undefined],
  ])('of %j is %s', (sql, floor) => {
    expect(floorOf(61, sql)).toBe(floor);
  });

  it.each(['-- floor: 62', '-- floor: 0062', '-- floor 0061', '-- Floor: 0061', '--floor: 0061 '])(
    'is no %j',
    (line) => {
      expect(() => floorOf(61, line)).toThrow(`migration 61 declares no floor that it can have: ${line}`);
    },
  );

  it('is declared by none of this release that leaves the previous one working', () => {
    const declared = readMigrations().filter(({ floor }) => floor !== undefined);
    expect(declared.map(({ name }) => name)).toEqual([]);
  });
});
