import { sqlStateOf } from '../postgres/failures.js';
import { type Connection, inTransaction, rowsOf, type Statement } from '../postgres/pool.js';

/** A row of `users` as PostgreSQL's text. */
export type UserRow = readonly [id: string, username: string, email: string, createdAt: string];

export const userColumns = 'id, username, email, created_at';

const insertStatement: Statement = {
  name: 'user_insert',
  text: `INSERT INTO users (username, email, created_at) VALUES ($1, $2, $3)
         ON CONFLICT (username) DO NOTHING RETURNING ${userColumns}`,
};

const getStatement: Statement = {
  name: 'user_get',
  text: `SELECT ${userColumns} FROM users WHERE id = $1`,
};

const updateStatement: Statement = {
  name: 'user_update',
  text: `UPDATE users SET username = coalesce($2, username), email = coalesce($3, email)
         WHERE id = $1 RETURNING ${userColumns}`,
};

/** @returns the new row, or `undefined` when the username is taken. */
export async function insertUser(
  connection: Connection,
  user: { username: string; email: string; createdAt: string },
): Promise<UserRow | undefined> {
  const values = [user.username, user.email, user.createdAt];
  const [row] = await rowsOf<UserRow>(connection, insertStatement, values);
  return row;
}

export async function getUser(connection: Connection, id: string): Promise<UserRow | undefined> {
  const [row] = await rowsOf<UserRow>(connection, getStatement, [id]);
  return row;
}

/** @returns the changed row, `undefined` when there is none, `'taken'` when the username is. */
export async function updateUser(
  connection: Connection,
  id: string,
  change: { username?: string | undefined; email?: string | undefined },
): Promise<UserRow | undefined | 'taken'> {
  try {
    const values = [id, change.username ?? null, change.email ?? null];
    const [row] = await rowsOf<UserRow>(connection, updateStatement, values);
    return row;
  } catch (error) {
    // One statement, no transaction: the connection is as good as before.
    if (sqlStateOf(error) === '23505') return 'taken';
    throw error;
  }
}

/**
 * Deletes a user with their links, all events on those links and their own events, in the lock
 * order that all of the store keeps: user, links by id, events.
 * @returns the short codes of the deleted links, or `undefined` when there is no such user.
 */
export async function deleteUser(
  connection: Connection,
  id: string,
  statementMs: number,
): Promise<string[] | undefined> {
  return inTransaction(connection, async () => {
    await connection.query(`SET LOCAL statement_timeout = ${statementMs}`);
    const locked = await connection.query('SELECT FROM users WHERE id = $1 FOR UPDATE', [id]);
    if (locked.rowCount === 0) return undefined;
    await connection.query('SELECT FROM short_urls WHERE user_id = $1 ORDER BY id FOR UPDATE', [id]);
    const links = await connection.query<{ id: string; short_code: string }>(
      'DELETE FROM short_urls WHERE user_id = $1 RETURNING id, short_code',
      [id],
    );
    const linkIds = links.rows.map((row) => row.id);
    if (linkIds.length > 0) {
      await connection.query('DELETE FROM events WHERE url_id = ANY ($1::bigint[])', [linkIds]);
    }
    await deleteOwnEvents(connection, id);
    await connection.query('DELETE FROM users WHERE id = $1', [id]);
    return links.rows.map((row) => row.short_code);
  });
}

/** The user's events on the links of others; a click among them is taken off the link's counter. */
async function deleteOwnEvents(connection: Connection, userId: string): Promise<void> {
  // Links are locked before their events are touched, in id order, as everywhere.
  await connection.query(
    `SELECT FROM short_urls
     WHERE id IN (SELECT url_id FROM events WHERE user_id = $1 AND event_type = 'click')
     ORDER BY id FOR NO KEY UPDATE`,
    [userId],
  );
  await connection.query(
    `WITH gone AS (DELETE FROM events WHERE user_id = $1 RETURNING url_id, event_type),
          clicks AS (SELECT url_id, count(*) AS n FROM gone
                     WHERE event_type = 'click' AND url_id IS NOT NULL GROUP BY url_id)
     UPDATE short_urls SET click_count = click_count - n FROM clicks WHERE id = url_id`,
    [userId],
  );
}
