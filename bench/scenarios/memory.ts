import { setTimeout as sleep } from 'node:timers/promises';
import { readMetrics } from '../arms/switchyard.js';
import { CountedServer } from '../counted-server.js';
import { codeOf } from '../data/links.js';
import { requestText } from '../load/connection.js';
import { walk } from '../load/walk.js';
import { residentBytes } from '../measure/process-usage.js';
import type { Bench, Scenario } from '../scenario.js';

const LINKS = 1_000_000;
const QUICK_LINKS = 200_000;
const CONNECTIONS = 64;
const KEPT_FEW = 1000;
/** Memory that is freed when idle counts as freed. */
const SETTLE_SECONDS = 10;

export const memory: Scenario = {
  name: 'memory',
  title: 'Memory a cached link',
  isComparable: false,
  run: async (bench) => {
    const links = bench.isQuick ? QUICK_LINKS : LINKS;
    bench.progress.begin(memory.name, 2);
    bench.progress.step('a server that keeps all');
    const all = await residentAfter(bench, links, links + KEPT_FEW);
    bench.progress.step('a server that keeps few');
    const few = await residentAfter(bench, links, KEPT_FEW);
    const bytes = (all.after - few.after) / links;
    return {
      name: memory.name,
      title: memory.title,
      unit: 'links',
      parameters: { links },
      arms: [],
      comparisons: [],
      targets: [{ text: 'RSS a cached link', value: bytes, limit: 300, kind: 'at most', unit: 'bytes' }],
      facts: [
        { label: 'RSS of the server that keeps all', value: all.after / 2 ** 20, unit: 'MiB' },
        { label: 'RSS of the one that keeps few', value: few.after / 2 ** 20, unit: 'MiB' },
        {
          label: 'growth of the one that keeps all, a link',
          value: (all.after - all.before) / links,
          unit: 'bytes',
        },
        {
          label: 'growth of the one that keeps few, a link',
          value: (few.after - few.before) / links,
          unit: 'bytes',
        },
      ],
      timelines: [],
      notes: [
        'by difference between two servers that answered the same requests and differ in CACHE_MAX_LINKS only',
        `the gateway collects its garbage first; RSS is the lowest within ${SETTLE_SECONDS} s after`,
      ],
      unitCosts: { cachedLinkBytes: bytes },
    };
  },
};

async function residentAfter(
  bench: Bench,
  links: number,
  cacheMaxLinks: number,
): Promise<{ before: number; after: number }> {
  const [subject] = bench.subjects;
  if (subject === undefined) throw new Error('there is nothing to measure');
  const database = await bench.postgres.database(links);
  const settings = { CACHE_MAX_LINKS: String(cacheMaxLinks) };
  const server = await CountedServer.start(database.url, subject.root, settings, []);
  try {
    await sleep(2000);
    await server.probe({ ask: 'begin' });
    const before = residentBytes([server.pid]);
    const requests = Array.from({ length: links }, (_, index) =>
      requestText({ port: server.port }, `/${codeOf(index + 1)}`),
    );
    const wrong = await walk(server.port, requests, { connections: CONNECTIONS, expected: 302 });
    if (wrong > 0) throw new Error(`${wrong} links did not redirect`);
    while (((await readMetrics(server.port)).get('clicks_pending') ?? 0) > 0) await sleep(200);
    await server.probe({ ask: 'begin' });
    let after = residentBytes([server.pid]);
    for (let second = 0; second < SETTLE_SECONDS; second += 1) {
      await sleep(1000);
      after = Math.min(after, residentBytes([server.pid]));
    }
    return { before, after };
  } finally {
    await server.stop();
    await bench.postgres.drop(database);
  }
}
