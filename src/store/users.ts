import type { InputFor } from '../api/registry.js';
import type { OperationResult } from '../api/results.js';
import { formatTimestamp } from '../api/values.js';
import { sqlStateOf } from '../postgres/failures.js';
import { type Connection, inTransaction, type Statement } from '../postgres/pool.js';
import { deleteLockedLinks } from './deleted-links.js';
import { pageQuery } from './list-pages.js';
import { equals, type Listed, selectList } from './lists.js';
import { failed, type ListOperation, nothingToShow, type OperationContext } from './operation.js';
import { csvOf, Table } from './table.js';

const users = new Table('users', {
  id: { as: 'number' },
  username: { as: 'text' },
  email: { as: 'text' },
  created_at: { as: 'time' },
});

const insertStatement: Statement = {
  name: 'user_insert',
  text: `INSERT INTO users (username, email, created_at) VALUES ($1, $2, $3)
         ON CONFLICT (username) DO NOTHING RETURNING ${users.columns}`,
};

const getStatement: Statement = {
  name: 'user_get',
  text: `SELECT ${users.columns} FROM users WHERE id = $1`,
};

const updateStatement: Statement = {
  name: 'user_update',
  text: `UPDATE users SET username = coalesce($2, username), email = coalesce($3, email)
         WHERE id = $1 RETURNING ${users.columns}`,
};

async function createUser(
  connection: Connection,
  { username, email }: InputFor<'createUser'>,
): Promise<OperationResult> {
  const values = [username, email, formatTimestamp(Date.now())];
  const [row] = await users.rows(connection, insertStatement, values);
  if (row === undefined) return failed('USERNAME_EXISTS');
  return { ok: true, body: users.json(row), id: users.value(row, 'id') };
}

/** An owner sees only themselves. */
function isHidden(id: string, { owner }: OperationContext): boolean {
  return owner !== undefined && owner !== id;
}

async function getUser(
  connection: Connection,
  { id }: InputFor<'getUser'>,
  context: OperationContext,
): Promise<OperationResult> {
  if (isHidden(id, context)) return failed('USER_NOT_FOUND');
  const [row] = await users.rows(connection, getStatement, [id]);
  return row === undefined ? failed('USER_NOT_FOUND') : { ok: true, body: users.json(row) };
}

async function updateUser(
  connection: Connection,
  { id, username, email }: InputFor<'updateUser'>,
  context: OperationContext,
): Promise<OperationResult> {
  if (isHidden(id, context)) return failed('USER_NOT_FOUND');
  try {
    const [row] = await users.rows(connection, updateStatement, [id, username ?? null, email ?? null]);
    return row === undefined ? failed('USER_NOT_FOUND') : { ok: true, body: users.json(row) };
  } catch (error) {
    // One statement, no transaction: the connection is still good.
    if (sqlStateOf(error) === '23505') return failed('USERNAME_EXISTS');
    throw error;
  }
}

/**
 * Deletes a user with their links, all events on those links and their own events, in the lock order of the
 * whole store: user, links by id, events.
 */
async function deleteUser(
  connection: Connection,
  { id }: InputFor<'deleteUser'>,
  context: OperationContext,
): Promise<OperationResult> {
  if (isHidden(id, context)) return failed('USER_NOT_FOUND');
  const { deadlineMs, invalidate, noteChosenCode } = context;
  const gone = await inTransaction(connection, async () => {
    await connection.query(`SET LOCAL statement_timeout = ${Math.ceil(deadlineMs)}`);
    const locked = await connection.query('SELECT FROM users WHERE id = $1 FOR UPDATE', [id]);
    if (locked.rowCount === 0) return undefined;
    const links = await connection.query<{ id: string; short_code: string; is_chosen: string }>(
      'SELECT id, short_code, is_chosen FROM short_urls WHERE user_id = $1 ORDER BY id FOR UPDATE',
      [id],
    );
    const linkIds = links.rows.map((row) => row.id);
    await deleteLockedLinks(connection, linkIds);
    await deleteOwnEvents(connection, id, linkIds);
    await connection.query('DELETE FROM users WHERE id = $1', [id]);
    return links.rows;
  });
  if (gone === undefined) return failed('USER_NOT_FOUND');
  for (const link of gone) invalidate(link.short_code);
  if (gone.some((link) => link.is_chosen === 't')) noteChosenCode();
  return nothingToShow;
}

/** The user's events elsewhere than on their links; clicks on the links of others are subtracted from their counters. */
async function deleteOwnEvents(
  connection: Connection,
  userId: string,
  ownLinks: readonly string[],
): Promise<void> {
  const values = [userId, `{${ownLinks.join()}}`];
  // Events on the user's own links are gone, or hidden: there may be a great many.
  const isElsewhere = 'user_id = $1 AND (url_id = ANY ($2::bigint[])) IS NOT TRUE';
  const { rows } = await connection.query<{ url_id: string | null }>(
    `SELECT DISTINCT CASE WHEN event_type IN ('click', 'preview') THEN url_id END AS url_id FROM events WHERE ${isElsewhere}`,
    values,
  );
  if (rows.length === 0) return;
  // Lock links before touching their events, in id order, as everywhere.
  await connection.query(
    'SELECT FROM short_urls WHERE id = ANY ($1::bigint[]) ORDER BY id FOR NO KEY UPDATE',
    [rows.map((row) => row.url_id)],
  );
  await connection.query(
    `WITH gone AS (DELETE FROM events WHERE ${isElsewhere} RETURNING url_id, event_type),
          clicks AS (SELECT url_id, count(*) AS n FROM gone
                     WHERE event_type = 'click' AND url_id IS NOT NULL GROUP BY url_id)
     UPDATE short_urls SET click_count = click_count - n FROM clicks WHERE id = url_id`,
    values,
  );
}

const listUsers: ListOperation<Listed<InputFor<'listUsers'>>> = {
  kind: 'list',
  json: (row) => users.json(row),
  csv: csvOf(users),
  select: (input, limit) =>
    selectList(users.columns, users.name, 'id', input, limit, equals('id', input.owner)),
  page: (input) =>
    pageQuery('listUsers', input, {
      columns: users.columns,
      source: users.name,
      order: { direction: 'ASC' },
      rest: equals('id', input.owner),
      gatherable: true,
    }),
};

export const userOperations = {
  createUser: { kind: 'write', run: createUser },
  getUser: { kind: 'read', run: getUser },
  updateUser: { kind: 'write', run: updateUser },
  deleteUser: { kind: 'long', run: deleteUser },
  listUsers,
} as const;
