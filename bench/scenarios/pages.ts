import { decodeCursor, encodeCursor } from '../../src/api/cursors.js';
import { startSwitchyard } from '../arms/switchyard.js';
import { ask } from '../load/ask.js';
import { requestText } from '../load/connection.js';
import { median } from '../measure/statistics.js';
import type { Scenario } from '../scenario.js';

const LINKS = 10_000_000;
const QUICK_LINKS = 1_000_000;
const PAGE = 1000;
/** Pages in a turn, each of them another one. */
const PAGES = 20;

/** Pages of a long list by cursor: the last ones may not cost more than the first. */
export const pages: Scenario = {
  name: 'pages',
  title: `GET /urls?limit=${PAGE}&after=…, the first and the last pages`,
  isComparable: false,
  isOnRequest: true,
  run: async (bench) => {
    const [subject] = bench.subjects;
    if (subject === undefined) throw new Error('there is nothing to measure');
    const links = bench.isQuick ? QUICK_LINKS : LINKS;
    bench.progress.begin(pages.name, bench.rounds + 2);
    bench.progress.step(`making ${links} links`);
    const database = await bench.postgres.database(links, [], subject.root);
    bench.progress.step('starting the server');
    const server = await startSwitchyard({
      root: subject.root,
      databaseUrl: database.url,
      placement: 'anywhere',
      profiles: bench.profiles,
    });
    try {
      const read = async (query: string): Promise<{ ms: number; next: string }> => {
        const startMs = performance.now();
        const path = `/urls?sort=created_at&limit=${PAGE}${query}`;
        const { status, headers } = await ask(server.port, requestText({ port: server.port }, path));
        if (status !== 200) throw new Error(`GET ${path}: ${status}`);
        const next = headers.get('link')?.match(/[?&]after=([^&>]+)/)?.[1] ?? '';
        return { ms: performance.now() - startMs, next };
      };
      /** @returns the median of a walk's pages, ms. */
      const walk = async (from: string): Promise<number> => {
        const times: number[] = [];
        let query = from;
        for (let page = 0; page < PAGES; page += 1) {
          const { ms, next } = await read(query);
          times.push(ms);
          if (next !== '') query = `&after=${next}`;
        }
        return median(times);
      };
      const id = String(links - PAGE * (PAGES + 1));
      const { rows } = await database.client.query<{ key: string }>(
        'SELECT created_at::text AS key FROM short_urls WHERE id = $1',
        [id],
      );
      // As a client would have it that has read all pages before.
      const digest = decodeCursor((await read('')).next)?.digest ?? '';
      const lastPages = `&after=${encodeCursor(digest, { key: rows[0]?.key ?? '', id })}`;
      await walk('');
      await walk(lastPages);
      const first: number[] = [];
      const last: number[] = [];
      for (let round = 0; round < bench.rounds; round += 1) {
        bench.progress.step(`round ${round + 1} of ${bench.rounds}`);
        first.push(await walk(''));
        last.push(await walk(lastPages));
      }
      return {
        name: pages.name,
        title: pages.title,
        unit: 'pages',
        parameters: { links, limit: PAGE, pages_a_turn: PAGES, rounds: bench.rounds },
        arms: [],
        comparisons: [],
        targets: [
          {
            text: 'a last page, of a first one',
            value: median(last.map((ms, round) => ms / (first[round] ?? Number.NaN))),
            limit: 1.2,
            kind: 'at most',
            unit: '×',
          },
        ],
        facts: [
          { label: 'a first page, median', value: median(first), unit: 'ms' },
          { label: 'a last page, median', value: median(last), unit: 'ms' },
        ],
        timelines: [],
        notes: ['a page is read on a connection of its own'],
        unitCosts: {},
      };
    } finally {
      await server.stop();
      await bench.postgres.drop(database);
    }
  },
};
