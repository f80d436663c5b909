import fc from 'fast-check';
import pg from 'pg';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { encodeCursor } from '../../src/api/cursors.js';
import type { InputFor } from '../../src/api/registry.js';
import { clientOptions } from '../../src/postgres/pool.js';
import { renewClickOrder } from '../../src/store/click-order.js';
import { listLinks } from '../../src/store/link-lists.js';
import { type Page, readPage } from '../../src/store/list-pages.js';
import { createDatabase, type TestDatabase } from '../support/database/database.js';

const ORDER_LOCK = 0x5357_0004;
const LIMIT = 20;

let database: TestDatabase;
let client: pg.Client;

beforeEach(async () => {
  database = await createDatabase();
  client = new pg.Client(clientOptions(database.address, 'test', 5000));
  await client.connect();
  await database.query(
    `INSERT INTO short_urls (original_url, short_code, click_count, is_active, tags)
     SELECT 'https://example.com/' || n, 'c' || n, n % 7, n % 2 = 0, CASE n % 3 WHEN 0 THEN '{rare}'::text[] ELSE '{}' END
     FROM generate_series(1, 60) AS n`,
  );
});

afterEach(async () => {
  await client.end();
  await database.drop();
});

type Filter = Pick<InputFor<'listLinks'>, 'tag' | 'is_active' | 'q'>;

/** A page as a call reads it: by the copy, or by the counters where that is behind. */
async function read(
  asked: Partial<Filter> & Pick<InputFor<'listLinks'>, 'sort'>,
  after: string | undefined,
): Promise<Page & { readonly digest: string; readonly isCopyBehind: boolean }> {
  const all = { page: undefined, per_page: undefined, user_id: undefined, is_active: undefined };
  const input = { ...all, tags: 'all' as const, limit: LIMIT, after, ...asked };
  const prepared = (await listLinks.prepare?.(client, input, 1)) as { readonly isCopyBehind: boolean };
  const query = listLinks.page({ ...input, ...prepared });
  if (query === undefined) throw new Error('no page was asked for');
  const page = await readPage(client, query);
  if (page === undefined) throw new Error('the cursor is of another list');
  return { ...page, ...prepared, digest: query.digest };
}

const filters = fc.constantFrom<readonly [asked: Partial<Filter>, where: string]>(
  [{}, 'true'],
  [{ tag: ['rare'] }, `tags @> '{rare}'`],
  [{ is_active: false }, 'NOT is_active'],
  [{ q: 'example.com/1' }, `original_url LIKE '%example.com/1%'`],
);
/** Links that are clicked before a page, or a renewal of the copy. */
const steps = fc.array(
  fc.oneof(fc.array(fc.integer({ min: 1, max: 60 }), { maxLength: 12 }), fc.constant('renewal' as const)),
  { maxLength: 4 },
);

it('pages by clicks are exact where the copy is behind, and go on by the copy once that is renewed', async () => {
  await fc.assert(
    fc.asyncProperty(filters, fc.boolean(), steps, async ([asked, where], isDescending, history) => {
      const idsInOrder = async (condition: string): Promise<string[]> => {
        const direction = isDescending ? 'DESC' : 'ASC';
        const rows = await database.query<{ id: string }>(
          `SELECT id FROM short_urls WHERE ${condition} ORDER BY click_count ${direction}, id ${direction}`,
        );
        return rows.map(({ id }) => id);
      };
      const clicked = new Set<string>();
      const seen: string[] = [];
      // As another server holds it that renews the copy.
      await database.query('SELECT pg_advisory_lock($1)', [ORDER_LOCK]);
      await database.query(
        `UPDATE link_click_order SET renewed_at = now() AT TIME ZONE 'utc' - interval '1 hour'`,
      );
      let isBehind = true;
      for (let after: string | undefined, beyond = 'true', pages = 0; ; pages += 1) {
        const step = history[pages] ?? [];
        if (step === 'renewal') {
          await database.query('SELECT pg_advisory_unlock_all()');
          expect(await renewClickOrder(client, 5000)).toBe('ready');
          isBehind = false;
        } else {
          for (const id of step) clicked.add(String(id));
          await database.query('UPDATE short_urls SET click_count = click_count + 5 WHERE id = ANY ($1)', [
            step,
          ]);
        }
        const { rows, next, digest, isCopyBehind } = await read(
          { sort: isDescending ? '-click_count' : 'click_count', ...asked },
          after,
        );
        expect(isCopyBehind).toBe(isBehind);
        const ids = rows.map((row) => row.at(-1) ?? '');
        if (isBehind) expect(ids).toEqual((await idsInOrder(`${where} AND ${beyond}`)).slice(0, LIMIT));
        seen.push(...ids);
        if (next === undefined) break;
        after = encodeCursor(digest, next);
        beyond = `(click_count, id) ${isDescending ? '<' : '>'} (${next.key}, ${next.id})`;
      }
      await database.query('SELECT pg_advisory_unlock_all()');
      const isStill = (id: string): boolean => !clicked.has(id);
      expect(seen.filter(isStill)).toEqual((await idsInOrder(where)).filter(isStill));
    }),
    { numRuns: 15 },
  );
});
