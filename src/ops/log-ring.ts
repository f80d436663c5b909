export interface LogQuery {
  readonly limit: number;
  /** Part of an entry's text, in any letter case; empty for all. */
  readonly filter: string;
  /** `INFO`, `WARNING`, `ERROR`; anything else for all. */
  readonly level: string;
}

interface Entry {
  readonly line: string;
  /** The text that a filter searches; made on the first use of a filter. */
  text: string | undefined;
}

/** Entries to search between two looks at the clock. */
const ENTRIES_A_STEP = 16;
const levels = new Set(['DEBUG', 'INFO', 'WARNING', 'ERROR', 'CRITICAL']);

/** The newest log lines, for GET /logs. */
export class LogRing {
  readonly #entries: Entry[] = [];
  readonly #max: number;
  /** The number of lines so far; the next goes to this place, modulo the ring's size. */
  #total = 0;

  constructor(max: number) {
    this.#max = max;
  }

  add(line: string): void {
    this.#entries[this.#total % this.#max] = { line, text: undefined };
    this.#total += 1;
  }

  /**
   * Looks for the newest entries that match; yields now and then, to let the caller postpone it.
   * @returns them, oldest first, as the body of GET /logs.
   */
  *search({ limit, filter, level }: LogQuery): Generator<void, string> {
    const wantedLevel = levels.has(level) ? `"levelname":"${level}"` : '';
    const wantedText = filter.toLowerCase();
    const found: string[] = [];
    const newest = this.#total - 1;
    // Lines that arrive meanwhile replace the oldest, which are then unavailable.
    for (let at = newest; at >= Math.max(0, this.#total - this.#max) && found.length < limit; at -= 1) {
      if ((newest - at) % ENTRIES_A_STEP === ENTRIES_A_STEP - 1) yield;
      const entry = this.#entries[at % this.#max];
      if (entry === undefined || !entry.line.includes(wantedLevel)) continue;
      if (wantedText !== '') {
        entry.text ??= textOf(entry.line);
        if (!entry.text.includes(wantedText)) continue;
      }
      found.push(entry.line);
    }
    return `{"count":${found.length},"logs":[${found.reverse().join(',')}]}`;
  }
}

/** The values of an entry, without the names of its fields, in lower case. */
function textOf(line: string): string {
  const values: string[] = [];
  const collect = (value: unknown): void => {
    if (typeof value === 'object' && value !== null) for (const inner of Object.values(value)) collect(inner);
    else values.push(String(value));
  };
  try {
    collect(JSON.parse(line));
  } catch {
    return line.toLowerCase();
  }
  return values.join('\n').toLowerCase();
}
