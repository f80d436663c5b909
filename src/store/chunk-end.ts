import { type Connection, inTransaction, rowsOf, type Statement } from '../postgres/pool.js';
import { isLocked, isTrue } from './retention-chunks.js';

/** Ends the hot chunk before all its ids are given, so that its clicks can go (`click-chunks.ts`). */

/** Those who add events meanwhile wait so long at most. */
const LOCK_WAIT = '200ms';

export interface NewestChunk {
  readonly name: string;
  /** The first id that is not the chunk's. */
  readonly endId: string;
  readonly bytes: number;
  /** Where the ids go on that follow, if only the reserve has them: the last one that is not the reserve's. */
  readonly reserveEnd: string | null;
}

type Values = readonly [name: string, endId: string, bytes: string, reserveEnd: string | null];

const newestStatement: Statement = {
  name: 'chunk_end_newest',
  text: `SELECT hot.name, hot.end_id, pg_relation_size(to_regclass(quote_ident(hot.name))),
                CASE WHEN following.name LIKE 'events_reserve_%' THEN following.end_id END
         FROM events_id_seq JOIN event_chunks() AS hot ON hot.first_id <= last_value AND hot.end_id > last_value
           JOIN event_chunks() AS following ON following.first_id = hot.end_id`,
};

/** The chunk that gets the next events, if another one follows it. */
export async function newestChunk(connection: Connection): Promise<NewestChunk | undefined> {
  const [values] = await rowsOf<Values>(connection, newestStatement);
  if (values === undefined) return undefined;
  const [name, endId, bytes, reserveEnd] = values;
  return { name, endId, bytes: Number(bytes), reserveEnd };
}

/**
 * Lets ids go on behind a chunk, if it has clicks. Nobody can be given one of its ids later: an ALTER SEQUENCE waits for all who
 * were given ids and are not done, and keeps others from new ones until the transaction ends.
 * @returns whether it is over: not so if somebody adds events all the time, and the chunk is filled by them.
 */
export async function endChunk(
  connection: Connection,
  { name, endId, reserveEnd }: NewestChunk,
): Promise<boolean> {
  if (!(await isTrue(connection, `EXISTS (SELECT FROM "${name}" WHERE event_type IN ('click', 'preview'))`)))
    return false;
  if (reserveEnd !== null) {
    // Behind the reserve, which is for statements that bring very many rows.
    await connection.query('SELECT make_event_chunks($1)', [reserveEnd]);
    return true;
  }
  try {
    return await inTransaction(connection, async () => {
      await connection.query(`SET LOCAL lock_timeout = '${LOCK_WAIT}'`);
      // It changes nothing.
      await connection.query('ALTER SEQUENCE events_id_seq NO CYCLE');
      await connection.query(
        `SELECT setval('events_id_seq', $1::bigint, false) FROM events_id_seq WHERE last_value < $1::bigint`,
        [endId],
      );
      return true;
    });
  } catch (error) {
    if (isLocked(error)) return false;
    throw error;
  }
}
