import { readdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { maintainDatabase } from '../../src/store/migrate.js';
import { createDatabase, type TestDatabase } from '../support/database.js';
import { makeFolder } from '../support/folders.js';
import { startServer, type TestServer } from '../support/server.js';
import { click, createUrl } from '../support/suite.js';
import { eventually } from '../support/wait.js';

let database: TestDatabase;
let folder: string;

beforeEach(async () => {
  database = await createDatabase();
  folder = makeFolder('journal-folders');
});

afterEach(async () => {
  rmSync(folder, { recursive: true, force: true });
  await database.drop();
});

function segments(dataDir: string): string[] {
  const root = path.join(dataDir, 'journal');
  return readdirSync(root).flatMap((server) =>
    readdirSync(path.join(root, server)).filter((name) => name.endsWith('.clicks')),
  );
}

async function clickTimes(server: TestServer, code: string, times: number): Promise<void> {
  for (let count = 0; count < times; count += 1) await click(server, code);
}

async function counted(): Promise<{ counter: number; events: number }> {
  const [row] = await database.query<{ counter: string; events: string }>(
    `SELECT (SELECT sum(click_count) FROM short_urls) AS counter,
            (SELECT count(*) FROM events WHERE event_type = 'click') AS events`,
  );
  return { counter: Number(row?.counter), events: Number(row?.events) };
}

async function untilCounted(clicks: number): Promise<void> {
  await eventually(async () => (await counted()).events >= clicks, 20_000, `${clicks} clicks`);
  expect(await counted()).toEqual({ counter: clicks, events: clicks });
}

describe('a gateway without visitors', () => {
  it('ends its segment, which goes; its checkpoint stays, however old', async () => {
    const server = await startServer({
      DATABASE_URL: database.url,
      DATA_DIR: folder,
      CLICK_JOURNAL_SEGMENT_MS: '300',
      GATEWAY_THREADS: '1',
    });
    const { short_code } = await createUrl(server);
    await clickTimes(server, short_code, 100);
    await untilCounted(100);
    await eventually(() => segments(folder).length === 0, 20_000, 'a folder without segments');
    await database.query(`UPDATE journal_checkpoints SET updated_at = updated_at - interval '1 year'`);
    await maintainDatabase(database.client as never);
    expect(await database.query('SELECT FROM journal_checkpoints')).toHaveLength(1);
    await click(server, short_code);
    await untilCounted(101);
    expect(await server.stop()).toBe(0);
    expect(await database.query('SELECT FROM journal_checkpoints')).toEqual([]);
  });
});
