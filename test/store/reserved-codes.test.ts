import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { reservedWords } from '../../src/api/registry.js';
import { reservedLinks, reservedLinksNotice, spellings } from '../../src/store/reserved-codes.js';
import { createDatabase, type TestDatabase } from '../support/database/database.js';
import { startServer } from '../support/server/server.js';

let database: TestDatabase;
beforeAll(async () => {
  database = await createDatabase();
});
afterAll(() => database?.drop());

describe('links whose code is a reserved word', () => {
  it('are named when the server starts, and stay reachable', async () => {
    await database.query(
      `INSERT INTO short_urls (original_url, short_code)
       VALUES ('https://example.com/kept', 'aDmin'), ('https://example.com/shadowed', 'health'), ('https://example.com', 'other')`,
    );
    const server = await startServer({ DATABASE_URL: database.url });
    const lines = server.logs.filter(({ message }) => message.includes('reserved words'));
    expect(lines.map(({ message }) => message)).toEqual([
      'reserved words are codes of links that are there already: aDmin, health. They are reached by /urls/<code>/redirect',
    ]);
    for (const [code, path] of [
      ['aDmin', 'kept'],
      ['health', 'shadowed'],
    ]) {
      const response = await server.fetch(`/urls/${code}/redirect`, { redirect: 'manual' });
      expect([response.status, response.headers.get('location')]).toEqual([
        302,
        `https://example.com/${path}`,
      ]);
    }
    await server.stop();
  });

  it('are looked up by the index of codes, and named up to a bound', async () => {
    await database.query(
      `INSERT INTO short_urls (original_url, short_code)
       SELECT 'https://example.com', code FROM unnest($1::text[]) AS code ON CONFLICT DO NOTHING`,
      [spellings('events')],
    );
    const codes = await reservedLinks(database.client);
    expect(codes).toHaveLength(21);
    expect(reservedLinksNotice(codes)).toMatch(/ and others\. /);
    expect(reservedLinksNotice(codes)).not.toContain(codes[20]);
  });

  it('are looked for in every spelling of a short word, in few of a long one', () => {
    expect(spellings('api').sort()).toEqual(['API', 'APi', 'ApI', 'Api', 'aPI', 'aPi', 'apI', 'api']);
    expect(spellings('a-1')).toEqual(['a-1', 'A-1']);
    expect(spellings('apple-touch-icon.png')).toHaveLength(3);
    expect(reservedWords.flatMap(spellings).length).toBeLessThan(20_000);
  });
});
