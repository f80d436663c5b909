import { send } from './call.js';
import { type Reading, routes } from './types.js';

/** Server-sent events, read by fetch because an EventSource can't send a key. Ends with the server or the signal. */
export async function* readLive(signal: AbortSignal): AsyncGenerator<Reading> {
  const response = await send(routes.live, { signal, hasDeadline: false });
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  if (reader === undefined) return;
  let rest = '';
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    const messages = (rest + part.value).split(/\r?\n\r?\n/);
    rest = messages.pop() ?? '';
    for (const message of messages) {
      const data = message
        .split(/\r?\n/)
        .flatMap((line) => (line.startsWith('data:') ? [line.slice('data:'.length).trimStart()] : []))
        .join('\n');
      if (data !== '') yield JSON.parse(data) as Reading;
    }
  }
}
