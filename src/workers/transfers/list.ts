import type { MessagePort } from 'node:worker_threads';
import Cursor from 'pg-cursor';
import type { FromTransfer, ListRequest, ToTransfer } from '../../messages/transfers.js';
import { errorCodeOf } from '../../postgres/failures.js';
import { type Connection, inTransaction, textTypes } from '../../postgres/pool.js';
import { describeError } from '../../runtime/describe-error.js';
import { listText } from '../../store/list-text.js';
import { findByConditions } from '../../store/search.js';
import { listOf } from '../calls/operations.js';
import type { WorkerThread } from '../thread.js';

export interface ListJob {
  readonly request: ListRequest;
  readonly port: MessagePort;
}

const ROWS_A_READ = 500;
const CHUNK_CHARACTERS = 64 * 1024;

/** The reader is gone: there is nobody to tell. */
class ReaderGone extends Error {
  override readonly name = 'ReaderGone';
}

/**
 * Streams a list over the port in pieces, read off a cursor no faster than the
 * reader grants credits.
 */
export async function listToPort(
  { pool, config, counters, log }: WorkerThread,
  { request, port }: ListJob,
): Promise<void> {
  const credits = new Credits(port);
  const send = (message: FromTransfer): void => port.postMessage(message);
  counters.add('transfersActive');
  try {
    await pool.runOnce(config.TRANSFER_DEADLINE_MS, (connection) =>
      inTransaction(connection, async () => {
        await connection.query('SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY');
        for await (const piece of pieces(connection, request, (rows) => counters.add('listedRows', rows))) {
          await credits.take();
          const bytes = new TextEncoder().encode(piece).buffer;
          port.postMessage({ kind: 'chunk', bytes } satisfies FromTransfer, [bytes]);
        }
      }),
    );
    send({ kind: 'end' });
  } catch (error) {
    if (!(error instanceof ReaderGone)) {
      log.warn({ error, request_id: request.requestId }, `a list broke off: ${describeError(error)}`);
      send({ kind: 'failed', error: errorCodeOf(error) });
    }
  } finally {
    counters.add('transfersActive', -1);
    port.close();
  }
}

/** The list in pieces of some 64 KiB. */
async function* pieces(
  connection: Connection,
  request: ListJob['request'],
  onRows: (rows: number) => void,
): AsyncGenerator<string> {
  const operation = listOf(request.operation);
  const { text, values, isSearch } = operation.select({ ...request.input, owner: request.owner });
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

/** Leave to send, granted by the reader. */
class Credits {
  #amount = 0;
  #isGone = false;
  #wake: (() => void) | undefined;

  constructor(port: MessagePort) {
    port.on('message', (message: ToTransfer) => {
      if (message.kind === 'credit') this.#amount += message.amount;
      this.#wake?.();
    });
    port.on('close', () => {
      this.#isGone = true;
      this.#wake?.();
    });
  }

  /** @throws ReaderGone */
  async take(): Promise<void> {
    while (this.#amount === 0 && !this.#isGone) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    if (this.#isGone) throw new ReaderGone();
    this.#amount -= 1;
  }
}
