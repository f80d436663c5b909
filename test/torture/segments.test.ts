import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it, onTestFinished } from 'vitest';
import { startLoad } from '../support/clients/load.js';
import { createDatabase } from '../support/database/database.js';
import { startServer } from '../support/server/server.js';
import { createUrl } from '../support/server/suite.js';
import { report, rounds, Seen, settled, totalOf } from './torture.js';

const SECONDS = rounds(3, 120);

/**
 * A gateway goes on to its next segment before it has clicks for it, and the ingest looks at once. Segments end
 * here every 100 ms, and clicks come while an empty one is being looked at.
 */
it(`counts each click while segments end and begin, for ${SECONDS} s`, {
  timeout: 120_000 + 2000 * SECONDS,
}, async () => {
  const database = await createDatabase();
  onTestFinished(() => database.drop());
  const server = await startServer({
    DATABASE_URL: database.url,
    GATEWAY_THREADS: '2',
    CLICK_JOURNAL_SEGMENT_MS: '100',
    CLICK_INGEST_LINGER_MS: '0',
  });
  const { short_code: code } = await createUrl(server);
  const load = startLoad(server.port, [code], 4, 4);
  await sleep(SECONDS * 1000);
  await load.stop();
  const seen = new Seen();
  seen.add(load);
  const counted = await settled(database, seen.total).catch(() => undefined);
  const damage = server.logs
    .map(({ message }) => message)
    .filter((message) => /segment|are gone/.test(message));
  expect(damage).toEqual([]);
  expect(counted?.get(code)).toEqual({ counter: seen.total, events: seen.total });
  report({
    run: 'segments that end every 100 ms',
    faults: 0,
    redirects: seen.total,
    unknown: seen.broken,
    clicks: counted === undefined ? 0 : totalOf(counted),
    lost: 0,
    twice: 0,
  });
  expect(await server.stop()).toBe(0);
});
