import { randomBytes } from 'node:crypto';
import { type ApiKey, coherenceNameOf, hashOfKey, KEY_PREFIX } from '../api/key-scopes.js';
import type { InputFor } from '../api/registry.js';
import type { OperationResult } from '../api/results.js';
import { formatTimestamp } from '../api/values.js';
import { type Connection, rowsOf, type Statement } from '../postgres/pool.js';
import { selectList } from './lists.js';
import { failed, type ListOperation, nothingToShow, type OperationContext } from './operation.js';
import { csvOf, Table } from './table.js';

const KEY_BYTES = 32;
/** The part of a key that is shown and kept, by which its owner recognises it. */
const SHOWN_CHARACTERS = KEY_PREFIX.length + 8;

const keys = new Table('api_keys', {
  id: { as: 'number' },
  name: { as: 'text' },
  prefix: { as: 'text' },
  scopes: { as: 'json', sql: 'array_to_json(scopes)' },
  user_id: { as: 'number', isNullable: true },
  created_at: { as: 'time' },
  last_used_at: { as: 'time', isNullable: true },
  expires_at: { as: 'time', isNullable: true },
});

/** Locks the user, to prevent a delete while their key is made. */
const insertStatement: Statement = {
  name: 'key_insert',
  text: `
    WITH owner AS (SELECT id FROM users WHERE id = $5 FOR KEY SHARE)
    INSERT INTO api_keys (name, prefix, key_hash, scopes, user_id, created_at, expires_at)
    SELECT $1, $2, decode($3, 'hex'), $4::text[], $5::bigint, $6::timestamp, $7::timestamp
    WHERE $5::bigint IS NULL OR EXISTS (SELECT FROM owner)
    RETURNING ${keys.columns}`,
};

const getStatement: Statement = {
  name: 'key_get',
  text: `SELECT ${keys.columns} FROM api_keys WHERE id = $1`,
};

const deleteStatement: Statement = {
  name: 'key_delete',
  text: `DELETE FROM api_keys WHERE id = $1 RETURNING encode(key_hash, 'hex')`,
};

const findStatement: Statement = {
  name: 'key_find',
  text: `SELECT id, array_to_json(scopes), user_id, floor(extract(epoch FROM expires_at) * 1000)::bigint
         FROM api_keys WHERE key_hash = decode($1, 'hex')`,
};

const noteUseStatement: Statement = {
  name: 'key_note_use',
  text: `UPDATE api_keys SET last_used_at = now() AT TIME ZONE 'utc'
         WHERE id = $1 AND coalesce(last_used_at < now() AT TIME ZONE 'utc' - interval '1 minute', true)`,
};

async function createKey(
  connection: Connection,
  { name, scopes, user_id, expires_at }: InputFor<'createKey'>,
  { invalidate }: OperationContext,
): Promise<OperationResult> {
  const key = KEY_PREFIX + randomBytes(KEY_BYTES).toString('base64url');
  const hash = hashOfKey(key);
  const [row] = await keys.rows(connection, insertStatement, [
    name,
    key.slice(0, SHOWN_CHARACTERS),
    hash,
    scopes,
    user_id,
    formatTimestamp(Date.now()),
    expires_at ?? null,
  ]);
  if (row === undefined) return failed('USER_NOT_FOUND');
  invalidate(coherenceNameOf(hash));
  const body = `${keys.json(row).slice(0, -1)},"key":${JSON.stringify(key)}}`;
  return { ok: true, body, id: keys.value(row, 'id') };
}

async function getKey(connection: Connection, { id }: InputFor<'getKey'>): Promise<OperationResult> {
  const [row] = await keys.rows(connection, getStatement, [id]);
  return row === undefined ? failed('KEY_NOT_FOUND') : { ok: true, body: keys.json(row) };
}

async function deleteKey(
  connection: Connection,
  { id }: InputFor<'deleteKey'>,
  { invalidate }: OperationContext,
): Promise<OperationResult> {
  const [row] = await rowsOf<[string]>(connection, deleteStatement, [id]);
  if (row === undefined) return failed('KEY_NOT_FOUND');
  invalidate(coherenceNameOf(row[0]));
  return nothingToShow;
}

const listKeys: ListOperation<InputFor<'listKeys'>> = {
  kind: 'list',
  json: (row) => keys.json(row),
  csv: csvOf(keys),
  select: (_, limit) => selectList(keys.columns, keys.name, 'id', {}, limit),
  page: () => undefined,
};

/** @returns an ApiKey as JSON; UNAUTHORIZED if no key has that hash. */
async function findKey(connection: Connection, { hash }: { hash: string }): Promise<OperationResult> {
  const [row] = await rowsOf<[string, string, string | null, string | null]>(connection, findStatement, [
    hash,
  ]);
  if (row === undefined) return failed('UNAUTHORIZED');
  const [id, scopes, owner, expiresAtMs] = row;
  const key: ApiKey = {
    id,
    scopes: JSON.parse(scopes) as string[],
    owner: owner ?? undefined,
    expiresAtMs: expiresAtMs === null ? undefined : Number(expiresAtMs),
  };
  return { ok: true, body: JSON.stringify(key) };
}

/** Records that a key was used; of several reports within a minute the first counts. */
async function noteKeyUse(connection: Connection, { id }: { id: string }): Promise<OperationResult> {
  await rowsOf(connection, noteUseStatement, [id]);
  return nothingToShow;
}

/** Whether a key exists that may create others. */
export async function hasAdminKey(connection: Connection): Promise<boolean> {
  const { rows } = await connection.query(
    `SELECT FROM api_keys WHERE 'admin' = ANY (scopes) AND user_id IS NULL
       AND (expires_at IS NULL OR expires_at > now() AT TIME ZONE 'utc') LIMIT 1`,
  );
  return rows.length > 0;
}

export const keyOperations = {
  createKey: { kind: 'write', run: createKey },
  getKey: { kind: 'read', run: getKey },
  deleteKey: { kind: 'write', run: deleteKey },
  listKeys,
} as const;

/** Calls that gateways make for themselves. */
export const keyLookups = {
  findKey: { kind: 'read', run: findKey },
  noteKeyUse: { kind: 'write', run: noteKeyUse },
} as const;
