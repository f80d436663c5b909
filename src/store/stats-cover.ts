/** The slots of the sums that make up a range of time: as few as possible, the longest first. */

export const MINUTE_MS = 60_000;
const QUARTER_MS = 15 * MINUTE_MS;
const HOUR_MS = 60 * MINUTE_MS;
export const DAY_MS = 24 * HOUR_MS;

/** Steps longer than a day, with their days; each is four times the one before. */
export const SPANS = [
  { step: '1', days: 4 },
  { step: '2', days: 16 },
  { step: '3', days: 64 },
  { step: '4', days: 256 },
] as const;

/** How far a kind of sum is folded, in ms since 1970 (see `stats_folds`). */
export interface FoldMarks {
  /** Up to where there are whole quarters of an hour; 0 for kinds that have none. */
  readonly partsMs: number;
  readonly hoursMs: number;
  readonly quartersMs: number;
  readonly daysMs: number;
  /** One for each of `SPANS`. */
  readonly spansMs: readonly number[];
}

export const NOTHING_FOLDED: FoldMarks = { partsMs: 0, hoursMs: 0, quartersMs: 0, daysMs: 0, spansMs: [] };

/** Times are in ms since 1970. */
export interface Cover {
  /** Whole slots: the step of each, and its beginning. */
  readonly steps: string[];
  readonly slots: number[];
  /** Days with quarters of an hour in the range. */
  readonly quarterDays: number[];
  /** Ranges of minutes: the beginning and the end of each. */
  readonly minuteFroms: number[];
  readonly minuteTos: number[];
}

const floorTo = (ms: number, unitMs: number): number => Math.floor(ms / unitMs) * unitMs;

/**
 * @param first Beginning of the range in ms since 1970: on a minute, or on a quarter of an hour where minutes are no
 *   longer kept.
 * @param last Its end, likewise.
 */
export function coverOf(first: number, last: number, marks: FoldMarks): Cover {
  const cover: Cover = { steps: [], slots: [], quarterDays: [], minuteFroms: [], minuteTos: [] };
  // The longest first.
  const wholes = [
    ...SPANS.map(({ step, days }, place) => ({
      ...{ step: step as string, lengthMs: days * DAY_MS },
      ...{ fromMs: Number.NEGATIVE_INFINITY, toMs: marks.spansMs[place] ?? 0 },
    })).reverse(),
    { step: 'D', lengthMs: DAY_MS, fromMs: Number.NEGATIVE_INFINITY, toMs: marks.daysMs },
    { step: 'H', lengthMs: HOUR_MS, fromMs: marks.quartersMs, toMs: marks.hoursMs },
    { step: 'Q', lengthMs: QUARTER_MS, fromMs: Number.NEGATIVE_INFINITY, toMs: marks.partsMs },
  ];
  const foldedMs = Math.max(marks.partsMs, marks.hoursMs);
  for (let at = first; at < last; ) {
    if (at >= foldedMs) {
      addMinutes(cover, at, last);
      break;
    }
    const whole = wholes.find(
      ({ lengthMs, fromMs, toMs }) =>
        at % lengthMs === 0 && at >= fromMs && at + lengthMs <= Math.min(last, toMs),
    );
    // Only quarters may lack a slot of their own.
    if (at < marks.quartersMs && (whole === undefined || whole.step === 'Q')) {
      const day = floorTo(at, DAY_MS);
      if (cover.quarterDays.at(-1) !== day) cover.quarterDays.push(day);
    }
    if (whole !== undefined) {
      cover.steps.push(whole.step);
      cover.slots.push(at);
      at += whole.lengthMs;
      continue;
    }
    const next = Math.min(last, floorTo(at, QUARTER_MS) + QUARTER_MS);
    if (at >= marks.quartersMs) addMinutes(cover, at, next);
    at = next;
  }
  return cover;
}

function addMinutes({ minuteFroms, minuteTos }: Cover, from: number, to: number): void {
  if (minuteTos.at(-1) === from) minuteTos[minuteTos.length - 1] = to;
  else {
    minuteFroms.push(from);
    minuteTos.push(to);
  }
}
