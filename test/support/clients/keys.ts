import { ApiClient, bodyOf } from './api-client.js';

export const ADMIN_KEY = 'an-admin-key-of-the-tests-0123456789';
export const OPS_KEY = 'an-ops-key-of-the-tests-0123456789';

/** The server, asked with a key. */
export function asKey(server: ApiClient, key: string): ApiClient {
  return new ApiClient((pathname, init) =>
    server.fetch(pathname, { ...init, headers: { ...init?.headers, authorization: `Bearer ${key}` } }),
  );
}

/** A new key of a server that has ADMIN_KEY. */
export async function makeKey(
  server: ApiClient,
  fields: { readonly scopes: readonly string[]; readonly user_id?: number; readonly expires_at?: string },
): Promise<{ readonly id: number; readonly key: string; readonly client: ApiClient }> {
  const answer = await asKey(server, ADMIN_KEY).post('/keys', { name: 'test', ...fields });
  const { id, key } = bodyOf(answer, 201);
  return { id, key, client: asKey(server, key) };
}
