import { rmSync } from 'node:fs';
import pg from 'pg';
import type { TestProject } from 'vitest/node';
import type { EmbeddedAddress } from '../../../src/postgres/answer.js';
import { EmbeddedPostgres } from '../../../src/postgres/embedded.js';
import { clientOptions } from '../../../src/postgres/pool.js';
import { prepareDatabase } from '../../../src/store/migrate.js';
import { makeFolder } from '../machine/folders.js';

declare module 'vitest' {
  export interface ProvidedContext {
    /** The PostgreSQL that all tests share; its database `template_switchyard` has the schema. */
    readonly postgres: EmbeddedAddress;
  }
}

/** Starts one real PostgreSQL for the run, with a database of the current schema to clone from. */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const folder = makeFolder('test');
  const embedded = await EmbeddedPostgres.start(folder);
  const admin = new pg.Client(embedded.address);
  await admin.connect();
  await admin.query('CREATE DATABASE template_switchyard');
  await admin.end();
  const template = new pg.Client(
    clientOptions({ ...embedded.address, database: 'template_switchyard' }, 'template', 5000),
  );
  await template.connect();
  await prepareDatabase(template);
  await template.end();
  project.provide('postgres', embedded.address);
  return async () => {
    await embedded.stop();
    rmSync(folder, { recursive: true, force: true });
  };
}
