import { readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createEmptyDatabase, type TestDatabase, urlOf } from '../support/database/database.js';
import { eventually } from '../support/machine/wait.js';
import { startServer, type TestServer } from '../support/server/server.js';
import { click, createUrl } from '../support/server/suite.js';
import { root } from '../support/stack/compose.js';

describe('the server’s role in the stack of containers', () => {
  const role = `application_${process.pid}`;
  let database: TestDatabase;
  let server: TestServer;

  beforeAll(async () => {
    database = await createEmptyDatabase();
    const script = readFileSync(path.join(root, 'ops/postgres/application.sql'), 'utf8')
      .replaceAll(/\bswitchyard\b/g, role)
      .replaceAll(':"DBNAME"', database.address.database)
      .replace(":'password'", "'a password'");
    await database.query(script);
    const url = urlOf({ ...database.address, user: role, password: 'a%20password' });
    server = await startServer({ DATABASE_URL: url, SEED_ON_BOOT: 'true', CSV_DIR: path.join(root, 'csv') });
  });
  afterAll(async () => {
    await server?.stop();
    await database?.query(
      `REASSIGN OWNED BY ${role} TO CURRENT_USER; DROP OWNED BY ${role}; DROP ROLE ${role}`,
    );
    await database?.drop();
  });

  it('is no superuser, makes neither databases nor roles, and owns the schema', async () => {
    const [found] = await database.query(
      `SELECT rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls,
              (SELECT nspowner::regrole::text FROM pg_namespace WHERE nspname = 'public') AS schema_owner
         FROM pg_roles WHERE rolname = $1`,
      [role],
    );
    expect(found).toEqual({
      rolsuper: false,
      rolcreatedb: false,
      rolcreaterole: false,
      rolreplication: false,
      rolbypassrls: false,
      schema_owner: role,
    });
  });

  it('is enough to migrate, to load the seed data, to count clicks and to delete', async () => {
    const url = await createUrl(server);
    await click(server, url.short_code);
    await eventually(async () => {
      const body = await server.get(`/urls/${url.id}`);
      return body.click_count === 1;
    });
    expect((await server.fetch(`/urls/${url.id}`, { method: 'DELETE' })).status).toBeLessThan(300);
    expect((await database.query('SELECT count(*)::int AS n FROM users'))[0]).not.toEqual({ n: 0 });
  });
});
