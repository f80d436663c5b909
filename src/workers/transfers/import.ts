import { CsvError } from 'csv-parse';
import { CodedError } from '../../errors.js';
import type { FromTransfer, ImportRequest, TransferJob } from '../../messages/transfers.js';
import { errorCodeOf } from '../../postgres/failures.js';
import { describeError } from '../../runtime/describe-error.js';
import type { WorkerThread } from '../thread.js';
import type { Transfer } from './admission.js';
import { Arrivals } from './arrivals.js';
import { importLinkRows } from './import-links.js';
import { importUserRows } from './import-users.js';
import type { ImportWork } from './import-work.js';
import { Peer } from './peer.js';
import type { Spool } from './spool.js';
import { Upload } from './upload.js';

const SIGN_OF_LIFE_MS = 1000;

/**
 * Imports a multipart upload. An import in one transaction is spooled first, because no transaction may wait
 * for a client; other uploads are imported in batches as they arrive. Answers over the port.
 */
export async function importFromPort(thread: WorkerThread, job: TransferJob<ImportRequest>): Promise<void> {
  const { admission, spools, counters, config } = thread;
  const { request, client, port } = job;
  const peer = new Peer(port);
  const arrivals = new Arrivals(peer);
  const spool = spools.open();
  let transfer: Transfer | undefined;
  let timer: NodeJS.Timeout | undefined;
  try {
    const { TRANSFER_WAIT_MS: waitMs } = config;
    transfer = await admission.enter({ kind: 'import', client, waitMs, peer });
    counters.add('transfersActive');
    peer.send({ kind: 'begun' });
    // The gateway ends a transfer that shows no sign of life. Arriving bytes are one; the database's work is
    // silent.
    timer = setInterval(() => {
      if (!peer.pace.isWaiting) peer.send({ kind: 'credit', amount: 0 });
    }, SIGN_OF_LIFE_MS);
    const isWhole = request.operation === 'importUsers' || request.input.dry_run === true;
    const blocks = isWhole ? throughSpool(arrivals, spool) : arrivals.blocks();
    const upload = new Upload(request.contentType, blocks);
    const work = { thread, transfer, requestId: request.requestId, upload };
    peer.send({ kind: 'done', body: await perform(work, request) });
  } catch (error) {
    peer.send(failureOf(thread, request.requestId, error));
  } finally {
    clearInterval(timer);
    if (transfer !== undefined) counters.add('transfersActive', -1);
    transfer?.leave();
    port.close();
    await spool.close();
  }
}

/** The same blocks, beginning when the last has arrived. */
async function* throughSpool(arrivals: Arrivals, spool: Spool): AsyncGenerator<Buffer> {
  for await (const block of arrivals.blocks()) {
    if (!(await spool.write(block))) throw new CodedError('NO_SPACE');
  }
  for (let block = await spool.read(); block !== undefined; block = await spool.read())
    yield Buffer.from(block.buffer);
}

function perform(work: ImportWork, request: ImportRequest): Promise<string> {
  switch (request.operation) {
    case 'importUsers':
      return importUserRows(work);
    case 'importLinks':
      return importLinkRows(work, request);
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
  else log.warn({ request_id: requestId }, `an import was abandoned: ${message}`);
  return { kind: 'failed', error: code };
}
