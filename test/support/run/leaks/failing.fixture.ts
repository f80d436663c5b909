import { createServer } from 'node:net';
import { it } from 'vitest';

it('fails before it has closed its server', async () => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  throw new Error('the failure itself');
});
