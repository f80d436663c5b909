import type { Config, DatabaseAddress } from '../config.js';
import { splitDatabaseUrl } from '../setting-values.js';

/** The PostgreSQL that the settings name, one entry for each host; `undefined` if the embedded one is to be started. */
export function givenDatabase(config: Config): readonly DatabaseAddress[] | undefined {
  if (config.DATABASE_URL !== undefined) {
    return splitDatabaseUrl(config.DATABASE_URL).map((connectionString) => ({ connectionString }));
  }
  const { DATABASE_HOST, DATABASE_NAME, DATABASE_USER, DATABASE_PASSWORD } = config;
  if ([DATABASE_HOST, DATABASE_NAME, DATABASE_USER, DATABASE_PASSWORD].every((part) => part === undefined)) {
    return undefined;
  }
  return (DATABASE_HOST ?? 'localhost').split(',').map((host) => ({
    host: host.trim(),
    port: config.DATABASE_PORT,
    database: DATABASE_NAME ?? 'switchyard',
    user: DATABASE_USER ?? 'switchyard',
    ...(DATABASE_PASSWORD === undefined ? {} : { password: DATABASE_PASSWORD }),
  }));
}

/** The standbys that the settings name, one entry for each host. */
export function givenStandbys(config: Config): readonly DatabaseAddress[] {
  const { DATABASE_READ_URL: url } = config;
  return url === undefined ? [] : splitDatabaseUrl(url).map((connectionString) => ({ connectionString }));
}

/** A host's name in the log, without user and password. */
export function hostName(address: DatabaseAddress): string {
  if (!('connectionString' in address)) return `${address.host}:${address.port}`;
  const { host, searchParams } = new URL(address.connectionString);
  return host || (searchParams.get('host') ?? 'localhost');
}
