/** Intervals of a time zone's clock and calendar. Times are milliseconds since 1970. */

export const intervalNames = ['minute', 'hour', 'day', 'week', 'month'] as const;
export type IntervalName = (typeof intervalNames)[number];

const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;

/** No interval of the kind is longer. */
const maxMs: Readonly<Record<IntervalName, number>> = {
  minute: MINUTE_MS,
  hour: HOUR_MS,
  day: 2 * DAY_MS,
  week: 8 * DAY_MS,
  month: 32 * DAY_MS,
};

const formats = new Map<string, Intl.DateTimeFormat>();

function formatOf(zone: string): Intl.DateTimeFormat {
  const known = formats.get(zone);
  if (known !== undefined) return known;
  const format = new Intl.DateTimeFormat('en-US', {
    timeZone: zone,
    hourCycle: 'h23',
    era: 'short',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
    second: 'numeric',
  });
  // Zone names are accepted in any letter case: there are more spellings than zones.
  if (formats.size < 1000) formats.set(zone, format);
  return format;
}

/** Whether it is the name of a time zone, old names among them; an offset is none. */
export function isTimeZone(name: string): boolean {
  if (!/^[a-z][\w+/-]*$/i.test(name)) return false;
  try {
    formatOf(name);
    return true;
  } catch {
    return false;
  }
}

/** How far the zone's clock is ahead of UTC at an instant. */
export function offsetMs(zone: string, atMs: number): number {
  if (zone === 'UTC') return 0;
  const wholeMs = Math.floor(atMs / 1000) * 1000;
  const fields: Record<string, string> = {};
  for (const { type, value } of formatOf(zone).formatToParts(wholeMs)) fields[type] = value;
  const year = Number(fields.year);
  const local = new Date(0);
  local.setUTCFullYear(fields.era === 'BC' ? 1 - year : year, Number(fields.month) - 1, Number(fields.day));
  local.setUTCHours(Number(fields.hour), Number(fields.minute), Number(fields.second));
  return local.getTime() - wholeMs;
}

/** The first instant after `fromMs`, up to `toMs`, from which on the offset is that of `toMs`. */
function changeBetween(zone: string, fromMs: number, toMs: number): number {
  const after = offsetMs(zone, toMs);
  let low = fromMs;
  let high = toMs;
  while (high - low > 1000) {
    const middle = Math.floor((low + high) / 2000) * 1000;
    if (offsetMs(zone, middle) === after) high = middle;
    else low = middle;
  }
  return high;
}

/** The first instant of a local time; if the clock skips it, the instant of the skip. */
function instantOf(zone: string, localMs: number): number {
  const before = offsetMs(zone, localMs - DAY_MS);
  const after = offsetMs(zone, localMs + DAY_MS);
  const early = localMs - Math.max(before, after);
  const late = localMs - Math.min(before, after);
  if (offsetMs(zone, early) === localMs - early) return early;
  if (offsetMs(zone, late) === localMs - late) return late;
  return changeBetween(zone, early, late);
}

/** The local midnight at which the day, week or month of a local time begins, or one `steps` later. */
function localStart(interval: 'day' | 'week' | 'month', localMs: number, steps: number): number {
  const date = new Date(localMs);
  date.setUTCHours(0, 0, 0, 0);
  if (interval === 'month') date.setUTCMonth(date.getUTCMonth() + steps, 1);
  else if (interval === 'day') date.setUTCDate(date.getUTCDate() + steps);
  else date.setUTCDate(date.getUTCDate() - ((date.getUTCDay() + 6) % 7) + 7 * steps);
  return date.getTime();
}

function* daysFrom(interval: 'day' | 'week' | 'month', zone: string, atMs: number): Generator<number> {
  const local = atMs + offsetMs(zone, atMs);
  // A clock that goes back over midnight reaches a day twice: the first time counts.
  let step = instantOf(zone, localStart(interval, local, 0)) > atMs ? -1 : 0;
  let last = Number.NEGATIVE_INFINITY;
  for (; ; step += 1) {
    const start = instantOf(zone, localStart(interval, localStart(interval, local, 0), step));
    // A day that the clock skips has no beginning.
    if (start > last) yield start;
    last = Math.max(last, start);
  }
}

/** Full hours of the zone's clock, and each change of it. */
function* hoursFrom(zone: string, atMs: number): Generator<number> {
  let offset = offsetMs(zone, atMs);
  let start = Math.floor((atMs + offset) / HOUR_MS) * HOUR_MS - offset;
  if (offsetMs(zone, start) !== offset) start = changeBetween(zone, start, atMs);
  // Clocks seldom change: a day that begins and ends with the same offset has no change.
  let checkedTo = start;
  let change = Number.POSITIVE_INFINITY;
  for (;;) {
    yield start;
    const next = (Math.floor((start + offset) / HOUR_MS) + 1) * HOUR_MS - offset;
    while (change === Number.POSITIVE_INFINITY && checkedTo < next) {
      if (offsetMs(zone, checkedTo + DAY_MS) !== offset)
        change = changeBetween(zone, checkedTo, checkedTo + DAY_MS);
      checkedTo += DAY_MS;
    }
    if (change <= next) {
      start = change;
      offset = offsetMs(zone, change);
      checkedTo = change;
      change = Number.POSITIVE_INFINITY;
    } else start = next;
  }
}

function* minutesFrom(atMs: number): Generator<number> {
  for (let start = Math.floor(atMs / MINUTE_MS) * MINUTE_MS; ; start += MINUTE_MS) yield start;
}

function startsFrom(interval: IntervalName, zone: string, atMs: number): Generator<number> {
  switch (interval) {
    case 'minute':
      return minutesFrom(atMs);
    case 'hour':
      return hoursFrom(zone, atMs);
    case 'day':
    case 'week':
    case 'month':
      return daysFrom(interval, zone, atMs);
    default:
      throw new Error(`no such interval: ${String(interval satisfies never)}`);
  }
}

/**
 * The intervals that cover `fromMs` up to, but not including, `toMs`.
 * @returns the beginning of each, and finally the end of the last; `undefined` if there are more than `max`.
 */
export function intervalsOf(
  interval: IntervalName,
  zone: string,
  fromMs: number,
  toMs: number,
  max: number,
): number[] | undefined {
  if ((toMs - fromMs) / maxMs[interval] > max) return undefined;
  const bounds: number[] = [];
  for (const start of startsFrom(interval, zone, fromMs)) {
    bounds.push(start);
    if (start >= toMs) return bounds;
    if (bounds.length > max) return undefined;
  }
  return bounds;
}
