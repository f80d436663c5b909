/**
 * Looks for a query parameter that we don't know and that resembles one of ours: it was meant to do
 * something, and without it the answer would be a larger or another one than was asked for.
 * @param known Parameters of this route.
 * @param words Those of all routes: what another route knows was not given for nothing either.
 * @returns what to say about the first such parameter; `undefined` when there is none.
 */
export function nearestKnown(
  given: Iterable<string>,
  known: readonly string[],
  words: ReadonlySet<string>,
): string | undefined {
  for (const name of given) {
    if (known.includes(name) || name.length > MAX_LENGTH) continue;
    const near = [...known].sort((one, other) => distance(name, one) - distance(name, other))[0];
    if (near === undefined) continue;
    const isNear = plain(name) === plain(near) || distance(name, near) <= allowedDistance(near);
    if (isNear || isWord(name, words)) return `'${name}'; the nearest known one is '${near}'`;
  }
  return undefined;
}

/** Longer than any name of ours by more than may be wrong with it. */
const MAX_LENGTH = 40;
const MAX_DISTANCE = 2;

/** In a short name two wrong letters make another word, and of one or two letters any does. */
function allowedDistance(known: string): number {
  if (known.length <= 2) return 0;
  return known.length <= 4 ? 1 : MAX_DISTANCE;
}

function isWord(name: string, words: ReadonlySet<string>): boolean {
  for (const word of words) if (plain(word) === plain(name)) return true;
  return false;
}

/** Without what is written differently by habit: letter case and underscores. */
function plain(name: string): string {
  return name.toLowerCase().replaceAll(/[_-]/g, '');
}

/** Letters to insert, remove or replace (Levenshtein), on the names as they are compared. */
function distance(given: string, known: string): number {
  const from = plain(given);
  const to = plain(known);
  let row = Array.from({ length: to.length + 1 }, (_, index) => index);
  for (let i = 1; i <= from.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= to.length; j += 1) {
      const replaced = (row[j - 1] as number) + (from[i - 1] === to[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] as number) + 1, (next[j - 1] as number) + 1));
    }
    row = next;
  }
  return row[to.length] as number;
}
