import { isatty } from 'node:tty';
import type { Config } from '../config.js';

/** Whether a person reads lines on this descriptor. */
export function isForPeople(format: Config['LOG_FORMAT'], descriptor: number): boolean {
  return format === 'pretty' || (format === 'auto' && isatty(descriptor));
}

/** Fields that the line's message says already, or that only programs need. */
const LEFT_OUT = ['name', 'pathname', 'lineno', 'method', 'path', 'route', 'status'];

/**
 * Makes one short line of a line of JSON: the time of day (UTC), the level, the thread, the message, and the
 * fields that the message lacks. An error is followed by its stack.
 * @param descriptor Where the lines go: colours are for terminals.
 */
export async function prettyLines(descriptor: number): Promise<(line: string) => string> {
  // Loaded only for people: a server whose lines programs read starts without it.
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
