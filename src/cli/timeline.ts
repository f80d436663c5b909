import type { Config } from '../config.js';
import { SeenTimeline } from '../postgres/seen-timeline.js';

/** Prints which PostgreSQL the servers of DATA_DIR wrote to last, and its timeline. */
export function showTimeline(config: Config): void {
  const { seen } = new SeenTimeline(config.DATA_DIR);
  const what = seen === undefined ? 'none was noted' : `${seen.timeline} of system ${seen.system}`;
  process.stdout.write(`timeline: ${what}\n`);
}

/**
 * Lets the servers of DATA_DIR write to a primary on a lower timeline than the one they wrote to last.
 * @throws TypeError for anything that is not a timeline; Error if none was noted.
 */
export function acceptTimeline(config: Config, text: string): void {
  const timeline = Number(text);
  if (!/^\d{1,10}$/.test(text) || timeline < 1) throw new TypeError('a timeline is a number from 1');
  const noted = new SeenTimeline(config.DATA_DIR);
  if (noted.seen === undefined) throw new Error(`no timeline was noted in ${config.DATA_DIR}`);
  noted.note({ system: noted.seen.system, timeline });
  showTimeline(config);
}
