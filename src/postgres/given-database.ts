import type { Config, DatabaseAddress } from '../config.js';

/** The PostgreSQL that the settings name; `undefined` where the embedded one is to be started. */
export function givenDatabase(config: Config): DatabaseAddress | undefined {
  if (config.DATABASE_URL !== undefined) return { connectionString: config.DATABASE_URL };
  const { DATABASE_HOST, DATABASE_NAME, DATABASE_USER, DATABASE_PASSWORD } = config;
  if ([DATABASE_HOST, DATABASE_NAME, DATABASE_USER, DATABASE_PASSWORD].every((part) => part === undefined)) {
    return undefined;
  }
  return {
    host: DATABASE_HOST ?? 'localhost',
    port: config.DATABASE_PORT,
    database: DATABASE_NAME ?? 'switchyard',
    user: DATABASE_USER ?? 'switchyard',
    ...(DATABASE_PASSWORD === undefined ? {} : { password: DATABASE_PASSWORD }),
  };
}
