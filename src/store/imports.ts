import { copyInto } from '../postgres/copy.js';
import { type Connection, inTransaction } from '../postgres/pool.js';

const SORT_MEMORY = '64MB';

/**
 * Imports users in bulk: COPY into a staging table, then one upsert, in one transaction. A username that
 * exists already, or comes again, gets the e-mail of its last row.
 * @param rows COPY's text form: position, username, email, created_at.
 * @returns the number of rows sent, repeated usernames included.
 */
export async function importUsers(
  connection: Connection,
  rows: AsyncIterable<string>,
  options: { readonly statementMs: number; readonly complete: Promise<void> },
): Promise<number> {
  return inTransaction(connection, async () => {
    await connection.query(`SET LOCAL statement_timeout = ${options.statementMs}`);
    // Lets the upsert sort a million names in memory rather than in files.
    await connection.query(`SET LOCAL work_mem = '${SORT_MEMORY}'`);
    await connection.query(
      `CREATE TEMPORARY TABLE staged_users (position bigint, username text, email text, created_at timestamp(3))
       ON COMMIT DROP`,
    );
    const count = await copyInto(connection, 'staged_users', rows);
    // The rest of the upload must arrive, and be valid, before anything is kept.
    await options.complete;
    // In the order of usernames: two imports of the same names then wait for each other and do not deadlock.
    await connection.query(
      `INSERT INTO users (username, email, created_at)
       SELECT DISTINCT ON (username COLLATE "C") username, email, coalesce(created_at, now() AT TIME ZONE 'utc')
       FROM staged_users
       ORDER BY username COLLATE "C", position DESC
       ON CONFLICT (username) DO UPDATE SET email = excluded.email
       WHERE users.email IS DISTINCT FROM excluded.email`,
    );
    return count;
  });
}
