import { formatTimestamp } from './values.js';

const ZONE = String.raw`(?:\s?(Z|UTC|GMT|UT)|\s?([+-])(\d\d)(?::?(\d\d))?(?::(\d\d))?)?`;
const TIME = String.raw`(\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?`;
const WEEKDAY = '(?:(Sun|Mon|Tue|Wed|Thu|Fri|Sat)[a-z]*,?\\s+)?';
const MONTH = '(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*';
const months = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'];
const weekdays = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'];

/** ISO 8601 and RFC 3339, and PostgreSQL's own: `2024-01-02 03:04:05.678+00`. */
const extended = new RegExp(`^(\\d{4})-(\\d\\d)-(\\d\\d)(?:(?:T|\\s+)${TIME})?${ZONE}$`, 'i');
/** ISO 8601 without separators: `20240102T030405Z`. Without a time it could be seconds. */
const basic = new RegExp(
  `^(\\d{4})(\\d\\d)(\\d\\d)T(\\d\\d)(\\d\\d)(?:(\\d\\d)(?:[.,](\\d{1,9}))?)?${ZONE}$`,
  'i',
);
/** RFC 1123 and 5322: `Tue, 02 Jan 2024 03:04:05 GMT`. */
const internet = new RegExp(`^${WEEKDAY}(\\d{1,2})[ -]${MONTH}[ -](\\d{4})(?:\\s+${TIME})?${ZONE}$`, 'i');
/** PostgreSQL's old style, C's asctime and `date`: `Tue Jan 02 03:04:05 2024 UTC`, `… UTC 2024`. */
const unix = new RegExp(
  `^${WEEKDAY}${MONTH}\\s+(\\d{1,2})\\s+${TIME}(?:\\s(?:UTC|GMT))?\\s+(\\d{4})${ZONE}$`,
  'i',
);
/** Seconds since 1970 of the years 2001 to 2286, or milliseconds; other lengths could be a date or an id. */
const epoch = /^(\d{10})(?:\.(\d{1,9}))?$|^(\d{10})(\d{3})$/;

const MIN_MS = Date.parse('0100-01-01T00:00:00Z');
const MAX_MS = Date.parse('9999-12-31T23:59:59.999Z');

interface Fields {
  readonly weekday?: string | undefined;
  readonly year: string | undefined;
  /** 1 to 12. */
  readonly month: string | number | undefined;
  readonly day: string | undefined;
  /** Hour, minute, second, fraction. */
  readonly time: readonly (string | undefined)[];
  /** Name, sign, hours, minutes, seconds. */
  readonly zone: readonly (string | undefined)[];
}

/**
 * Reads a date, or a date and time, in every form that can mean one instant only; without a zone it is
 * UTC. Years are 100 to 9999, in UTC too. `01/02/2024`, two-digit years, zones by other names than UTC's
 * and a weekday that is not that day's are refused.
 * @returns `YYYY-MM-DD HH:MM:SS.mmm` in UTC, or `undefined` for anything else.
 */
export function parseTimestamp(text: string): string | undefined {
  if (isUsual(text)) return `${text.slice(0, 10)} ${text.slice(11)}.000`;
  const trimmed = text.trim();
  const seconds = epoch.exec(trimmed);
  if (seconds !== null) {
    const [, whole = seconds[3], fraction = seconds[4]] = seconds;
    return formatTimestamp(Number(whole) * 1000 + milliseconds(fraction));
  }
  const fields = fieldsOf(trimmed);
  if (fields === undefined) return undefined;
  const ms = instantOf(fields);
  return ms === undefined || ms < MIN_MS || ms > MAX_MS ? undefined : formatTimestamp(ms);
}

/** Like `parseTimestamp`, of ISO 8601, RFC 3339 and PostgreSQL's form of it alone. */
export function parseIsoTime(text: string): string | undefined {
  const trimmed = text.trim();
  return extended.test(trimmed) || basic.test(trimmed) ? parseTimestamp(trimmed) : undefined;
}

const usual = /^\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d$/;
const daysOfMonths = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/** The form that most files have, of a time that needs no second look: a file may have millions. */
function isUsual(text: string): boolean {
  if (text.length !== 19 || !usual.test(text)) return false;
  return (
    Number(text.slice(0, 4)) >= 100 &&
    // In a leap year the 29th gets the second look.
    Number(text.slice(8, 10)) - 1 < (daysOfMonths[Number(text.slice(5, 7)) - 1] ?? 0) &&
    text.slice(8, 10) !== '00' &&
    Number(text.slice(11, 13)) < 24 &&
    Number(text.slice(14, 16)) < 60 &&
    Number(text.slice(17)) < 60
  );
}

function fieldsOf(text: string): Fields | undefined {
  let m = extended.exec(text) ?? basic.exec(text);
  if (m !== null) return { year: m[1], month: m[2], day: m[3], time: m.slice(4, 8), zone: m.slice(8) };
  m = internet.exec(text);
  if (m !== null) {
    const month = monthOf(m[3]);
    return { weekday: m[1], day: m[2], month, year: m[4], time: m.slice(5, 9), zone: m.slice(9) };
  }
  m = unix.exec(text);
  if (m !== null) {
    const month = monthOf(m[2]);
    return { weekday: m[1], month, day: m[3], time: m.slice(4, 8), year: m[8], zone: m.slice(9) };
  }
  return undefined;
}

function instantOf({ weekday, year, month, day, time, zone }: Fields): number | undefined {
  const [hour, minute, second] = [Number(time[0] ?? 0), Number(time[1] ?? 0), Number(time[2] ?? 0)];
  const fraction = milliseconds(time[3]);
  const midnight = new Date(0);
  // Date.UTC would take a year below 100 for 19xx.
  midnight.setUTCFullYear(Number(year), Number(month) - 1, Number(day));
  // 31 February would be carried over into March.
  if (midnight.getUTCMonth() !== Number(month) - 1 || midnight.getUTCDate() !== Number(day)) return undefined;
  if (weekday !== undefined && weekdays[midnight.getUTCDay()] !== weekday.slice(0, 3).toLowerCase()) {
    return undefined;
  }
  // ISO's end of a day, and a leap second, are the beginning of the next.
  const isEndOfDay = hour === 24 && minute === 0 && second === 0 && fraction === 0;
  if ((hour > 23 && !isEndOfDay) || minute > 59 || second > 60 || (second === 60 && fraction > 0)) {
    return undefined;
  }
  const [, sign, hours = '0', minutes = '0', secondsOff = '0'] = zone;
  if (Number(hours) > 15 || Number(minutes) > 59 || Number(secondsOff) > 59) return undefined;
  const offsetSeconds = Number(hours) * 3600 + Number(minutes) * 60 + Number(secondsOff);
  const localSeconds = hour * 3600 + minute * 60 + second;
  const utcSeconds = sign === '-' ? localSeconds + offsetSeconds : localSeconds - offsetSeconds;
  return midnight.getTime() + utcSeconds * 1000 + fraction;
}

/** 1 to 12. */
function monthOf(name: string | undefined): number {
  return months.indexOf((name ?? '').toLowerCase()) + 1;
}

/** The first three digits of a fraction. */
function milliseconds(fraction: string | undefined): number {
  return Number((fraction ?? '').slice(0, 3).padEnd(3, '0'));
}
