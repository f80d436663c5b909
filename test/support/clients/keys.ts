import type { TestServer } from '../server/server.js';

export const ADMIN_KEY = 'an-admin-key-of-the-tests-0123456789';
export const OPS_KEY = 'an-ops-key-of-the-tests-0123456789';

export interface ApiKey {
  readonly id: number;
  readonly name: string;
  readonly prefix: string;
  readonly scopes: readonly string[];
  readonly user_id: number | null;
  readonly created_at: string;
  readonly last_used_at: string | null;
  readonly expires_at: string | null;
}

export type With = Pick<TestServer, 'fetch' | 'json' | 'send' | 'post'>;

/** The server, asked with a key. */
export function asKey(server: With, key: string): With {
  const fetch: With['fetch'] = (pathname, init = {}) =>
    server.fetch(pathname, { ...init, headers: { ...init.headers, authorization: `Bearer ${key}` } });
  const json: With['json'] = async (pathname, init) => {
    const response = await fetch(pathname, init);
    const text = await response.text();
    return { status: response.status, body: (text === '' ? undefined : JSON.parse(text)) as never };
  };
  const send: With['send'] = (method, pathname, body) =>
    json(pathname, {
      method,
      headers: { 'content-type': 'application/json' },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    });
  return { fetch, json, send, post: (pathname, body) => send('POST', pathname, body) };
}

/** A new key of a server that has ADMIN_KEY. */
export async function makeKey(
  server: With,
  fields: { readonly scopes: readonly string[]; readonly user_id?: number; readonly expires_at?: string },
): Promise<{ readonly id: number; readonly key: string; readonly client: With }> {
  const { status, body } = await asKey(server, ADMIN_KEY).post('/keys', { name: 'test', ...fields });
  if (status !== 201) throw new Error(`making a key: ${status} ${JSON.stringify(body)}`);
  const { id, key } = body as { id: number; key: string };
  return { id, key, client: asKey(server, key) };
}
