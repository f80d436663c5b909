import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { clientOptions } from '../../src/postgres/pool.js';
import type { NewLinkItem } from '../../src/store/link-create.js';
import { insertLinks } from '../../src/store/link-create.js';
import { insertPlainLinks, isPlain } from '../../src/store/plain-links.js';
import { createDatabase, type TestDatabase } from '../support/database/database.js';

let database: TestDatabase;
let client: pg.Client;

beforeAll(async () => {
  database = await createDatabase();
  client = new pg.Client(clientOptions(database.address, 'test', 5000));
  await client.connect();
});

afterAll(async () => {
  await client?.end();
  await database?.drop();
});

const invalidated: string[] = [];

function itemOf(input: Partial<NewLinkItem['input']>, redirectStatus = 302): NewLinkItem {
  return {
    input: {
      original_url: 'https://e.com/',
      user_id: null,
      answer: 'short',
      ...input,
    } as NewLinkItem['input'],
    context: {
      requestId: 'r',
      deadlineMs: 1000,
      origin: 'http://s.io',
      knownTags: '',
      invalidate: (code) => invalidated.push(code),
      noteChosenCode: () => undefined,
      links: { codeLength: 6, redirectStatus, isBlocked: () => false },
    },
  };
}

const targets = [
  'https://e.com/"\\{}',
  'https://e.com/路\u{1F600}\u2028',
  'https://e.com/,NULL',
  'https://e.com/a\'b"',
];

describe('a link that says no more than where it leads', () => {
  it('is what it is when another way makes it, with the same event', async () => {
    const plain = await insertLinks(
      client,
      targets.map((original_url) => itemOf({ original_url })),
    );
    // One that says more takes all of them the other way.
    const [, ...others] = await insertLinks(client, [
      itemOf({ title: 'more' }),
      ...targets.map((original_url) => itemOf({ original_url })),
    ]);
    const rowsOf = async (results: typeof plain): Promise<unknown[]> => {
      const ids = results.map((result) => (result !== 'again' && result.ok ? result.id : undefined));
      const { rows } = await client.query<Record<string, unknown>>(
        `SELECT row_to_json(short_urls) AS link, row_to_json(events) AS event
         FROM unnest($1::bigint[]) WITH ORDINALITY AS asked (id, place)
         JOIN short_urls USING (id) JOIN events ON url_id = short_urls.id ORDER BY place`,
        [ids],
      );
      return rows.map(({ link, event }) => {
        const { id, short_code, created_at, updated_at, ...alike } = JSON.parse(link as string) as Record<
          string,
          unknown
        >;
        const {
          id: _,
          url_id,
          timestamp,
          details,
          ...eventAlike
        } = JSON.parse(event as string) as Record<string, unknown>;
        expect([updated_at, timestamp]).toEqual([created_at, created_at]);
        expect([url_id, details]).toEqual([
          id,
          { short_code, original_url: link === null ? null : alike.original_url },
        ]);
        return { alike, eventAlike };
      });
    };
    expect(await rowsOf(plain)).toHaveLength(targets.length);
    expect(await rowsOf(plain)).toEqual(await rowsOf(others));
    for (const [index, result] of plain.entries()) {
      if (result === 'again' || !result.ok) throw new Error('not made');
      expect(JSON.parse(result.body)).toEqual({
        short_code: result.shortCode,
        short_url: `http://s.io/${result.shortCode}`,
        original_url: targets[index],
        id: Number(result.id),
      });
      expect(invalidated).toContain(result.shortCode);
    }
  });

  it('is left out where its code is taken, without an event', async () => {
    const first = await insertPlainLinks(client, ['https://e.com/1'], ['taken1'], '2026-01-01 00:00:00.000');
    const made = await insertPlainLinks(
      client,
      ['https://e.com/2', 'https://e.com/3'],
      ['taken1', 'free01'],
      '2026-01-01 00:00:00.000',
    );
    expect([...made.keys()]).toEqual(['free01']);
    const { rows } = await client.query<{ count: string }>(
      `SELECT count(*) FROM events WHERE url_id = ANY ($1::bigint[])`,
      [[...first.values(), ...made.values()]],
    );
    expect(rows[0]?.count).toBe('2');
    expect(await insertPlainLinks(client, ['https://e.com/2'], ['taken1'], '2026-01-01')).toEqual(new Map());
  });

  it('is not one with a line break, which would give another its target', async () => {
    await expect(insertPlainLinks(client, ['https://e.com/\n'], ['broken'], '2026-01-01')).rejects.toThrow(
      'line break',
    );
  });

  it('is none that says more, or wants to hear more', () => {
    expect(
      isPlain(itemOf({ title: '', is_active: true, tags: [], redirect_status: 302, max_clicks: null })),
    ).toBe(true);
    expect(isPlain(itemOf({}, 301))).toBe(false);
    for (const more of [
      { answer: 'link' },
      { user_id: '1' },
      { short_code: 'mine' },
      { is_active: false },
      { title: 't' },
      { password: 'p' },
      { tags: ['t'] },
      { redirect_status: 307 },
      { expires_at: '2030-01-01 00:00:00.000' },
    ] as Partial<NewLinkItem['input']>[])
      expect(isPlain(itemOf(more)), JSON.stringify(more)).toBe(false);
  });
});
