import { CONSOLE_PATH } from './api/console.js';
import { type Config, ConfigError, loadConfig, readEnvironment, settings } from './config.js';
import { JournalModeError } from './journal/mode.js';
import { LogHub } from './ops/log-hub.js';
import { LogOutput } from './ops/log-output.js';
import { misspeltSettings } from './ops/misspelt-settings.js';
import { claimPort, isLoopback, PortTakenError } from './ops/port-claim.js';
import { isForPeople, prettyLines } from './ops/pretty-lines.js';
import { reload } from './ops/reload.js';
import { Supervisor } from './ops/supervisor.js';
import { EmbeddedPostgresError } from './postgres/binaries.js';
import { sqlStateOf, UnusableDatabaseError } from './postgres/failures.js';
import { createLogger } from './runtime/logger.js';
import { packageVersion } from './runtime/package.js';
import { Teardown } from './runtime/teardown.js';
import { SeedError } from './store/seed.js';

/** What the process ends with; listed in the README. */
const Exit = {
  OK: 0,
  FAULT: 1,
  BAD_SETTING: 2,
  BAD_DATABASE: 3,
  PORT_TAKEN: 4,
  BAD_DATA_DIR: 5,
  /** Some request or thread did not end before the deadline of a stop. */
  DEADLINE: 6,
} as const;

/** Request line and headers of one request; the shipped Nginx forwards less. */
const MAX_HEAD_BYTES = 16_384;

/** A data folder that can't be made or written. */
const dataDirFailures = new Set(['EACCES', 'EPERM', 'EROFS', 'ENOSPC', 'ENOTDIR', 'ENAMETOOLONG']);

