import type { InputFor } from '../api/registry.js';
import type { OperationResult } from '../api/results.js';
import { type Connection, inTransaction, type Statement } from '../postgres/pool.js';
import { deleteLinks, updateLinks } from './bulk-change.js';
import { createLinks } from './bulk-create.js';
import { deleteLockedLinks } from './deleted-links.js';
import { createLink } from './link-create.js';
import { listLinks } from './link-lists.js';
import { drawQr } from './link-qr.js';
import { linkJson, links } from './link-table.js';
import { updateLink } from './link-update.js';
import { failed, nothingToShow, type OperationContext } from './operation.js';

const getStatement: Statement = {
  name: 'link_get',
  text: `SELECT ${links.columns} FROM short_urls WHERE id = $1 AND ($2::bigint IS NULL OR user_id = $2)`,
};

async function getLink(
  connection: Connection,
  { id }: InputFor<'getLink'>,
  { origin, owner }: OperationContext,
): Promise<OperationResult> {
  const [row] = await links.rows(connection, getStatement, [id, owner ?? null]);
  return row === undefined ? failed('URL_NOT_FOUND') : { ok: true, body: linkJson(row, origin) };
}

/** Deletes a link with its events. */
async function deleteLink(
  connection: Connection,
  { id }: InputFor<'deleteLink'>,
  { deadlineMs, invalidate, noteChosenCode, owner }: OperationContext,
): Promise<OperationResult> {
  const link = await inTransaction(connection, async () => {
    await connection.query(`SET LOCAL statement_timeout = ${Math.ceil(deadlineMs)}`);
    const locked = await connection.query<{ short_code: string; is_chosen: string }>(
      `SELECT short_code, is_chosen FROM short_urls WHERE id = $1 AND ($2::bigint IS NULL OR user_id = $2) FOR UPDATE`,
      [id, owner ?? null],
    );
    const [row] = locked.rows;
    if (row === undefined) return undefined;
    await deleteLockedLinks(connection, [id]);
    return row;
  });
  if (link === undefined) return failed('URL_NOT_FOUND');
  invalidate(link.short_code);
  if (link.is_chosen === 't') noteChosenCode();
  return nothingToShow;
}

export const linkOperations = {
  createLink,
  getLink: { kind: 'read', run: getLink },
  updateLink: { kind: 'write', run: updateLink },
  deleteLink: { kind: 'long', run: deleteLink },
  createLinks: { kind: 'long', run: createLinks },
  updateLinks: { kind: 'long', run: updateLinks },
  deleteLinks: { kind: 'long', run: deleteLinks },
  listLinks,
  drawQr,
} as const;
