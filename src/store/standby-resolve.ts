import { type Connection, rowsOf, type Statement } from '../postgres/pool.js';
import { lastOf, latestMark, proofOf } from './primary-marks.js';
import { linkLines } from './resolve.js';
import { isOnTimeline, type Primacy } from './standby-position.js';

/** Links of a standby, and how far its snapshot goes. */
export interface StandbyLinks {
  /** The latest proof in it. */
  readonly proof: number;
  /** As of `ResolvedLinks`. */
  readonly text: string;
  readonly databaseId: string | null;
}

/** One statement, and therefore one snapshot: the mark says what it has, and the links are of it. */
const statement: Statement = {
  name: 'standby_resolve',
  text: `
    SELECT pg_is_in_recovery(), CASE WHEN ${isOnTimeline('$4')} THEN ${latestMark('$2', '$3')} END,
           (SELECT string_agg(${linkLines()}, E'\\n') FROM short_urls
            WHERE short_code = ANY (string_to_array($1, E'\\n')) AND is_active),
           (SELECT id FROM switchyard_database)`,
};

type Row = readonly [isStandby: string, mark: string | null, links: string | null, databaseId: string | null];

/**
 * The active links of these codes on a standby.
 * @param codes One a line.
 * @returns `behind` without the primary's mark; `promoted` if it is no standby, and goes another way.
 */
export async function resolveOnStandby(
  connection: Connection,
  codes: string,
  { mark, timeline }: Primacy,
): Promise<StandbyLinks | 'behind' | 'promoted'> {
  const [row] = await rowsOf<Row>(connection, statement, [codes, mark, lastOf(mark), timeline]);
  if (row === undefined) throw new Error('a SELECT without a row');
  const [isStandby, found, text, databaseId] = row;
  if (isStandby !== 't') return 'promoted';
  return found === null ? 'behind' : { proof: proofOf(found), text: text ?? '', databaseId };
}
