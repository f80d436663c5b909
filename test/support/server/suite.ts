import { afterAll, beforeAll } from 'vitest';
import type { Url, User } from '../clients/answers.js';
import { type ApiClient, bodyOf } from '../clients/api-client.js';
import { createDatabase, type TestDatabase } from '../database/database.js';
import { type ServerEnvironment, startServer, type TestServer } from './server.js';

export interface Suite {
  readonly database: TestDatabase;
  readonly server: TestServer;
}

/** One server on one fresh database for all tests of a file. */
export function useServer(environment: ServerEnvironment = {}): Suite {
  let database: TestDatabase;
  let server: TestServer;
  beforeAll(async () => {
    database = await createDatabase();
    server = await startServer({ DATABASE_URL: database.url, ...environment });
  });
  afterAll(async () => {
    await server?.stop();
    await database?.drop();
  });
  return {
    get database() {
      return database;
    },
    get server() {
      return server;
    },
  };
}

let lastName = 0;

/** A username that no other test of the process uses. */
export function uniqueName(prefix = 'user'): string {
  lastName += 1;
  return `${prefix}-${process.pid}-${lastName}`;
}

export async function createUser(client: ApiClient, username = uniqueName()): Promise<User> {
  return bodyOf(await client.post('/users', { username, email: `${username}@example.com` }), 201);
}

export async function createUrl(
  client: ApiClient,
  fields: Readonly<Record<string, unknown>> = {},
): Promise<Url> {
  const link = { original_url: 'https://example.com/target', ...fields };
  return bodyOf(await client.post('/urls', link), 201);
}

/** Follows a link once; fails when it does not redirect. */
export async function click(server: TestServer, shortCode: string): Promise<string> {
  const response = await server.fetch(`/${shortCode}`);
  await response.arrayBuffer();
  if (response.status !== 302) throw new Error(`GET /${shortCode}: ${response.status}`);
  return response.headers.get('location') ?? '';
}
