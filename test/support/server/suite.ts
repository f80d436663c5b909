import { afterAll, beforeAll } from 'vitest';
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

export interface User {
  readonly id: number;
  readonly username: string;
  readonly email: string;
  readonly created_at: string;
}

export interface Url {
  readonly id: number;
  readonly user_id: number | null;
  readonly short_code: string;
  readonly original_url: string;
  readonly title: string;
  readonly is_active: boolean;
  readonly created_at: string;
  readonly updated_at: string;
  readonly click_count: number;
}

export interface Event {
  readonly id: number;
  readonly url_id: number | null;
  readonly user_id: number | null;
  readonly event_type: string;
  readonly timestamp: string;
  readonly details: Record<string, unknown>;
}

export async function createUser(server: Pick<TestServer, 'post'>, username = uniqueName()): Promise<User> {
  const { status, body } = await server.post('/users', { username, email: `${username}@example.com` });
  if (status !== 201) throw new Error(`creating a user: ${status} ${JSON.stringify(body)}`);
  return body;
}

export async function createUrl(
  server: Pick<TestServer, 'post'>,
  fields: { original_url?: string; user_id?: number; title?: string } = {},
): Promise<Url> {
  const { status, body } = await server.post('/urls', {
    original_url: 'https://example.com/target',
    ...fields,
  });
  if (status !== 201) throw new Error(`creating a link: ${status} ${JSON.stringify(body)}`);
  return body;
}

/** Follows a link once; fails when it does not redirect. */
export async function click(server: TestServer, shortCode: string): Promise<string> {
  const response = await server.fetch(`/${shortCode}`);
  await response.arrayBuffer();
  if (response.status !== 302) throw new Error(`GET /${shortCode}: ${response.status}`);
  return response.headers.get('location') ?? '';
}
