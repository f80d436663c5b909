/** What a spreadsheet takes for a formula, with apostrophes before it or not. */
const formula = /^'*[=+\-@\t\r]/;
const guarded = /^'+[=+\-@\t\r]/;
const delicate = /[",\r\n]|^\s|\s$/;

/** A value that begins as a formula does gets one apostrophe in front, so that it is shown and not run. */
export function guardCell(text: string): string {
  return formula.test(text) ? `'${text}` : text;
}

/** Takes off exactly the apostrophe that `guardCell` has put there. */
export function unguardCell(text: string): string {
  return guarded.test(text) ? text.slice(1) : text;
}

/** A cell as RFC 4180 has it: in quotes where it needs them. */
export function csvCell(text: string): string {
  return delicate.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
