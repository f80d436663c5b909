/** Hands a file to the browser, as a download. */
export function saveBlob(blob: Blob, name: string): void {
  const address = URL.createObjectURL(blob);
  const link = document.createElement('a');
  link.href = address;
  link.download = name;
  link.click();
  // The browser reads it after the click has been handled.
  window.setTimeout(() => URL.revokeObjectURL(address), 60_000);
}

export const csvBlob = (rows: readonly (readonly string[])[]): Blob =>
  new Blob([rows.map((row) => row.map(csvCell).join(',')).join('\r\n'), '\r\n'], {
    type: 'text/csv;charset=utf-8',
  });

/** A cell that a spreadsheet would run gets an apostrophe in front. */
function csvCell(text: string): string {
  const safe = /^'*[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
