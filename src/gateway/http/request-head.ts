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

/** Where one could take the body's end to be elsewhere: two lengths, or a coding that is not ours. */
export function isAmbiguous(req: HttpRequest, coding: string): boolean {
  if (coding !== '' && coding.trim().toLowerCase() !== 'chunked') return true;
  let framings = 0;
  req.forEach((name) => {
    if (name === 'content-length' || name === 'transfer-encoding') framings += 1;
  });
  return framings > 1;
}
