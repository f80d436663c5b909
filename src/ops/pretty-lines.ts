import { isatty } from 'node:tty';
import type { Config } from '../config.js';

/** Whether lines on this descriptor are read by a person. */
export function isForPeople(format: Config['LOG_FORMAT'], descriptor: number): boolean {
  return format === 'pretty' || (format === 'auto' && isatty(descriptor));
}

/** What the message of the line says already, or what only programs look for. */
const LEFT_OUT = ['name', 'pathname', 'lineno', 'method', 'path', 'route', 'status'];

/**
 * Makes one short line of a line of JSON: the time of day (UTC), the level, who speaks, the message, and
 * the fields that the message leaves out. An error is followed by its stack.
 * @param descriptor Where the lines go: colours are for terminals.
 */
export async function prettyLines(descriptor: number): Promise<(line: string) => string> {
  // Loaded for people only: a server whose lines are read by programs starts without it.
  const { prettyFactory } = await import('pino-pretty');
  return prettyFactory({
    colorize: isatty(descriptor) && (process.env.NO_COLOR ?? '') === '',
    levelKey: 'levelname',
    messageKey: 'message',
    timestampKey: 'asctime',
    ignore: LEFT_OUT.join(','),
    messageFormat: '{name}: {message}',
    singleLine: true,
    customLevels: 'debug:20,info:30,warning:40,error:50,critical:60',
    customPrettifiers: { time: (asctime) => String(asctime).slice(11, 19) },
  });
}
