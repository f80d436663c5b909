import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { parseEnv } from 'node:util';
import { z } from 'zod';
import { kafkaSettings, missingKafkaSetting } from './kafka-settings.js';
import {
  apiKey,
  canRead,
  choice,
  databaseUrl,
  flag,
  headerName,
  httpUrl,
  integer,
  logLevel,
  networks,
  origins,
  syncPolicy,
} from './setting-values.js';

/** Thrown for a bad setting; `message` is one line that names the variable. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

const MEBIBYTE = 1024 * 1024;

const gatewayThreads = Math.max(1, Math.min(8, availableParallelism() - 1));

/**
 * Every setting of the server, by the name of its environment variable. Units are in the names
 * (`_MS` milliseconds, `_BYTES` bytes); the descriptions become the table in Docs/CONFIGURATION.md.
 */
export const settings = z.object({
  HOST: z.string().default('0.0.0.0').describe('Address the gateways listen on'),
  PORT: integer(5000, 0, 65_535).describe('Port the gateways share; 0 takes a free one'),
  BASE_URL: httpUrl().describe('Origin of `short_url`; without it, the request’s Host header'),
  CODE_LENGTH: integer(6, 4, 32).describe('Characters of a generated short code'),
  REDIRECT_STATUS: choice(['301', '302', '307', '308'], '302')
    .transform(Number)
    .describe('Default status of a link'),
  BLOCKED_HOSTS: z
    .string()
    .optional()
    .refine((file) => file === undefined || canRead(file), { message: 'must be a file that can be read' })
    .describe(
      'File of host names, one a line, to which no link may lead, nor to their subdomains; read again when it changes',
    ),
  ROBOTS_INDEX: flag(true).describe('Whether /robots.txt lets crawlers follow links'),
  BLOCK_PRIVATE_TARGETS: flag(false).describe(
    'Refuse links to private, loopback and link-local addresses and to localhost',
  ),
  DATA_DIR: z
    .string()
    .default('./data')
    .describe('Folder of the click journals and of the embedded PostgreSQL'),
  CSV_DIR: z.string().default('./csv').describe('Folder of users.csv, urls.csv and events.csv'),
  SEED_ON_BOOT: flag(true).describe('Load CSV_DIR when the database is empty'),
  SEED_LENIENT: flag(false).describe('Load a seed file even if more of its rows are unusable than usable'),

  DATABASE_URL: databaseUrl(true).describe(
    'PostgreSQL 15 to 18, directly or through a pooler in session mode; several hosts separated by commas: the primary among them is found. Without any DATABASE_ setting, the embedded 17',
  ),
  DATABASE_READ_URL: databaseUrl(false).describe(
    'Hot standbys of that PostgreSQL, for redirects that miss the cache, lists, single reads and statistics; each read sees all that was answered before, each redirect all changes that its server knows of. Without it, or while they lag or do not answer, the primary is asked. Up to `DATABASE_POOL_MAX` connections to each',
  ),
  DATABASE_HOST: z
    .string()
    .optional()
    .describe('Instead of DATABASE_URL: host, or several, separated by commas'),
  DATABASE_PORT: integer(5432, 1, 65_535).describe('Instead of DATABASE_URL: port'),
  DATABASE_NAME: z.string().optional().describe('Instead of DATABASE_URL: database (default switchyard)'),
  DATABASE_USER: z.string().optional().describe('Instead of DATABASE_URL: user (default switchyard)'),
  DATABASE_PASSWORD: z.string().optional().describe('Instead of DATABASE_URL: password'),
  DATABASE_PASSWORD_FILE: z.string().optional().describe('Instead of DATABASE_PASSWORD: file that holds it'),
  DATABASE_POOL_MAX: integer(10, 3, 200).describe('Connections of the whole server, over all its threads'),
  DATABASE_CONNECT_MS: integer(1000, 50, 60_000).describe('Deadline for opening a connection'),

  GATEWAY_THREADS: integer(gatewayThreads, 1, 64).describe(
    'Threads that serve HTTP; by default one fewer than the cores, at least 1 and at most 8',
  ),
  WORKER_THREADS: integer(1, 1, 16).describe(
    'Worker threads for interactive calls; one more runs transfers, one more the click ingest',
  ),

  CACHE_MAX_LINKS: integer(500_000, 1, 20_000_000).describe('Links each gateway keeps'),
  CACHE_MAX_UNKNOWN: integer(10_000, 1, 10_000_000).describe('Unknown codes each gateway keeps'),
  CACHE_UNKNOWN_MS: integer(800, 1, 1000).describe('How long a gateway remembers that a code is unknown'),

  CALL_DEADLINE_MS: integer(1800, 50, 60_000).describe('Deadline of a call to the database; then 503'),
  CALL_PENDING_MAX: integer(10_000, 1, 1_000_000).describe(
    'Calls that may wait at each gateway; beyond it 503',
  ),
  DELETE_DEADLINE_MS: integer(30_000, 50, 600_000).describe('Deadline of a delete, which may be large'),
  READ_BARRIER_MS: integer(1000, 0, 10_000).describe('How long a read of events waits for earlier clicks'),

  BODY_MAX_BYTES: integer(MEBIBYTE, 1, 1024 * MEBIBYTE).describe('Largest JSON body; beyond it 413'),
  BODY_TOTAL_BYTES: integer(256 * MEBIBYTE, 1, 16_384 * MEBIBYTE).describe(
    'JSON bodies each gateway holds at one time; beyond it 503',
  ),
  BODY_DEADLINE_MS: integer(30_000, 50, 600_000).describe('Deadline for a JSON body to arrive; then 408'),

  IMPORT_MAX_BYTES: integer(1024 * MEBIBYTE, 1, 1_048_576 * MEBIBYTE).describe(
    'Largest import; beyond it 413',
  ),
  TRANSFER_WAIT_MS: integer(10_000, 50, 600_000).describe('How long an import or list waits for its turn'),
  TRANSFER_WAITING_MAX: integer(1000, 1, 100_000).describe('Imports and lists that may wait; beyond it 503'),
  TRANSFER_PER_ADDRESS: integer(8, 1, 1000).describe(
    'How many of the 16 lists, and of the 16 imports, under way one client address may have (IPv6: one /64); more have to wait',
  ),
  TRANSFER_MIN_BYTES_PER_SECOND: integer(65_536, 0, 1024 * MEBIBYTE).describe(
    'While others wait for their turn, the server ends the slowest client below this; 0: never',
  ),
  TRANSFER_SPOOL_BYTES: integer(4096 * MEBIBYTE, 0, 1_048_576 * MEBIBYTE).describe(
    'Size of the files under `DATA_DIR` that hold unfinished uploads, and lists for slow readers; beyond it an upload is 503, and a list waits in the database for its reader',
  ),
  TRANSFER_STALL_MS: integer(30_000, 50, 3_600_000).describe(
    'A transfer ends after this long without progress',
  ),
  TRANSFER_DEADLINE_MS: integer(900_000, 50, 86_400_000).describe('Deadline of a whole import or list'),

  CLICK_JOURNAL_MODE: choice(['auto', 'mapped', 'written'], 'auto').describe(
    'How clicks are journalled. `mapped`: stored in the file’s memory before the redirect is answered; `written`: written when the event-loop turn ends; `auto`: mapped where the file system allows it',
  ),
  CLICK_JOURNAL_SEGMENT_BYTES: integer(16 * MEBIBYTE, 4096, 1024 * MEBIBYTE).describe(
    'Size at which a journal segment ends',
  ),
  CLICK_JOURNAL_SEGMENT_MS: integer(60_000, 100, 86_400_000).describe('Age at which a segment ends'),
  CLICK_JOURNAL_MAX_BYTES: integer(4096 * MEBIBYTE, 65_536, 1_048_576 * MEBIBYTE).describe(
    'Size of each gateway’s journal; beyond it new clicks are lost and counted',
  ),
  CLICK_JOURNAL_KEEP_SECONDS: integer(600, 0, 31_536_000).describe(
    'How long an ingested segment is kept in case the database falls back in time: a failover to an asynchronous standby, a restored backup. 0: it is removed at once',
  ),
  CLICK_JOURNAL_KEEP_BYTES: integer(1024 * MEBIBYTE, 0, 1_048_576 * MEBIBYTE).describe(
    'Size of the ingested segments kept for each journal; beyond it the oldest are removed earlier, and all of them when the disk refuses new clicks',
  ),
  CLICK_JOURNAL_BUFFER_BYTES: integer(8 * MEBIBYTE, 65_536, 1024 * MEBIBYTE).describe(
    'Size of the clicks held in memory while the disk refuses them; beyond it they are lost and counted',
  ),
  CLICK_JOURNAL_SYNC: syncPolicy('1000').describe(
    'fdatasync of the journal: `never`, `turn` (each event-loop turn) or an interval in milliseconds',
  ),
  CLICK_INGEST_BATCH: integer(20_000, 1, 1_000_000).describe('Most clicks in one ingest transaction'),
  CLICK_INGEST_LINGER_MS: integer(500, 0, 1000).describe(
    'Pause between ingests while no read waits for clicks',
  ),

  CLICK_DETAILS: choice(['off', 'basic', 'full'], 'off').describe(
    'What a click event says besides the link. `basic`: referrer host, browser, system, device, country; `full`: the anonymised address too',
  ),
  CLICK_EVENTS: choice(['on', 'off'], 'on').describe(
    'Whether `click` and `preview` events are kept; if not, they are removed within half a minute of being counted. Counters and statistics stay exact. Servers on one database must agree: one with `off` removes for all',
  ),
  EVENTS_RETENTION_DAYS: integer(0, 0, 36_500).describe(
    'Days that `click` and `preview` events are kept; counters and statistics keep counting them. 0: for ever',
  ),
  ARCHIVE_DIR: z
    .string()
    .optional()
    .describe(
      'Folder of archives that `switchyard archive` writes: if set, only archived events are removed',
    ),
  COUNT_BOTS: flag(true).describe(
    'Whether visits of crawlers, previews and tools are clicks; if not, they are `preview` events',
  ),
  CLICK_COUNTRY_HEADER: headerName().describe(
    'Header in which a trusted proxy gives the country of a visitor',
  ),
  CLICK_ADDRESS_HEADER: headerName().describe(
    'Header in which a trusted proxy gives the address of a visitor; without it, the connection’s',
  ),

  ...kafkaSettings,

  LISTEN_HEARTBEAT_MS: integer(200, 10, 10_000).describe(
    'How often a heartbeat proves that the LISTEN connection is alive',
  ),
  LISTEN_TIMEOUT_MS: integer(600, 10, 30_000).describe(
    'A heartbeat unanswered for this long ends the connection',
  ),

  TRUSTED_PROXIES: networks('127.0.0.0/8,::1').describe('Networks whose `X-Forwarded-*` is trusted'),
  API_AUTH: choice(['off', 'on'], 'off').describe('Whether the API requires keys; redirects never do'),
  ADMIN_KEY: apiKey().describe('A key with scope `admin`, to create the first keys'),
  ADMIN_KEY_FILE: z.string().optional().describe('Instead of ADMIN_KEY: file that holds it'),
  OPS_KEY: apiKey().describe('A key with scope `ops`, for readers of /metrics and /logs'),
  OPS_KEY_FILE: z.string().optional().describe('Instead of OPS_KEY: file that holds it'),
  CORS_ORIGINS: origins().describe(
    'Pages whose scripts may use the API: origins, separated by commas, or `*` for all. Redirects never carry CORS headers',
  ),
  API_RATE_PER_MINUTE: integer(0, 0, 1_000_000).describe(
    'API requests a minute with one key, or without one from one client address (IPv6: one /64), over all threads of the server; beyond it 429; 0: no limit. Redirects and public routes are never limited',
  ),
  LIVE_LISTENERS: integer(100, 0, 100_000).describe(
    'Listeners of GET /stats/live, over all threads of the server; beyond it 503',
  ),
  CONSOLE: flag(true).describe('Whether the server serves the console at /ui/'),
  CHAOS_TOKEN: z.string().optional().describe('Token of GET /chaos; unset: always 401'),
  CERTIFICATE_FILE: z
    .string()
    .optional()
    .describe(
      'A certificate in PEM, such as the proxy’s: a metric says when it expires, and an alert warns before',
    ),
  BACKUP_DIR: z
    .string()
    .optional()
    .describe(
      'Folder of backups: a metric gives the time of the newest, and an alert fires when it is too old',
    ),
  LOG_LEVEL: logLevel('info').describe(
    'trace, debug, info, warn, error, fatal or silent; also warning, critical and off. Read again on SIGHUP',
  ),
  LOG_FORMAT: choice(['auto', 'json', 'pretty'], 'auto').describe(
    'Format of log lines and of the first lines of a start: `json` for programs, `pretty` for people; `auto`: `pretty` on a terminal, else `json`',
  ),
  LOG_RING_MAX: integer(2000, 1000, 1_000_000).describe('Log entries kept for GET /logs'),
  LOG_REQUESTS_PER_SECOND: integer(500, 0, 100_000).describe(
    'Request log lines a second for each gateway; more are counted, not written',
  ),
  DRAIN_DEADLINE_MS: integer(10_000, 0, 600_000).describe('Deadline of a graceful stop'),
  DRAIN_LINGER_MS: integer(0, 0, 600_000).describe(
    'How long a stop waits for clients to close idle connections; behind a proxy, set it longer than the proxy keeps them',
  ),
});

