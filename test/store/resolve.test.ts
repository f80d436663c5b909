import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { clientOptions } from '../../src/postgres/pool.js';
import { resolveCodes } from '../../src/store/resolve.js';
import { createDatabase, type TestDatabase } from '../support/database/database.js';

let database: TestDatabase;
let client: pg.Client;

beforeAll(async () => {
  database = await createDatabase();
  client = new pg.Client(clientOptions(database.address, 'test', 5000));
  await client.connect();
  await database.query(
    `INSERT INTO short_urls (short_code, original_url, is_chosen, is_active) VALUES
       ('spring', 'http://e.com/spring', true, true),
       ('Twice', 'http://e.com/1', true, true), ('TWICE', 'http://e.com/2', true, true),
       ('made42', 'http://e.com/made', false, true),
       ('paused', 'http://e.com/paused', true, false),
       ('Both', 'http://e.com/both', true, true), ('both', 'http://e.com/off', true, false),
       ('odd.', 'http://e.com/odd', false, true), ('odd', 'http://e.com/even', false, true)`,
  );
});

afterAll(async () => {
  await client?.end();
  await database?.drop();
});

describe('a code that is written otherwise', () => {
  it.each([
    ['spring', 'spring'],
    ['SPRING', 'spring'],
    ['spring.', 'spring'],
    [`Spring).'"`, 'spring'],
    ['made42', 'made42'],
    ['made42?!', 'made42'],
    ['MADE42', undefined],
    // Two match: none is meant for certain.
    ['twice', undefined],
    ['Twice', 'Twice'],
    // What exists is final, though it does not redirect.
    ['paused', undefined],
    ['Paused', undefined],
    ['both', undefined],
    ['BOTH', undefined],
    // A code that exists with punctuation is that code.
    ['odd.', 'odd.'],
    ['odd,', 'odd'],
    ['odd./', 'odd.'],
    ['odd,/', 'odd'],
    ['spring/', 'spring'],
    ['SPRING!/', 'spring'],
    ['paused/', undefined],
    ['spring//', undefined],
    ['/', undefined],
    ['spring-', undefined],
    ['', undefined],
    ['...', undefined],
    ['sprıng', undefined],
  ])('%j leads to %j', async (asked, found) => {
    const links = await resolveCodes(client, [asked, 'made42']);
    const indexOf = (code: string): number => links.asked.indexOf(code);
    expect(links.shortCode[indexOf(asked)]).toBe(found);
    expect(links.target[indexOf('made42')]).toBe('http://e.com/made');
  });

  it('is found among many in two statements', async () => {
    const codes = Array.from({ length: 500 }, (_, index) => `nobody${index}`).concat('SPRING', 'odd;');
    const links = await resolveCodes(client, codes);
    expect(links.asked.map((asked, index) => [asked, links.shortCode[index]])).toEqual(
      expect.arrayContaining([
        ['SPRING', 'spring'],
        ['odd;', 'odd'],
      ]),
    );
  });
});
