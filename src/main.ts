import { createServer } from 'node:net';
import { type Config, ConfigError, loadConfig } from './config.js';
import { LogHub } from './ops/log-hub.js';
import { packageVersion, Supervisor } from './ops/supervisor.js';
import { EmbeddedPostgresError } from './postgres/binaries.js';
import { sqlStateOf } from './postgres/failures.js';
import { UnusableDatabaseError } from './store/migrate.js';
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

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

/**
 * Finds out whether the port is free, for all gateways together: they share it, and would share it
 * with another process of the same user too.
 */
function freePort({ HOST, PORT }: Config): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', (error: NodeJS.ErrnoException) => {
      const reason = error.code === 'EADDRINUSE' ? 'the port is taken' : error.message;
      reject(new StartError(Exit.PORT_TAKEN, `can't listen on ${HOST}:${PORT}: ${reason}`));
    });
    probe.listen({ host: HOST, port: PORT, exclusive: true }, () => {
      const address = probe.address();
      probe.close(() => resolve(typeof address === 'object' && address !== null ? address.port : PORT));
    });
  });
}

/** The library is a binary for certain systems; elsewhere it does not load. */
async function requireGatewayLibrary(): Promise<void> {
  try {
    // Read once, when the library loads. Its own 4 kB would not hold a long query beside a few headers.
    process.env.UWS_HTTP_MAX_HEADERS_SIZE = String(MAX_HEAD_BYTES);
    await import('uWebSockets.js');
  } catch {
    const need = process.versions.modules === '115' ? '2.27' : '2.38';
    throw new StartError(
      Exit.FAULT,
      `uWebSockets.js does not load here: it needs Node 20, 22, 24 or 25 (this is ${process.version}) and, on Linux, glibc ${need} or newer`,
    );
  }
}

function exitCodeOf(error: unknown): number {
  if (error instanceof StartError) return error.code;
  if (error instanceof ConfigError) return Exit.BAD_SETTING;
  if (error instanceof SeedError) return Exit.BAD_SETTING;
  if (error instanceof UnusableDatabaseError || error instanceof EmbeddedPostgresError)
    return Exit.BAD_DATABASE;
  if (sqlStateOf(error) !== undefined) return Exit.BAD_DATABASE;
  return dataDirFailures.has((error as NodeJS.ErrnoException).code ?? '') ? Exit.BAD_DATA_DIR : Exit.FAULT;
}

function banner(config: Config, supervisor: Supervisor, port: number, startedMs: number): void {
  const host = config.HOST === '0.0.0.0' || config.HOST === '::' ? 'localhost' : config.HOST;
  say(`Switchyard ${packageVersion()} serves http://${host}:${port} after ${startedMs} ms`);
  const { embedded, seedReports } = supervisor;
  if (embedded !== undefined) {
    const place = embedded.isOutside ? ', outside DATA_DIR: it stays when that is removed' : '';
    say(`  embedded PostgreSQL in ${embedded.folder}${place}`);
    say(`  open it with: ${embedded.psqlCommand}`);
  } else if (!supervisor.hasDatabase) {
    say('  PostgreSQL can not be reached yet: calls are answered 503 until it can');
  }
  for (const { table, loaded, notes } of seedReports ?? []) {
    const skipped = [...notes].map(([reason, count]) => `${count} ${reason}`).join('; ');
    say(`  seeded ${loaded} ${table}${skipped === '' ? '' : ` (${skipped})`}`);
  }
}

async function main(): Promise<void> {
  const config = loadConfig();
  const logs = new LogHub({ level: config.LOG_LEVEL, ringMax: config.LOG_RING_MAX, descriptor: 1 });
  const supervisor = new Supervisor(config, logs);
  let isStopping = false;

  const end = (code: number): void => {
    logs.close();
    process.exit(code);
  };
  const fail = async (error: unknown): Promise<void> => {
    if (isStopping) return;
    isStopping = true;
    say(`switchyard: ${error instanceof Error ? error.message : String(error)}`);
    const code = exitCodeOf(error);
    if (code === Exit.FAULT) logs.logger.fatal({ error }, 'the server ends');
    await supervisor.stop().catch(() => undefined);
    end(code);
  };
  const stop = async (signal: NodeJS.Signals): Promise<void> => {
    if (isStopping) {
      logs.logger.warn(`${signal} again: the server ends at once`);
      // Connections are cut, journals are closed; nothing is waited for.
      const isClosed = await supervisor.closeGateways(Date.now() + 500);
      logs.close();
      if (isClosed) process.exit(Exit.DEADLINE);
      process.kill(process.pid, 'SIGKILL');
    }
    isStopping = true;
    logs.logger.info(`${signal}: the server drains`);
    try {
      const inTime = await supervisor.stop();
      logs.logger.info('the server has ended');
      end(inTime ? Exit.OK : Exit.DEADLINE);
    } catch (error) {
      logs.logger.fatal({ error }, 'the server did not end well');
      end(Exit.FAULT);
    }
  };
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => void stop(signal));
  process.on('uncaughtException', (error) => void fail(error));
  process.on('unhandledRejection', (error) => void fail(error));

  try {
    await requireGatewayLibrary();
    const port = await freePort(config);
    await supervisor.start(port, (error) => void fail(error));
    const startedMs = Math.round(performance.now());
    logs.logger.info({ port, started_ms: startedMs }, `listening on ${config.HOST}:${port}`);
    banner(config, supervisor, port, startedMs);
  } catch (error) {
    await fail(error);
  }
}

main().catch((error: unknown) => {
  say(`switchyard: ${error instanceof Error ? error.message : String(error)}`);
  process.exit(exitCodeOf(error));
});
