import type { FileResult } from '../../api/results.js';
import type { Status } from '../../api/statuses.js';
import type { Exchange, Headers } from './exchange.js';

/** Answers with a file, or with a 304. Clients must revalidate it each time. */
export function answerFile(exchange: Exchange, status: Status, file: FileResult, more: Headers): void {
  const headers: Headers = [['ETag', file.tag], ['Cache-Control', 'private, no-cache'], ...more];
  if (file.content === undefined) exchange.notModified(headers);
  else exchange.text(status, file.contentType, file.content, headers);
}
