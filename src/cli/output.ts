const GAP = '  ';
const NARROWEST = 8;

export type Row = Readonly<Record<string, unknown>>;

/** Prints an answer: JSON for programs, a table of these columns for people. */
export function show(answer: unknown, isJson: boolean, columns: readonly string[]): void {
  if (isJson) {
    print(JSON.stringify(answer, null, 2));
  } else if (Array.isArray(answer)) {
    for (const line of tableOf(answer as Row[], columns, process.stdout.columns)) print(line);
  } else {
    const entries = Object.entries((answer ?? {}) as Row);
    const width = Math.max(0, ...entries.map(([name]) => name.length));
    for (const [name, value] of entries) print(`${name.padEnd(width)}${GAP}${cell(value)}`);
  }
}

/** @param width Of the terminal, if there is one; the last column is shortened to fit. */
export function tableOf(
  rows: readonly Row[],
  columns: readonly string[],
  width: number | undefined,
): string[] {
  const lines = [
    columns.map((name) => name.toUpperCase()),
    ...rows.map((row) => columns.map((name) => cell(row[name]))),
  ];
  const widths = columns.map((_, index) => Math.max(...lines.map((line) => line[index]?.length ?? 0)));
  return lines.map((line) => {
    const text = line
      .map((value, index) => value.padEnd(widths[index] ?? 0))
      .join(GAP)
      .trimEnd();
    const isLong = width !== undefined && width > NARROWEST && text.length > width;
    return isLong ? `${text.slice(0, width - 1)}…` : text;
  });
}

function cell(value: unknown): string {
  if (value === null || value === undefined) return '-';
  const text =
    typeof value === 'string' ? value : Array.isArray(value) ? value.join(',') : JSON.stringify(value);
  // The text of a link or a name must not control the terminal.
  return text.replaceAll(/\p{Cc}/gu, '?');
}

export function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
