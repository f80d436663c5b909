import { createHash, webcrypto } from 'node:crypto';
import type { ErrorCode } from '../../errors.js';
import type { Caller } from '../../messages/calls.js';
import type { Exchange } from './exchange.js';

const keyForm = /^[\x20-\x7e]{1,255}$/;

const HASHED_HERE_BYTES = 128 * 1024;

/**
 * Why the request's key is refused; `undefined` without a key.
 * @param isTaken Whether the route accepts keys.
 */
export function keyFault(exchange: Exchange, isTaken: boolean): ErrorCode | undefined {
  const key = exchange.header('idempotency-key');
  if (key === '') return exchange.hasEmptyKey && isTaken ? 'INVALID_IDEMPOTENCY_KEY' : undefined;
  if (!isTaken) return 'IDEMPOTENCY_UNSUPPORTED';
  return keyForm.test(key) ? undefined : 'INVALID_IDEMPOTENCY_KEY';
}

/**
 * What the worker needs to perform a request only once; `undefined` without an Idempotency-Key.
 * @param scope The id of the API key to which the idempotency key belongs.
 */
export async function idempotentRequest(
  exchange: Exchange,
  scope: string,
  body: Buffer,
): Promise<Caller['idempotent']> {
  const key = exchange.header('idempotency-key');
  if (key === '') return undefined;
  const head = `${exchange.method} ${exchange.path}?${exchange.query}\n`;
  return {
    keyHash: createHash('sha256').update(`${scope}\n${key}`).digest('hex'),
    requestHash: await sha256(head, body),
  };
}

/** Hashes a large body in another thread. */
async function sha256(head: string, body: Buffer): Promise<string> {
  if (body.length <= HASHED_HERE_BYTES) return createHash('sha256').update(head).update(body).digest('hex');
  const digest = await webcrypto.subtle.digest('SHA-256', Buffer.concat([Buffer.from(head), body]));
  return Buffer.from(digest).toString('hex');
}
