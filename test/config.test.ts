import { rmSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  ConfigError,
  type DatabaseAddress,
  describeSettings,
  loadConfig,
  parseConfig,
  settings,
} from '../src/config.js';
import { kafkaOptions, tlsServerName } from '../src/kafka/options.js';
import { givenDatabase, hostName } from '../src/postgres/given-database.js';
import { makeFolder } from './support/machine/folders.js';

describe('settings', () => {
  it('have defaults that are in their own bounds, and a description each', () => {
    const config = parseConfig({});
    expect(config.PORT).toBe(5000);
    expect(config.DATABASE_POOL_MAX).toBe(10);
    expect(Object.isFrozen(config)).toBe(true);
    for (const { name, description } of describeSettings())
      expect([name, description.length > 10]).toEqual([name, true]);
    expect(describeSettings()).toHaveLength(Object.keys(settings.shape).length);
  });

  it('take an empty variable as unset', () => {
    expect(parseConfig({ PORT: '', DATABASE_URL: '', BASE_URL: '', CHAOS_TOKEN: '' })).toEqual(
      parseConfig({}),
    );
  });

  it.each([
    [
      { ARCHIVE_DIR: '/archives' },
      'ARCHIVE_DIR needs the events of clicks, which CLICK_EVENTS=off does not keep',
    ],
    [
      { EVENTS_RETENTION_DAYS: '30' },
      'EVENTS_RETENTION_DAYS needs the events of clicks, which CLICK_EVENTS=off does not keep',
    ],
  ])('of events have no meaning where none are kept: %j', (given, message) => {
    expect(() => parseConfig({ ...given, CLICK_EVENTS: 'off' })).toThrow(new ConfigError(message));
    expect(parseConfig({ ...given, CLICK_EVENTS: 'on' }).CLICK_EVENTS).toBe('on');
    expect(parseConfig({ EVENTS_RETENTION_DAYS: '0', CLICK_EVENTS: 'off' }).CLICK_EVENTS).toBe('off');
  });

  it.each([
    ['PORT', '65536', 'PORT must be an integer from 0 to 65535, not "65536"'],
    ['PORT', '-1', 'PORT must be an integer from 0 to 65535, not "-1"'],
    ['PORT', '80.5', 'PORT must be an integer from 0 to 65535, not "80.5"'],
    ['PORT', ' 80', 'PORT must be an integer from 0 to 65535, not " 80"'],
    ['GATEWAY_THREADS', '0', 'GATEWAY_THREADS must be an integer from 1 to 64, not "0"'],
    ['SEED_ON_BOOT', '2', 'SEED_ON_BOOT must be true or false, not "2"'],
    ['CLICK_DETAILS', 'all', 'CLICK_DETAILS must be one of off, basic, full, not "all"'],
    [
      'CLICK_JOURNAL_SYNC',
      'often',
      'CLICK_JOURNAL_SYNC must be never, turn or a number of milliseconds, not "often"',
    ],
    [
      'CLICK_JOURNAL_SYNC',
      '0',
      'CLICK_JOURNAL_SYNC must be never, turn or a number of milliseconds, not "0"',
    ],
    [
      'BASE_URL',
      'example.com',
      'BASE_URL must be an http:// or https:// URL without a query, not "example.com"',
    ],
    [
      'BASE_URL',
      'https://x/?a',
      'BASE_URL must be an http:// or https:// URL without a query, not "https://x/?a"',
    ],
    ['CLICK_COUNTRY_HEADER', 'a b', 'CLICK_COUNTRY_HEADER must be the name of a header, not "a b"'],
    ['DATABASE_URL', 'postgres:x', 'DATABASE_URL must be a postgresql:// URL'],
    ['DATABASE_READ_URL', 'postgre://u:secret@h/d', 'DATABASE_READ_URL must be a postgresql:// URL'],
    ['REDIRECT_STATUS', '303', 'REDIRECT_STATUS must be one of 301, 302, 307, 308, not "303"'],
  ])('%s=%s is refused by name, without telling a secret', (name, value, message) => {
    expect(() => parseConfig({ [name]: value })).toThrow(new ConfigError(message));
  });

  it.each(['app.example.com', 'https://a.example/', 'https://a.example,*', 'https://a@b.example', ','])(
    'CORS_ORIGINS=%s is refused',
    (value) => {
      const rule = 'must be * or origins such as https://app.example.com, separated by commas';
      const error = new ConfigError(`CORS_ORIGINS ${rule}, not "${value}"`);
      expect(() => parseConfig({ CORS_ORIGINS: value })).toThrow(error);
    },
  );

  it('write origins as browsers do', () => {
    const origins = (value: string) => parseConfig({ CORS_ORIGINS: value }).CORS_ORIGINS;
    expect(origins('')).toEqual([]);
    expect(origins('*')).toEqual(['*']);
    expect(origins('https://A.example:443 , http://localhost:5173')).toEqual([
      'https://a.example',
      'http://localhost:5173',
    ]);
  });

  it('read what they are given', () => {
    const config = parseConfig({
      SEED_ON_BOOT: 'No',
      LOG_LEVEL: 'WARNING',
      BASE_URL: 'https://s.example.com/x//',
      CLICK_JOURNAL_SYNC: '250',
      CLICK_COUNTRY_HEADER: 'CF-IPCountry',
    });
    expect(config).toMatchObject({
      SEED_ON_BOOT: false,
      LOG_LEVEL: 'warn',
      BASE_URL: 'https://s.example.com/x',
      CLICK_JOURNAL_SYNC: { everyMs: 250 },
      CLICK_COUNTRY_HEADER: 'cf-ipcountry',
    });
    expect(parseConfig({ CLICK_JOURNAL_SYNC: 'turn' }).CLICK_JOURNAL_SYNC).toBe('turn');
  });
});

