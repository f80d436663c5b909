/** Text that a spreadsheet takes for a formula, with or without apostrophes before it. */
const formula = /^'*[=+\-@\t\r]/;
const guarded = /^'+[=+\-@\t\r]/;
const delicate = /[",\r\n]|^\s|\s$/;

/**
 * A value that begins like a formula gets one apostrophe in front, which makes spreadsheets show it instead
 * of running it.
 */
export function guardCell(text: string): string {
  return formula.test(text) ? `'${text}` : text;
}

/** Removes exactly the apostrophe that `guardCell` added. */
export function unguardCell(text: string): string {
  return guarded.test(text) ? text.slice(1) : text;
}

/** A cell after RFC 4180: in quotes if it needs them. */
export function csvCell(text: string): string {
  return delicate.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
