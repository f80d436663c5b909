import { expect, it } from 'vitest';
import { coverOf, DAY_MS, type FoldMarks, MINUTE_MS, SPANS } from '../../src/store/stats-cover.js';
import { Random, seed } from '../torture/torture.js';

const QUARTER_MS = 15 * MINUTE_MS;
const HOUR_MS = 60 * MINUTE_MS;

const lengths = new Map<string, number>([
  ...SPANS.map(({ step, days }): [string, number] => [step, days * DAY_MS]),
  ['D', DAY_MS],
  ['H', HOUR_MS],
  ['Q', QUARTER_MS],
]);

function marksAt(nowMs: number, hasParts: boolean): FoldMarks {
  const daysMs = Math.floor(nowMs / DAY_MS) * DAY_MS;
  return {
    partsMs: hasParts ? Math.floor(nowMs / QUARTER_MS) * QUARTER_MS : 0,
    hoursMs: Math.floor(nowMs / HOUR_MS) * HOUR_MS,
    quartersMs: Math.floor((nowMs - 25 * HOUR_MS) / HOUR_MS) * HOUR_MS,
    daysMs,
    spansMs: SPANS.map(({ days }) => Math.floor(daysMs / (days * DAY_MS)) * days * DAY_MS),
  };
}

it(`a cover has all of its range once, in few slots (seed ${seed})`, () => {
  const random = new Random('cover');
  const nowMs = Date.parse('2026-11-27T02:10:00Z');
  for (let round = 0; round < 80; round += 1) {
    const hasParts = round % 2 === 0;
    const marks = marksAt(nowMs, hasParts);
    const unitMs = random.pick([QUARTER_MS, HOUR_MS, DAY_MS]);
    const first =
      Math.floor((nowMs - random.between(0, 3000) * HOUR_MS * random.between(1, 30)) / unitMs) * unitMs;
    const last = Math.min(first + random.between(1, 2000) * unitMs, Math.ceil(nowMs / unitMs) * unitMs);
    const cover = coverOf(first, last, marks);
    const parts = [
      ...cover.steps.map((step, place): [number, number] => {
        const from = cover.slots[place] ?? Number.NaN;
        return [from, from + (lengths.get(step) ?? Number.NaN)];
      }),
      ...cover.minuteFroms.map((from, place): [number, number] => [
        from,
        cover.minuteTos[place] ?? Number.NaN,
      ]),
    ].sort(([one], [other]) => one - other);
    // Quarters of an hour that have no slot of their own are in their day.
    let at = first;
    for (const [from, to] of parts) {
      for (; at < from; at += QUARTER_MS) {
        expect(at < marks.quartersMs && !hasParts).toBe(true);
        expect(cover.quarterDays).toContain(Math.floor(at / DAY_MS) * DAY_MS);
      }
      expect(at).toBe(from);
      at = to;
    }
    for (; at < last; at += QUARTER_MS) expect(cover.quarterDays).toContain(Math.floor(at / DAY_MS) * DAY_MS);
    expect(at).toBe(last);
    // 3 of each span and day at each end, an hour's and a day's parts, and what is between.
    expect(cover.steps.length).toBeLessThan(2 * (4 * 3 + 96) + 24 + 4 + 20);
  }
});

it('what nobody has folded yet is minutes, however far the range goes', () => {
  const nowMs = Date.parse('2026-11-27T02:10:00Z');
  const farMs = nowMs + 100 * 365 * DAY_MS;
  const cover = coverOf(Math.floor(nowMs / HOUR_MS) * HOUR_MS, farMs, marksAt(nowMs, true));
  expect(cover.minuteTos).toEqual([farMs]);
  expect(cover.steps).toEqual([]);
});
