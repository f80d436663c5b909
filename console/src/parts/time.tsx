/** The API's times are UTC, without a zone. */
export function parseTime(text: string): Date {
  return new Date(/Z$|[+-]\d\d:?\d\d$/.test(text) ? text : `${text}Z`);
}

const exact = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' });
const day = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short', year: 'numeric' });
const relative = new Intl.RelativeTimeFormat(undefined, { numeric: 'auto', style: 'short' });

const units = [
  ['day', 86_400],
  ['hour', 3600],
  ['minute', 60],
] as const;

export function relativeTime(date: Date, now = Date.now()): string {
  const seconds = Math.round((date.getTime() - now) / 1000);
  if (Math.abs(seconds) > 30 * 86_400) return day.format(date);
  for (const [unit, length] of units)
    if (Math.abs(seconds) >= length) return relative.format(Math.round(seconds / length), unit);
  return relative.format(seconds, 'second');
}

export const exactTime = (date: Date): string => exact.format(date);
export const clockTime = (date: Date): string => date.toLocaleTimeString();

/** Relative, with the exact time in the visitor's zone on hover. */
export function Time({ at }: { readonly at: string }) {
  const date = parseTime(at);
  return (
    <time dateTime={date.toISOString()} title={exactTime(date)}>
      {relativeTime(date)}
    </time>
  );
}

/** The visitor's time zone. */
export const ownZone = Intl.DateTimeFormat().resolvedOptions().timeZone;

const whole = new Intl.NumberFormat();
export const count = (value: number): string => whole.format(value);

/** The value of the browser's date and time field, in the visitor's zone. */
export function toLocalField(text: string | null): string {
  if (text === null) return '';
  const date = parseTime(text);
  return new Date(date.getTime() - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 19);
}

export function fromLocalField(text: string): string | null {
  if (text === '') return null;
  const date = new Date(text);
  return Number.isNaN(date.getTime()) ? text : date.toISOString().slice(0, 19);
}
