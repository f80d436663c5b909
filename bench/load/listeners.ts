import { type ClientRequest, get } from 'node:http';

const FIRST_MESSAGE_MS = 10_000;

/**
 * Opens the console and the live figures so many times; returns when each listener has had a message.
 * @returns ends all of them; it throws where one had ended before.
 */
export async function openListeners(port: number, count: number): Promise<() => void> {
  const requests: ClientRequest[] = [];
  let ended = 0;
  const open = (): Promise<void> =>
    new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error('no message of the live figures')), FIRST_MESSAGE_MS);
      const request = get({ host: '127.0.0.1', port, path: '/stats/live', agent: false }, (response) => {
        if (response.statusCode !== 200) reject(new Error(`GET /stats/live: ${response.statusCode}`));
        response.on('data', () => {
          clearTimeout(timer);
          resolve();
        });
        response.on('close', () => {
          ended += 1;
        });
      });
      request.on('error', reject);
      requests.push(request);
    });
  const page = await fetch(`http://127.0.0.1:${port}/ui/`);
  await page.arrayBuffer();
  if (page.status !== 200) throw new Error(`GET /ui/: ${page.status}`);
  await Promise.all(Array.from({ length: count }, open));
  return () => {
    const early = ended;
    for (const request of requests) request.destroy();
    if (early > 0) throw new Error(`${early} listeners were dropped`);
  };
}
