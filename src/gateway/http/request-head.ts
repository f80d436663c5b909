import type { HttpRequest } from 'uWebSockets.js';
import { type Method, methods } from '../../api/http-series.js';

/** Whether a media type is among those of an Accept header, by name. */
export function accepts(header: string, type: string): boolean {
  if (!header.includes(type)) return false;
  return header.split(',').some((one) => {
    const [name = '', ...parameters] = one.split(';').map((part) => part.trim().toLowerCase());
    return name === type && !parameters.some((parameter) => /^q=0(\.0*)?$/.test(parameter));
  });
}

export function methodOf(name: string): Method {
  const upper = name.toUpperCase();
  return methods.find((method) => method === upper) ?? 'OTHER';
}

/**
 * What only a look at every header shows of a request with a body. `ambiguous`: one could take the body's end to be
 * elsewhere, by two lengths or a coding that is not ours. `empty-key`: an Idempotency-Key without a value, which the
 * library gives as if there were none.
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