/** A setting as the documentation shows it; `fallback` is empty where there is none. */
export interface SettingDoc {
  readonly name: string;
  readonly fallback: string;
  readonly description: string;
}

/** Every setting with its default, for the documentation. */
export function describeSettings(): SettingDoc[] {
  const defaults: Readonly<Record<string, unknown>> = settings.parse({});
  return Object.entries(settings.shape).map(([name, schema]) => {
    const value = defaults[name];
    const text =
      typeof value === 'object' && value !== null ? Object.values(value).join(' ') : String(value ?? '');
    return { name, fallback: text, description: schema.description ?? '' };
  });
}

/** Every setting, parsed; frozen, passed to its consumers, never imported. */
export type Config = Readonly<z.output<typeof settings>>;

/** Secrets that may be in a file instead, as orchestrators provide them; the variable itself wins. */
const inFiles = ['DATABASE_PASSWORD', 'ADMIN_KEY', 'OPS_KEY', 'KAFKA_PASSWORD'] as const;

/** @throws ConfigError for a file that can't be read, or is empty. */
function secretsInFiles(given: Readonly<Record<string, string | undefined>>): Record<string, string> {
  return Object.fromEntries(
    inFiles.flatMap((name) => {
      const file = given[`${name}_FILE`];
      if (file === undefined || given[name] !== undefined) return [];
      let secret = '';
      try {
        secret = readFileSync(file, 'utf8').replace(/\r?\n$/, '');
      } catch (error) {
        throw new ConfigError(`${name}_FILE can't be read (${(error as NodeJS.ErrnoException).code})`);
      }
      if (secret === '') throw new ConfigError(`${name}_FILE is an empty file`);
      return [[name, secret]];
    }),
  );
}