describe('Kafka', () => {
  const refused = (environment: Record<string, string>, message: string): void =>
    expect(() => parseConfig(environment)).toThrow(new ConfigError(message));

  it('has brokers, by names and addresses', () => {
    const { KAFKA_BROKERS } = parseConfig({ KAFKA_BROKERS: 'a.example:9092, 10.0.0.1:1,[::1]:65535' });
    expect(KAFKA_BROKERS).toEqual([
      { host: 'a.example', port: 9092 },
      { host: '10.0.0.1', port: 1 },
      { host: '::1', port: 65_535 },
    ]);
  });

  it.each(['a', 'a:0', 'a:65536', 'a:1,', '::1:9092', 'kafka://a:9092'])(
    'KAFKA_BROKERS=%s is refused',
    (value) => {
      refused(
        { KAFKA_BROKERS: value },
        `KAFKA_BROKERS must be host:port, separated by commas, not "${value}"`,
      );
    },
  );

  it('needs brokers for the stream, and a user with a password for SASL', () => {
    const why = 'must be set for CLICK_STREAM and KAFKA_SASL as they are';
    refused({ CLICK_STREAM: 'kafka' }, `KAFKA_BROKERS ${why}`);
    refused({ KAFKA_SASL: 'plain' }, `KAFKA_USERNAME ${why}`);
    refused({ KAFKA_SASL: 'plain', KAFKA_USERNAME: 'u' }, `KAFKA_PASSWORD ${why}`);
    const whole = parseConfig({
      CLICK_STREAM: 'kafka',
      KAFKA_BROKERS: 'a:1',
      KAFKA_SASL: 'SCRAM-SHA-256',
      KAFKA_USERNAME: 'u',
      KAFKA_PASSWORD: 'p',
      KAFKA_TLS: 'on',
    });
    expect(kafkaOptions(whole)).toEqual({
      brokers: [{ host: 'a', port: 1 }],
      requestMs: 10_000,
      connection: {
        connectTimeout: 10_000,
        requestTimeout: 10_000,
        tls: { rejectUnauthorized: true },
        sasl: { mechanism: 'SCRAM-SHA-256', username: 'u', password: 'p' },
      },
    });
  });

  it('is asked for by name where it has one', () => {
    expect(tlsServerName('a.example')).toEqual({ tlsServerName: true });
    expect(tlsServerName('10.0.0.1')).toEqual({});
  });
});

describe('the database', () => {
  it('is the embedded one when none is named', () => {
    expect(givenDatabase(parseConfig({}))).toBeUndefined();
    // A port alone names none.
    expect(givenDatabase(parseConfig({ DATABASE_PORT: '5433' }))).toBeUndefined();
  });

  it('is named by a URL, or by its parts', () => {
    const url = 'postgresql://u:p@h:1/d';
    expect(givenDatabase(parseConfig({ DATABASE_URL: url, DATABASE_HOST: 'other' }))).toEqual([
      { connectionString: url },
    ]);
    expect(
      givenDatabase(
        parseConfig({
          DATABASE_HOST: 'h',
          DATABASE_PORT: '6543',
          DATABASE_NAME: 'n/ä',
          DATABASE_USER: 'u',
          DATABASE_PASSWORD: 'p@:/',
        }),
      ),
    ).toEqual([{ host: 'h', port: 6543, database: 'n/ä', user: 'u', password: 'p@:/' }]);
    expect(givenDatabase(parseConfig({ DATABASE_NAME: 'n' }))).toEqual([
      { host: 'localhost', port: 5432, database: 'n', user: 'switchyard' },
    ]);
  });
});

