import { at, type Random } from './random.js';

const HOUR = 3_600;
/** Seconds in a day. */
export const DAY = 24 * HOUR;

/** The first second of the data, 2024-01-01 00:00:00 UTC, as Unix seconds. */
export const START = 1_704_067_200;
/** The last second of the data, 2026-06-30 23:59:59 UTC, as Unix seconds. */
export const END = 1_782_863_999;

/** How busy each hour of the day (UTC) is, 0 to 1. */
const BUSY_HOURS = [
  0.15, 0.1, 0.08, 0.08, 0.1, 0.2, 0.35, 0.6, 0.9, 1, 1, 0.9, 0.75, 0.95, 1, 1, 0.9, 0.75, 0.6, 0.55, 0.5,
  0.4, 0.3, 0.2,
];
const WEEKEND = 0.45;
/** Draws of one moment before a quiet hour is accepted as well. */
const TRIES = 12;

/** A second between `from` and `to` (Unix seconds, both included), more likely in working hours. */
export function momentBetween(random: Random, from: number, to: number): number {
  let moment = random.int(from, to);
  for (let i = 1; i < TRIES && !random.chance(busyness(moment)); i++) moment = random.int(from, to);
  return moment;
}

/** `count` seconds between `from` and `to` (Unix seconds), ascending and no two alike: one in each equal share. */
export function momentsBetween(random: Random, count: number, from: number, to: number): number[] {
  const share = Math.floor((to - from) / count);
  return Array.from({ length: count }, (_, i) =>
    momentBetween(random, from + i * share, from + (i + 1) * share - 1),
  );
}

/** How likely something happens at `moment` (Unix seconds), 0 to 1. */
export function busyness(moment: number): number {
  const hour = at(BUSY_HOURS, Math.floor((moment % DAY) / HOUR));
  // Day 0 of Unix time was a Thursday: with 4 added, 0 is Sunday and 6 Saturday.
  const weekday = (Math.floor(moment / DAY) + 4) % 7;
  return weekday === 0 || weekday === 6 ? hour * WEEKEND : hour;
}
