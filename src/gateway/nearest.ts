import { nearestName, plainName } from '../runtime/nearest-name.js';

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
    const near = nearestName(name, known);
    if (near === undefined) continue;
    if (near.isNear || isWord(name, words)) return `'${name}'; the nearest known one is '${near.name}'`;
  }
  return undefined;
}

/** Longer than any name of ours by more than may be wrong with it. */
const MAX_LENGTH = 40;

function isWord(name: string, words: ReadonlySet<string>): boolean {
  for (const word of words) if (plainName(word) === plainName(name)) return true;
  return false;
}