describe('several hosts of the database', () => {
  const hosts = (url: string): string[] =>
    (givenDatabase(parseConfig({ DATABASE_URL: url })) ?? []).map((address) =>
      'connectionString' in address ? address.connectionString : '',
    );

  it('are an address each, with what they have in common', () => {
    expect(
      hosts('postgresql://u:p,w@a:1,b,[::1]:2/d?target_session_attrs=read-write&sslmode=disable'),
    ).toEqual([
      'postgresql://u:p,w@a:1/d?target_session_attrs=read-write&sslmode=disable',
      'postgresql://u:p,w@b/d?target_session_attrs=read-write&sslmode=disable',
      'postgresql://u:p,w@[::1]:2/d?target_session_attrs=read-write&sslmode=disable',
    ]);
    expect(hosts('postgres://a,b')).toEqual(['postgres://a', 'postgres://b']);
    expect(givenDatabase(parseConfig({ DATABASE_HOST: 'a, b' }))).toMatchObject([
      { host: 'a', port: 5432 },
      { host: 'b', port: 5432 },
    ]);
  });

  it('are named in the log without their user', () => {
    const [url] = givenDatabase(parseConfig({ DATABASE_URL: 'postgresql://u:p@a:1,b/d' })) ?? [];
    const [parts] = givenDatabase(parseConfig({ DATABASE_HOST: 'h', DATABASE_PASSWORD: 'p' })) ?? [];
    const [socket] =
      givenDatabase(parseConfig({ DATABASE_URL: 'postgresql:///d?host=/run/postgresql' })) ?? [];
    expect([url, parts, socket].map((address) => hostName(address as DatabaseAddress))).toEqual([
      'a:1',
      'h:5432',
      '/run/postgresql',
    ]);
  });

  it.each([
    ['postgresql://a,b/d?target_session_attrs=standby', 'must have target_session_attrs=read-write, or none'],
    ['postgresql://a,,b/d', 'must have no empty place between its hosts'],
    ['postgresql://a:1,b:x/d', 'must be a postgresql:// URL'],
  ])('%s are refused', (url, why) => {
    expect(() => parseConfig({ DATABASE_URL: url })).toThrow(`DATABASE_URL ${why}`);
  });
});

describe('a secret in a file', () => {
  let folder: string;
  beforeEach(() => {
    folder = makeFolder('secret');
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  const fileOf = (text: string): string => {
    writeFileSync(`${folder}/secret`, text);
    return `${folder}/secret`;
  };

  it.each(['DATABASE_PASSWORD', 'ADMIN_KEY', 'OPS_KEY'] as const)(
    'is %s, without the last line’s end',
    (name) => {
      expect(
        parseConfig({ [`${name}_FILE`]: fileOf('a secret of enough length\n'.replaceAll(' ', '-')) })[name],
      ).toBe('a-secret-of-enough-length');
    },
  );

  it('counts only where the variable itself is not set', () => {
    const given = { DATABASE_PASSWORD: 'of the variable', DATABASE_PASSWORD_FILE: fileOf('of the file') };
    expect(parseConfig(given).DATABASE_PASSWORD).toBe('of the variable');
    expect(parseConfig({ ...given, DATABASE_PASSWORD: '' }).DATABASE_PASSWORD).toBe('of the file');
  });

  it('is refused by name where it is not there, empty or bad, and is not shown', () => {
    const refusal = (given: Record<string, string>): string => {
      try {
        parseConfig(given);
      } catch (error) {
        return (error as Error).message;
      }
      return 'not refused';
    };
    expect(refusal({ OPS_KEY_FILE: `${folder}/none` })).toBe("OPS_KEY_FILE can't be read (ENOENT)");
    expect(refusal({ OPS_KEY_FILE: fileOf('\n') })).toBe('OPS_KEY_FILE is an empty file');
    expect(refusal({ OPS_KEY_FILE: fileOf('short') })).toBe(
      'OPS_KEY must be 24 to 200 printable ASCII characters without a blank',
    );
  });
});

describe('loadConfig', () => {
  let folder: string;
  const before = process.cwd();

  beforeEach(() => {
    folder = makeFolder('env');
    process.chdir(folder);
    // The test runner has one of its own.
    vi.stubEnv('BASE_URL', '');
  });

  afterEach(() => {
    process.chdir(before);
    vi.unstubAllEnvs();
    rmSync(folder, { recursive: true, force: true });
  });

  it('reads a .env whose first line has a byte-order mark before it', () => {
    writeFileSync('.env', '\ufeffCACHE_MAX_LINKS=4711\r\nCACHE_MAX_UNKNOWN=42\r\n');
    const { CACHE_MAX_LINKS, CACHE_MAX_UNKNOWN } = loadConfig();
    expect([CACHE_MAX_LINKS, CACHE_MAX_UNKNOWN]).toEqual([4711, 42]);
  });
});
