import { createHash } from 'node:crypto';
import type { ErrorCode } from '../../errors.js';
import type { Caller } from '../../messages/calls.js';
import type { Exchange } from './exchange.js';

const keyForm = /^[\x20-\x7e]{1,255}$/;

/**
 * Why a request may not have its key; one without a key has none to refuse.
 * @param isTaken Whether the route takes any.
 */
export function keyFault(key: string, isTaken: boolean): ErrorCode | undefined {
  if (key === '') return undefined;
  if (!isTaken) return 'IDEMPOTENCY_UNSUPPORTED';
  return keyForm.test(key) ? undefined : 'INVALID_IDEMPOTENCY_KEY';
}

/**
 * What the worker needs to do a request once; `undefined` for a request without an Idempotency-Key.
 * @param scope The id of the API key, within which the idempotency key counts.
 */
export function idempotentRequest(exchange: Exchange, scope: string, body: Buffer): Caller['idempotent'] {
  const key = exchange.header('idempotency-key');
  if (key === '') return undefined;
  const request = createHash('sha256').update(`${exchange.method} ${exchange.path}?${exchange.query}\n`);
  return {
    keyHash: createHash('sha256').update(`${scope}\n${key}`).digest('hex'),
    requestHash: request.update(body).digest('hex'),
  };
}
