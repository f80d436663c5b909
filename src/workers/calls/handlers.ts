import { formatTimestamp } from '../../api/values.js';
import type { ErrorCode } from '../../errors.js';
import type { CallAnswer, CallRequest } from '../../messages/calls.js';
import type { Connection } from '../../postgres/pool.js';
import { deleteEvent, getEvent, insertEvent } from '../../store/events.js';
import { createUrls, deleteUrl, getUrl, type NewUrl, updateUrl } from '../../store/links.js';
import { listSql } from '../../store/lists.js';
import { eventJson, rowFormatter, urlJson, userJson } from '../../store/rows.js';
import { deleteUser, getUser, insertUser, updateUser } from '../../store/users.js';
import { makeShortCode } from './short-codes.js';

/** A whole list up to this length is one answer; a longer one is streamed. */
export const SHORT_LIST_ROWS = 500;

/** New codes are tried so often; a second time is needed once in millions of links. */
const CODE_ATTEMPTS = 5;

export interface CallContext {
  /** Milliseconds that the asker goes on waiting. */
  readonly deadlineMs: number;
  /** No gateway of this server may serve what it has of this code from now on. */
  readonly invalidate: (shortCode: string) => void;
}

/** Work whose length is the data's choice: a delete takes along whatever belongs to the row. */
export function isLong(request: CallRequest): boolean {
  return request.op === 'deleteUser' || request.op === 'deleteUrl';
}

/** Performs one call. What it throws is the database's doing; a client's mistake is an answer. */
export async function perform(
  connection: Connection,
  request: CallRequest,
  { deadlineMs, invalidate }: CallContext,
): Promise<CallAnswer> {
  switch (request.op) {
    case 'createUser': {
      const row = await insertUser(connection, { ...request, createdAt: formatTimestamp(Date.now()) });
      return row === undefined ? failed('USERNAME_EXISTS') : answered(userJson(row));
    }
    case 'getUser': {
      const row = await getUser(connection, request.id);
      return row === undefined ? failed('USER_NOT_FOUND') : answered(userJson(row));
    }
    case 'updateUser': {
      const row = await updateUser(connection, request.id, request);
      if (row === 'taken') return failed('USERNAME_EXISTS');
      return row === undefined ? failed('USER_NOT_FOUND') : answered(userJson(row));
    }
    case 'deleteUser': {
      const codes = await deleteUser(connection, request.id, Math.ceil(deadlineMs));
      for (const code of codes ?? []) invalidate(code);
      return codes === undefined ? failed('USER_NOT_FOUND') : answered('');
    }
    case 'createUrl': {
      const [answer] = await createLinks(connection, [request]);
      return answer ?? failed('INTERNAL');
    }
    case 'getUrl': {
      const row = await getUrl(connection, request.id);
      return row === undefined ? failed('URL_NOT_FOUND') : answered(urlJson(row));
    }
    case 'updateUrl': {
      const row = await updateUrl(connection, request.id, {
        ...request,
        updatedAt: formatTimestamp(Date.now()),
      });
      if (row === undefined) return failed('URL_NOT_FOUND');
      invalidate(row[2]);
      return answered(urlJson(row));
    }
    case 'deleteUrl': {
      const code = await deleteUrl(connection, request.id, Math.ceil(deadlineMs));
      if (code === undefined) return failed('URL_NOT_FOUND');
      invalidate(code);
      return answered('');
    }
    case 'createEvent': {
      const made = await insertEvent(connection, { ...request, timestamp: formatTimestamp(Date.now()) });
      if (made === 'no-link') return failed('URL_NOT_FOUND');
      return made === 'no-user' ? failed('USER_NOT_FOUND') : answered(eventJson(made));
    }
    case 'getEvent': {
      const row = await getEvent(connection, request.id);
      return row === undefined ? failed('EVENT_NOT_FOUND') : answered(eventJson(row));
    }
    case 'deleteEvent':
      return (await deleteEvent(connection, request.id)) ? answered('') : failed('EVENT_NOT_FOUND');
    case 'list':
      return list(connection, request);
    default:
      throw new Error(`no such call: ${String(request satisfies never)}`);
  }
}

/** Creates links together; the answers come in the order of the requests. */
export async function createLinks(
  connection: Connection,
  requests: readonly CallRequest[],
): Promise<CallAnswer[]> {
  const createdAt = formatTimestamp(Date.now());
  const answers: CallAnswer[] = requests.map(() => failed('UNAVAILABLE'));
  let open = requests.map((_, index) => index);
  for (let attempt = 0; attempt < CODE_ATTEMPTS && open.length > 0; attempt += 1) {
    const codes = distinctCodes(open.length);
    const urls = open.map((index, order) => newUrl(requests[index], codes[order] ?? '', createdAt));
    const rows = await createUrls(connection, urls);
    open = open.filter((index, order) => {
      const row = rows[order];
      if (row === undefined || row === 'taken') return true;
      answers[index] =
        row === 'no-user' ? failed('USER_NOT_FOUND') : { ok: true, body: urlJson(row), shortCode: row[2] };
      return false;
    });
  }
  return answers;
}

function newUrl(request: CallRequest | undefined, shortCode: string, createdAt: string): NewUrl {
  if (request?.op !== 'createUrl') throw new Error(`not a link to create: ${request?.op}`);
  const { userId, originalUrl, title } = request;
  return { userId, originalUrl, title, shortCode, createdAt };
}

function distinctCodes(count: number): string[] {
  const codes = new Set<string>();
  while (codes.size < count) codes.add(makeShortCode());
  return [...codes];
}

async function list(
  connection: Connection,
  { query, page }: Extract<CallRequest, { op: 'list' }>,
): Promise<CallAnswer> {
  const { text, values } = listSql(query, page ?? { limit: SHORT_LIST_ROWS + 1, offset: 0 });
  const { rows } = await connection.query<(string | null)[]>({ text, values, rowMode: 'array' });
  if (page === undefined && rows.length > SHORT_LIST_ROWS) return { ok: false, error: 'TOO_LONG' };
  return answered(`[${rows.map(rowFormatter(query.of)).join(',')}]`);
}

function answered(body: string): CallAnswer {
  return { ok: true, body };
}

function failed(error: ErrorCode): CallAnswer {
  return { ok: false, error };
}
