import type { MessagePort } from 'node:worker_threads';
import { CsvError } from 'csv-parse';
import { CodedError } from '../../errors.js';
import type { FromTransfer, ImportRequest } from '../../messages/transfers.js';
import { errorCodeOf } from '../../postgres/failures.js';
import { describeError } from '../../runtime/describe-error.js';
import type { WorkerThread } from '../thread.js';
import { importLinkRows } from './import-links.js';
import { importUserRows } from './import-users.js';
import { Upload } from './upload.js';

export interface ImportJob {
  readonly request: ImportRequest;
  readonly port: MessagePort;
}

const SIGN_OF_LIFE_MS = 1000;

/**
 * Imports a multipart upload as it arrives: parts, text, records, rows of the database, each waiting for the
 * next, so that memory does not grow with the file. Answers over the port.
 */
export async function importFromPort(thread: WorkerThread, { request, port }: ImportJob): Promise<void> {
  const send = (message: FromTransfer): void => port.postMessage(message);
  thread.counters.add('transfersActive');
  let isReceived = false;
  // The gateway ends a transfer that shows no sign of life. What comes in does; what the database is asked for
  // is silent work.
  const timer = setInterval(() => {
    if (isReceived) send({ kind: 'credit', amount: 0 });
  }, SIGN_OF_LIFE_MS);
  try {
    const upload = new Upload(request.contentType, port);
    upload.complete.then(
      () => {
        isReceived = true;
      },
      () => undefined,
    );
    send({ kind: 'done', body: await perform(thread, request, upload, send) });
  } catch (error) {
    send(failureOf(thread, request.requestId, error));
  } finally {
    clearInterval(timer);
    thread.counters.add('transfersActive', -1);
    port.close();
  }
}

function perform(
  thread: WorkerThread,
  request: ImportRequest,
  upload: Upload,
  send: (message: FromTransfer) => void,
): Promise<string> {
  switch (request.operation) {
    case 'importUsers':
      return importUserRows(thread, request.requestId, upload);
    case 'importLinks':
      return importLinkRows(thread, request, upload, () => send({ kind: 'credit', amount: 0 }));
    default:
      throw new Error(`no such import: ${JSON.stringify(request satisfies never)}`);
  }
}

function failureOf({ log }: WorkerThread, requestId: string, error: unknown): FromTransfer {
  if (error instanceof CodedError)
    return error.detail === undefined
      ? { kind: 'failed', error: error.code }
      : { kind: 'failed', error: error.code, detail: error.detail };
  if (error instanceof CsvError) return { kind: 'failed', error: 'INVALID_CSV', detail: error.message };
  const code = errorCodeOf(error);
  const message = describeError(error);
  if (code === 'INTERNAL') log.error({ error, request_id: requestId }, `an import failed: ${message}`);
  else log.warn({ request_id: requestId }, `an import was given up: ${message}`);
  return { kind: 'failed', error: code };
}