/**
 * Reads the settings from an environment. An empty variable counts as unset.
 * @throws ConfigError with one line that names the first bad variable.
 */
export function parseConfig(environment: Readonly<Record<string, string | undefined>>): Config {
  const named = Object.fromEntries(Object.entries(environment).filter(([, value]) => value !== ''));
  const given = { ...named, ...secretsInFiles(named) };
  const parsed = settings.safeParse(given);
  if (parsed.success) {
    const { CLICK_INGEST, CLICK_STREAM } = parsed.data;
    if (CLICK_INGEST === 'consume' && CLICK_STREAM !== 'kafka')
      throw new ConfigError('CLICK_INGEST=consume needs CLICK_STREAM=kafka: servers send their clicks there');
    const unkept = needsEvents(parsed.data);
    if (unkept !== undefined)
      throw new ConfigError(`${unkept} needs the events of clicks, which CLICK_EVENTS=off does not keep`);
    const missing = missingKafkaSetting(parsed.data);
    if (missing === undefined) return Object.freeze(parsed.data);
    throw new ConfigError(`${missing} must be set for CLICK_STREAM and KAFKA_SASL as they are`);
  }
  const [issue] = parsed.error.issues as [z.core.$ZodIssue];
  const name = String(issue.path[0]);
  throw new ConfigError(`${name} ${issue.message}${quoted(name, given[name])}`);
}

