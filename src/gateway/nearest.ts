import { nearestName, plainName } from '../runtime/nearest-name.js';

/**
 * Looks for an unknown query parameter that resembles one of ours. The client meant it to do something, and
 * without it would get a larger or different answer than it asked for.
 * @param known Parameters of this route.
 * @param words Those of all routes: a parameter of another route was meant to do something too.
 * @returns the message about the first such parameter; `undefined` if there is none.
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

/** Longer than any of our names plus the tolerated errors. */
const MAX_LENGTH = 40;

function isWord(name: string, words: ReadonlySet<string>): boolean {
  for (const word of words) if (plainName(word) === plainName(name)) return true;
  return false;
}
