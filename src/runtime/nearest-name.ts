export interface NearestName {
  readonly name: string;
  /** Whether it is near enough for a typing error. */
  readonly isNear: boolean;
}

/** The known name nearest to the given one; `undefined` if none is known. */
export function nearestName(given: string, known: readonly string[]): NearestName | undefined {
  let nearest: string | undefined;
  let least = Number.POSITIVE_INFINITY;
  for (const name of known) {
    const edits = distance(given, name, least);
    if (edits >= least) continue;
    least = edits;
    nearest = name;
  }
  return nearest === undefined ? undefined : { name: nearest, isNear: least <= allowedDistance(nearest) };
}

/** Without differences of habit: letter case, underscores, hyphens. */
export function plainName(name: string): string {
  return name.toLowerCase().replaceAll(/[_-]/g, '');
}

const MAX_DISTANCE = 2;

/** In a short name two wrong letters make another word, and of one or two letters any does. */
function allowedDistance(known: string): number {
  if (known.length <= 2) return 0;
  return known.length <= 4 ? 1 : MAX_DISTANCE;
}

/**
 * Letters to insert, remove, replace, or exchange with their neighbour, on the names as they are compared.
 * @param limit Not less than this is as good as this: hundreds of names are compared at every start.
 */
function distance(given: string, known: string, limit: number): number {
  const from = plainName(given);
  const to = plainName(known);
  if (Math.abs(from.length - to.length) >= limit) return limit;
  let before: number[] = [];
  let row = Array.from({ length: to.length + 1 }, (_, index) => index);
  for (let i = 1; i <= from.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= to.length; j += 1) {
      const isSame = from[i - 1] === to[j - 1];
      let edits = Math.min(
        (row[j - 1] as number) + (isSame ? 0 : 1),
        (row[j] as number) + 1,
        (next[j - 1] as number) + 1,
      );
      if (i > 1 && j > 1 && from[i - 1] === to[j - 2] && from[i - 2] === to[j - 1])
        edits = Math.min(edits, (before[j - 2] as number) + 1);
      next.push(edits);
    }
    // An exchange reaches back two rows.
    if (Math.min(...next, ...row) >= limit) return limit;
    before = row;
    row = next;
  }
  return row[to.length] as number;
}