/** The setting that is about events of clicks where none are kept. */
function needsEvents({ CLICK_EVENTS, EVENTS_RETENTION_DAYS, ARCHIVE_DIR }: Config): string | undefined {
  if (CLICK_EVENTS === 'on') return undefined;
  if (ARCHIVE_DIR !== undefined) return 'ARCHIVE_DIR';
  return EVENTS_RETENTION_DAYS > 0 ? 'EVENTS_RETENTION_DAYS' : undefined;
}

/** A byte-order mark would become part of the first name. */
function readEnvFile(): string {
  try {
    return readFileSync('.env', 'utf8').replace(/^\uFEFF/, '');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return '';
    throw new ConfigError(`.env in ${process.cwd()} can't be read (${code})`);
  }
}

/** The process's environment over an optional `.env` file in the working directory. */
export function readEnvironment(): Record<string, string | undefined> {
  const fromFile = parseEnv(readEnvFile());
  const fromProcess = Object.fromEntries(Object.entries(process.env).filter(([, value]) => value !== ''));
  return { ...fromFile, ...fromProcess };
}

/** The settings of the environment. */
export function loadConfig(): Config {
  return parseConfig(readEnvironment());
}

/** Where PostgreSQL is, in the words of `pg.ClientConfig`; plain data, which can be sent to threads. */
export type DatabaseAddress =
  | { readonly connectionString: string }
  | {
      readonly host: string;
      readonly port: number;
      readonly database: string;
      readonly user: string;
      readonly password?: string;
    };

function quoted(name: string, value: string | undefined): string {
  // Secrets stay out of messages, and therefore out of logs.
  if (value === undefined || /PASSWORD|TOKEN|KEY|DATABASE_(READ_)?URL/.test(name)) return '';
  return `, not "${value.slice(0, 80)}"`;
}
