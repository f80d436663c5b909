import pg from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { InputFor } from '../../src/api/registry.js';
import { clientOptions } from '../../src/postgres/pool.js';
import { statsOperations } from '../../src/store/stats.js';
import { foldNext } from '../../src/store/stats-folds.js';
import { mergeRows } from '../../src/store/stats-merges.js';
import { createDatabase, type TestDatabase } from '../support/database/database.js';

/** Of a day: four of them are more than 32 bits hold. */
const CLICKS = 1_500_000_000;
/** Where 4, 16, 64 and 256 days begin. */
const FIRST_DAY = '2024-09-02';

let database: TestDatabase;
let client: pg.Client;

beforeAll(async () => {
  database = await createDatabase();
  client = new pg.Client(clientOptions(database.address, 'test', 20_000));
  await client.connect();
  await database.query(
    `INSERT INTO short_urls (id, original_url, short_code) VALUES (1, 'https://example.com/', 'c1')`,
  );
});

afterAll(async () => {
  await client?.end();
  await database?.drop();
});

it('days with very many clicks are folded, merged and read', async () => {
  await database.query(
    `INSERT INTO stats_slots (kind, step, slot, first_key, last_key, amount, is_folded, keys, offsets, facts, clicks, previews)
     SELECT kind, step, day, key, key, 1, true, ARRAY[key], offsets, facts, ARRAY[${CLICKS}], ARRAY[${CLICKS}]
     FROM generate_series(timestamp '${FIRST_DAY}', '${FIRST_DAY}'::timestamp + interval '3 days', '1 day') AS day,
          (VALUES ('l'::"char", 'D'::"char", 1::bigint, '{}'::smallint[], '{}'::text[]),
                  ('f', 'D', 0, '{}', '{ddesktop}'), ('t', 'q', 0, '{0}', '{}')) AS sum (kind, step, key, offsets, facts)`,
  );
  await database.query(
    `UPDATE stats_folds SET spans_to = ARRAY(SELECT timestamp '${FIRST_DAY}' FROM generate_series(1, 4))`,
  );
  while (await foldNext(client));
  const sums = `SELECT kind, step, clicks, previews FROM stats_slots WHERE step IN ('1', '4') ORDER BY kind, step`;
  const large = [String(4 * CLICKS)];
  const folded = ['f', 'l'].flatMap((kind) =>
    ['1', '4'].map((step) => ({ kind, step, clicks: large, previews: large })),
  );
  expect(await database.query(sums)).toEqual(folded);

  // What comes late lies beside them until it is merged.
  await database.query(
    `INSERT INTO stats_slots SELECT kind, step, slot, first_key, last_key, amount, false, keys, offsets, facts, clicks, previews
     FROM stats_slots WHERE kind = 'l' AND step = '4'`,
  );
  while (!(await mergeRows(client, 1)));
  const tops = `SELECT clicks, previews FROM stats_tops WHERE step = '4' AND slot = '${FIRST_DAY}'`;
  expect(await database.query(tops)).toEqual([
    { clicks: [String(8 * CLICKS)], previews: [String(8 * CLICKS)] },
  ]);
  const range = { from: Date.parse(FIRST_DAY), to: Date.parse(FIRST_DAY) + 256 * 86_400_000 };
  const input = { timezone: 'UTC', interval: 'month', by: ['code', 'device'], limit: 10, ...range };
  const found = await statsOperations.getStats.run(client, input as InputFor<'getStats'>, {} as never);
  if (!found.ok) throw new Error(JSON.stringify(found));
  expect(JSON.parse(String(found.body))).toMatchObject({
    by: {
      code: [{ value: 'c1', clicks: 8 * CLICKS, previews: 8 * CLICKS }],
      device: [{ value: 'desktop', clicks: 4 * CLICKS, previews: 4 * CLICKS }],
    },
  });
});
