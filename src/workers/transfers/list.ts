import Cursor from 'pg-cursor';
import { CodedError } from '../../errors.js';
import type { FromTransfer, ListRequest, TransferJob } from '../../messages/transfers.js';
import { errorCodeOf } from '../../postgres/failures.js';
import { type Connection, inTransaction, textTypes } from '../../postgres/pool.js';
import { describeError } from '../../runtime/describe-error.js';
import { listText } from '../../store/list-text.js';
import type { ListSelect } from '../../store/lists.js';
import { findByConditions } from '../../store/search.js';
import { listOf } from '../calls/operations.js';
import { preparedInput } from '../calls/perform.js';
import type { WorkerThread } from '../thread.js';
import type { Transfer } from './admission.js';
import { Outlet } from './outlet.js';
import { Peer } from './peer.js';

const ROWS_A_READ = 500;
const CHUNK_CHARACTERS = 64 * 1024;
/** A transaction waits for its reader at most this long in total, or a quarter of a stall's limit. */
const MAX_WAIT_MS = 5000;

/**
 * Streams a list over the port in pieces. The transaction ends when the database has delivered all rows,
 * however slow the reader is.
 */
export async function listToPort(thread: WorkerThread, job: TransferJob<ListRequest>): Promise<void> {
  const { admission, spools, counters, log, config } = thread;
  const { request, client, port } = job;
  const peer = new Peer(port);
  const spool = spools.open();
  let transfer: Transfer | undefined;
  try {
    const { TRANSFER_WAIT_MS: waitMs, TRANSFER_STALL_MS: stallMs } = config;
    const outlet = new Outlet(peer, spool, Math.min(MAX_WAIT_MS, stallMs / 4));
    transfer = await admission.enter({ kind: 'list', client, waitMs, peer });
    counters.add('transfersActive');
    await readInto(thread, transfer, request, outlet);
    await outlet.drain();
    peer.send({ kind: 'end' });
  } catch (error) {
    if (!peer.isGone) {
      log.warn({ error, request_id: request.requestId }, `a list broke off: ${describeError(error)}`);
      peer.send(failedBy(error));
    }
  } finally {
    if (transfer !== undefined) counters.add('transfersActive', -1);
    transfer?.leave();
    port.close();
    await spool.close();
  }
}

async function readInto(
  { pool, standbyReads, config, counters }: WorkerThread,
  transfer: Transfer,
  request: ListRequest,
  outlet: Outlet,
): Promise<void> {
  const { TRANSFER_WAIT_MS: waitMs, TRANSFER_DEADLINE_MS: deadlineMs, CALL_DEADLINE_MS: callMs } = config;
  let hasBegun = false;
  const work = async (connection: Connection): Promise<void> => {
    const select = await selectOf(connection, request, callMs);
    await inTransaction(connection, async () => {
      await connection.query('SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY');
      const onRows = (rows: number): void => counters.add('listedRows', rows);
      for await (const piece of pieces(connection, request, select, onRows)) {
        hasBegun = true;
        await outlet.put(new TextEncoder().encode(piece), () => transfer.isPressed);
      }
    });
  };
  // A place for a connection to the primary counts for one to a standby too.
  await transfer.withConnection(waitMs, async () => {
    transfer.peer.send({ kind: 'begun' });
    const read = { deadlineMs, askMs: callMs, work, hasBegun: () => hasBegun };
    if ((await standbyReads?.read(read)) === undefined) await pool.runOnce(deadlineMs, work);
  });
}

function failedBy(error: unknown): FromTransfer {
  if (!(error instanceof CodedError)) return { kind: 'failed', error: errorCodeOf(error) };
  const { code, detail } = error;
  return detail === undefined ? { kind: 'failed', error: code } : { kind: 'failed', error: code, detail };
}

/** Prepares the list; it has been a while since it was found too long for a call. */
async function selectOf(
  connection: Connection,
  { operation: name, input, owner }: ListRequest,
  deadlineMs: number,
): Promise<ListSelect> {
  const operation = listOf(name);
  const prepared = await preparedInput(connection, operation, { ...input, owner }, deadlineMs);
  if (prepared === undefined) throw new CodedError('ORDER_UNDER_WAY');
  return operation.select(prepared);
}

/** The list in pieces of some 64 KiB. */
async function* pieces(
  connection: Connection,
  request: ListRequest,
  { text, values, isSearch }: ListSelect,
  onRows: (rows: number) => void,
): AsyncGenerator<string> {
  const operation = listOf(request.operation);
  if (isSearch === true) await findByConditions(connection);
  const cursor = connection.query(new Cursor(text, [...values], { rowMode: 'array', types: textTypes }));
  const form = listText(operation, request.input, request);
  let piece = form.head;
  let isFirst = true;
  try {
    for (;;) {
      const rows = (await cursor.read(ROWS_A_READ)) as (string | null)[][];
      for (const row of rows) {
        if (!isFirst) piece += form.separator;
        piece += form.row(row);
        isFirst = false;
        if (piece.length < CHUNK_CHARACTERS) continue;
        yield piece;
        piece = '';
      }
      onRows(rows.length);
      if (rows.length < ROWS_A_READ) break;
    }
  } finally {
    await cursor.close();
  }
  yield piece + form.tail;
}
