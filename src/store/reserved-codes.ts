import { reservedWords } from '../api/registry.js';
import type { Connection } from '../postgres/pool.js';

/** Maximum number of codes to name. */
const MAX_NAMED = 20;
/** Of a longer word, only a few spellings are looked up. */
const MAX_LETTERS = 10;

/**
 * Links whose code is a reserved word in any letter case, as after an upgrade that reserved it. The index of
 * codes finds each spelling: some thousand look-ups, however many links there are.
 * @returns their codes, at most `MAX_NAMED` plus one.
 */
export async function reservedLinks(connection: Connection): Promise<string[]> {
  const { rows } = await connection.query<{ short_code: string }>(
    `SELECT short_code FROM short_urls WHERE short_code = ANY ($1::text[]) ORDER BY short_code LIMIT ${MAX_NAMED + 1}`,
    [reservedWords.flatMap(spellings)],
  );
  return rows.map(({ short_code: code }) => code);
}

/** The log line about them. */
export function reservedLinksNotice(codes: readonly string[]): string {
  const named = codes.slice(0, MAX_NAMED);
  const more = codes.length > named.length ? ' and others' : '';
  return `reserved words are codes of links that are there already: ${named.join(', ')}${more}. They are reached by /urls/<code>/redirect`;
}

/** The spellings of a lower-case word. */
export function spellings(word: string): string[] {
  const letters = [...word].filter((letter) => letter !== letter.toUpperCase()).length;
  if (letters > MAX_LETTERS)
    return [...new Set([word, word.toUpperCase(), word.slice(0, 1).toUpperCase() + word.slice(1)])];
  return [...word].reduce(
    (starts, letter) =>
      [...new Set([letter, letter.toUpperCase()])].flatMap((next) => starts.map((start) => start + next)),
    [''],
  );
}
