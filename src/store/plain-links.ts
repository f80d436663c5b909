import type { InputFor } from '../api/registry.js';
import { type Connection, rowsOf, type Statement } from '../postgres/pool.js';
import { storedOptions } from './link-columns.js';
import type { BatchItem } from './operation.js';

interface NewLinkItem extends BatchItem<InputFor<'createLink'>> {
  readonly passwordHash?: string | undefined;
}

/**
 * Many links that say no more than where they lead, with their `created` events: what most are. All that is not
 * given is the table's to say, an event is made of what was inserted, and nothing is joined. Targets come a line each,
 * codes a word each. One whose code is taken is left out.
 * @returns a code and an id, and so on.
 */
const plainStatement: Statement = {
  name: 'links_create_plain',
  text: `
    WITH made AS (
      INSERT INTO short_urls (original_url, short_code, created_at, updated_at)
      SELECT url, code, $3::timestamp, $3::timestamp
      FROM unnest(string_to_array($1, E'\\n'), string_to_array($2, ' ')) AS input (url, code)
      ORDER BY code
      ON CONFLICT (short_code) DO NOTHING
      RETURNING id, short_code, original_url
    ), logged AS (
      INSERT INTO events (url_id, event_type, "timestamp", details)
      SELECT id, 'created', $3::timestamp,
        concat('{"short_code":', to_json(short_code), ',"original_url":', to_json(original_url), '}')::json
      FROM made
    )
    SELECT string_agg(concat(short_code, ' ', id), ' ') FROM made`,
};

/** Whether a link says no more than where it leads, and is to be answered with no more than its code and its id. */
export function isPlain({ input, passwordHash, context }: NewLinkItem): boolean {
  return (
    input.answer !== 'link' &&
    input.user_id === null &&
    input.short_code === undefined &&
    input.is_active !== false &&
    (input.title ?? '') === '' &&
    (input.password ?? '') === '' &&
    passwordHash === undefined &&
    storedOptions(input, undefined, context.links.redirectStatus) === null
  );
}

/**
 * @param targets Without line breaks, as every target is that may be stored.
 * @param codes Made here: letters and digits.
 * @returns the ids of those that were made, by their codes.
 */
export async function insertPlainLinks(
  connection: Connection,
  targets: readonly string[],
  codes: readonly string[],
  createdAt: string,
): Promise<Map<string, string>> {
  // One that had would give its neighbours' codes to others.
  if (targets.some((target) => target.includes('\n'))) throw new Error('a target with a line break');
  const [row] = await rowsOf<readonly [made: string | null]>(connection, plainStatement, [
    targets.join('\n'),
    codes.join(' '),
    createdAt,
  ]);
  const words = row?.[0]?.split(' ') ?? [];
  const ids = new Map<string, string>();
  for (let word = 0; word < words.length; word += 2)
    ids.set(words[word] as string, words[word + 1] as string);
  return ids;
}
