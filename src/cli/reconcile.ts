import type { Config } from '../config.js';
import { type CounterError, countLinks, findWrongCounters, type StrangeEvents } from '../store/reconcile.js';
import { openDatabase } from './database.js';
import { startProgress } from './progress.js';

const LINKS_A_STEP = 10_000;
const DEADLINE_MS = 600_000;

/**
 * Compares each link's counter with its click events, dropped ones included, in steps, to keep locks short.
 * @param repair Sets the counters that are wrong.
 * @returns how many were wrong.
 */
export async function reconcile(config: Config, repair: boolean): Promise<number> {
  const { pool, close } = await openDatabase(config);
  try {
    const total = await pool.run(DEADLINE_MS, countLinks);
    const progress = startProgress('links', total);
    const wrong: CounterError[] = [];
    const strangers: StrangeEvents[] = [];
    let done = 0;
    for (let after: string | undefined = '0'; after !== undefined; ) {
      const from: string = after;
      const step = await pool.run(DEADLINE_MS, (connection) =>
        findWrongCounters(connection, { after: from, links: LINKS_A_STEP, repair }),
      );
      wrong.push(...step.wrong);
      strangers.push(...step.strangers);
      done += step.links;
      progress.update(done);
      after = step.last;
    }
    progress.stop();
    for (const { id, shortCode, counter, events, dropped } of wrong) {
      const removed = dropped === 0 ? '' : `, and ${dropped} that retention removed`;
      process.stdout.write(
        `link ${id} (${shortCode}): counter ${counter}, click events ${events}${removed}\n`,
      );
    }
    for (const { id, shortCode, events } of strangers) {
      process.stdout.write(`link ${id} (${shortCode}): ${events} click events are another link's\n`);
    }
    const outcome = wrong.length === 0 ? '' : repair ? ', repaired' : ', not repaired: see --repair';
    process.stdout.write(`${done} links compared, ${wrong.length} counters wrong${outcome}\n`);
    return wrong.length;
  } finally {
    await close();
  }
}