/** Ends the start with one line. */
class StartError extends Error {
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

/** What a person at the terminal should see. */
type Say = (line: string) => void;

/** How long an exit waits for a standard error that accepts no lines. */
const LAST_WORDS_MS = 300;

/** A Ctrl-C reaches the server from the terminal and, passed on, from npm: within this time it is one signal. */
const ECHO_MS = 200;

/** The library is a binary for certain systems; elsewhere it does not load. */
async function requireGatewayLibrary(): Promise<void> {
  try {
    // Read once, when the library loads. Its default of 4 kB could not hold a long query beside a few
    // headers.
    process.env.UWS_HTTP_MAX_HEADERS_SIZE = String(MAX_HEAD_BYTES);
    await import('uWebSockets.js');
  } catch {
    throw new StartError(
      Exit.FAULT,
      `uWebSockets.js does not load here: it needs Node 20, 22, 24 or 25 (this is ${process.version}) and, on Linux, glibc 2.36 or newer`,
    );
  }
}

/** One line for whoever started the server. */
function sentenceOf(error: unknown, config?: Config): string {
  const message = error instanceof Error ? error.message : String(error);
  if (config === undefined || exitCodeOf(error) !== Exit.BAD_DATA_DIR) return `switchyard: ${message}`;
  return `switchyard: DATA_DIR=${config.DATA_DIR} can't be used: ${message}`;
}

function exitCodeOf(error: unknown): number {
  if (error instanceof StartError) return error.code;
  if (error instanceof PortTakenError) return Exit.PORT_TAKEN;
  if (error instanceof ConfigError) return Exit.BAD_SETTING;
  if (error instanceof SeedError || error instanceof JournalModeError) return Exit.BAD_SETTING;
  if (error instanceof UnusableDatabaseError || error instanceof EmbeddedPostgresError)
    return Exit.BAD_DATABASE;
  if (sqlStateOf(error) !== undefined) return Exit.BAD_DATABASE;
  return dataDirFailures.has((error as NodeJS.ErrnoException).code ?? '') ? Exit.BAD_DATA_DIR : Exit.FAULT;
}

function banner(say: Say, config: Config, supervisor: Supervisor, port: number, startedMs: number): void {
  const host = config.HOST === '0.0.0.0' || config.HOST === '::' ? 'localhost' : config.HOST;
  say(`Switchyard ${packageVersion()} serves http://${host}:${port} after ${startedMs} ms`);
  if (config.CONSOLE) say(`  make links and watch them in a browser: http://${host}:${port}${CONSOLE_PATH}`);
  const { embedded, seedReports, journalMode } = supervisor;
  if (journalMode.kind === 'mapped')
    say('  clicks are in the journal’s file before their redirects are answered');
  else say(`  clicks are written to the journal after their redirects are answered: ${journalMode.reason}`);
  if (embedded !== undefined) {
    const place = embedded.isOutside ? ', outside DATA_DIR: it stays when that is removed' : '';
    say(`  embedded PostgreSQL in ${embedded.folder}${place}`);
    say(`  open it with: ${embedded.psqlCommand}`);
  } else if (!supervisor.hasDatabase) {
    say('  PostgreSQL can not be reached yet: calls are answered 503 until it can');
  }
  for (const { table, loaded, notes } of seedReports) {
    const skipped = [...notes].map(([reason, count]) => `${count} ${reason}`).join('; ');
    say(`  seeded ${loaded} ${table}${skipped === '' ? '' : ` (${skipped})`}`);
  }
}

/** Prints a start's messages: a few lines for people, or log lines like any other. */
function announcer({ LOG_FORMAT }: Config, say: Say): Say {
  if (isForPeople(LOG_FORMAT, 2)) return say;
  const logger = createLogger('supervisor', 'info', (line) => say(line.trimEnd()));
  return (line) => logger.info(line.trim());
}

/** Warns in one line if anybody who reaches the port may change and delete everything. */
function warnOfOpenApi({ API_AUTH, HOST }: Config, say: Say, logs: LogHub): void {
  if (API_AUTH === 'on' || isLoopback(HOST)) return;
  const warning = `the API asks nobody for a password, and HOST=${HOST} lets other machines in: it is open to all of them. Set API_AUTH=on and ADMIN_KEY, put a proxy or a firewall before it, or set HOST=127.0.0.1`;
  logs.logger.warn(warning);
  say(`  warning: ${warning}`);
}

/** Warns about variables that were meant as settings and have no effect. */
function warnOfMisspelt(say: Say, logs: LogHub): void {
  const known = Object.keys(settings.shape);
  for (const { given, meant } of misspeltSettings(Object.keys(readEnvironment()), known)) {
    const warning = `${given} is no setting and has no effect; the nearest one is ${meant}`;
    logs.logger.warn(warning);
    say(`  warning: ${warning}`);
  }
}

async function main(say: Say, lastWords: () => Promise<void>): Promise<void> {
  let config = loadConfig();
  const logs = new LogHub({
    level: config.LOG_LEVEL,
    ringMax: config.LOG_RING_MAX,
    output: new LogOutput(1),
    format: isForPeople(config.LOG_FORMAT, 1) ? await prettyLines(1) : undefined,
  });
  const teardown = new Teardown();

  const end = async (code: number): Promise<never> => {
    await Promise.all([logs.close(), lastWords()]);
    process.exit(code);
  };
  const drain = (): Promise<boolean> => teardown.run(Date.now() + config.DRAIN_DEADLINE_MS);
  const fail = async (error: unknown): Promise<void> => {
    if (teardown.hasBegun) return;
    const ended = drain().catch(() => undefined);
    say(sentenceOf(error, config));
    const code = exitCodeOf(error);
    if (code === Exit.FAULT) logs.logger.fatal({ error }, 'the server ends');
    await ended;
    await end(code);
  };
  let stoppedAtMs = Number.NEGATIVE_INFINITY;
  const stop = async (signal: NodeJS.Signals): Promise<void> => {
    if (performance.now() - stoppedAtMs < ECHO_MS) return;
    stoppedAtMs = performance.now();
    if (teardown.hasBegun) {
      logs.logger.warn(`${signal} again: the server ends at once`);
      // Cuts connections and closes journals without waiting.
      const isClosed = await teardown.destroy(Date.now() + 500);
      if (isClosed) await end(Exit.DEADLINE);
      process.kill(process.pid, 'SIGKILL');
    }
    logs.logger.info(`${signal}: the server drains`);
    try {
      const inTime = await drain();
      logs.logger.info('the server has ended');
      await end(inTime ? Exit.OK : Exit.DEADLINE);
    } catch (error) {
      logs.logger.fatal({ error }, 'the server did not shut down cleanly');
      await end(Exit.FAULT);
    }
  };
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => void stop(signal));
  // A closed terminal sends it too, which is no reason to exit.
  process.on('SIGHUP', () => {
    const reloadable = { LOG_LEVEL: ({ LOG_LEVEL }: Config) => logs.setLevel(LOG_LEVEL) };
    config = reload(config, loadConfig, reloadable, logs.logger);
  });
  process.on('uncaughtException', (error) => void fail(error));
  process.on('unhandledRejection', (error) => void fail(error));

  try {
    await requireGatewayLibrary();
    const port = await claimPort(config.HOST, config.PORT);
    const onFault = (error: unknown): void => void fail(error);
    const supervisor = await Supervisor.start({ config, logs, port, teardown, onFault });
    const startedMs = Math.round(performance.now());
    logs.logger.info({ port, started_ms: startedMs }, `listening on ${config.HOST}:${port}`);
    const announce = announcer(config, say);
    banner(announce, config, supervisor, port, startedMs);
    warnOfOpenApi(config, announce, logs);
    warnOfMisspelt(announce, logs);
  } catch (error) {
    await fail(error);
  }
}

const standardError = new LogOutput(2);
const sayLine: Say = (line) => standardError.write(`${line}\n`);
const drainError = (): Promise<void> => standardError.drain(LAST_WORDS_MS);

main(sayLine, drainError).catch(async (error: unknown) => {
  sayLine(sentenceOf(error));
  await drainError();
  process.exit(exitCodeOf(error));
});
