import type { HttpRequest } from 'uWebSockets.js';
import { randomUUID } from 'node:crypto';
import { type Method, methods } from '../../api/http-series.js';
import { headerBytes } from './header-bytes.js';

/** Headers that are read of every request. */
export const names = {
  requestId: headerBytes('x-request-id'),
  accept: headerBytes('accept'),
  forwardedFor: headerBytes('x-forwarded-for'),
  length: headerBytes('content-length'),
  coding: headerBytes('transfer-encoding'),
};

/** Whether an Accept header names a media type, in any letter case. @param type In small letters. */
export function accepts(header: string, type: string): boolean {
  const named = header.toLowerCase();
  if (!named.includes(type)) return false;
  return named.split(',').some((one) => {
    const [name = '', ...parameters] = one.split(';').map((part) => part.trim());
    return name === type && !parameters.some((parameter) => /^q=0(\.0*)?$/.test(parameter));
  });
}

/** @param given A trusted proxy's own id: used if it is plausible, to make it appear in our logs. */
export function requestIdOf(given: string): string {
  return given !== '' && /^[\w.:/+=@-]{1,128}$/.test(given) ? given : randomUUID();
}

/** By the names that the library gives them. */
const methodsByName = new Map<string, Method>(methods.map((method) => [method.toLowerCase(), method]));

export function methodOf(name: string): Method {
  return methodsByName.get(name) ?? methodsByName.get(name.toLowerCase()) ?? 'OTHER';
}

/**
 * Faults of a request with a body that only a look at every header shows. `ambiguous`: another parser could
 * find the body's end elsewhere, because of two lengths or an unknown coding. `empty-key`: an Idempotency-Key
 * without a value, which the library reports as absent.
 */
export function headFault(req: HttpRequest, coding: string): 'ambiguous' | 'empty-key' | undefined {
  if (coding !== '' && coding.trim().toLowerCase() !== 'chunked') return 'ambiguous';
  let framings = 0;
  let isKeyEmpty = false;
  req.forEach((name, value) => {
    if (name === 'content-length' || name === 'transfer-encoding') framings += 1;
    else if (name === 'idempotency-key' && value === '') isKeyEmpty = true;
  });
  if (framings > 1) return 'ambiguous';
  return isKeyEmpty ? 'empty-key' : undefined;
}
