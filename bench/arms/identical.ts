import { ask } from '../load/ask.js';
import { requestText } from '../load/connection.js';
import type { ServerHandle } from './process.js';

/**
 * Requests the same link from every arm and insists on the same status and Location.
 * @returns other differences, for the report: headers, sizes.
 */
export async function requireIdentical(
  servers: readonly (readonly [name: string, server: ServerHandle])[],
  path: string,
): Promise<string[]> {
  const answers = await Promise.all(
    servers.map(async ([name, { port }]) => ({ name, answer: await ask(port, requestText({ port }, path)) })),
  );
  const [first, ...others] = answers;
  if (first === undefined) return [];
  const location = first.answer.headers.get('location');
  const notes = new Set<string>();
  for (const { name, answer } of others) {
    if (answer.status !== first.answer.status || answer.headers.get('location') !== location) {
      const got = `${answer.status} ${answer.headers.get('location')}`;
      throw new Error(`${name} answers ${got}, ${first.name} ${first.answer.status} ${location}`);
    }
    if (answer.bytes !== first.answer.bytes) {
      notes.add(
        `${name} answers ${answer.bytes} bytes (${[...answer.headers.keys()].join(', ')}), ` +
          `${first.name} ${first.answer.bytes} (${[...first.answer.headers.keys()].join(', ')})`,
      );
    }
  }
  return [...notes];
}
