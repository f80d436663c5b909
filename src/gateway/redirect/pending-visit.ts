import type { HttpRequest } from 'uWebSockets.js';
import type { Visit } from '../../journal/recorder.js';
import type { Body } from '../http/body-reader.js';
import type { Exchange } from '../http/exchange.js';
import { headerBytes } from '../http/header-bytes.js';

/** A request for a link that is not answered in its handler, with everything on which its answer may depend. */
export interface PendingVisit {
  readonly exchange: Exchange;
  /** What to note about the visit, if anything. */
  readonly noted: Visit | undefined;
  /** Prefetched by a browser, before anyone has followed the link: no click. */
  readonly isPrefetch: boolean;
  /** A form's body, if one was sent and the link may have a password. */
  readonly form: Promise<Body> | undefined;
  /** The code to show instead of following it: a `+` came after it. */
  readonly previewCode: string | undefined;
  /** How it gave the link's password, once it has. */
  readonly authorizedBy?: 'header' | 'form';
  /** Whether the database has counted it against the link's limit. */
  readonly isClaimed?: true;
}

const secPurpose = headerBytes('sec-purpose');
const purpose = headerBytes('purpose');

/** Whether a browser marks the request as a prefetch; parameters of the token are allowed. */
export function isPrefetch(req: HttpRequest): boolean {
  return hasPrefetchToken(req.getHeader(secPurpose)) || hasPrefetchToken(req.getHeader(purpose));
}

/** @param value Of a Sec-Purpose or Purpose header: tokens separated by commas, each with parameters. */
export function hasPrefetchToken(value: string): boolean {
  if (value === '') return false;
  return value.split(',').some((item) => item.split(';', 1)[0]?.trim().toLowerCase() === 'prefetch');
}
