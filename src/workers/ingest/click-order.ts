import type { JournalledLink } from '../../journal/format.js';
import type { JournalledClick } from '../../journal/known.js';

/** Clicks by the ids of their links, in ascending order; those on one link in the order in which they came. */
export function sortByLink(clicks: readonly JournalledClick[]): JournalledClick[] {
  const links: JournalledLink[] = [];
  const counts: number[] = [];
  const numbers = new Map<JournalledLink, number>();
  const numberOf = new Int32Array(clicks.length);
  for (let index = 0; index < clicks.length; index += 1) {
    const { link } = clicks[index] as JournalledClick;
    let number = numbers.get(link);
    if (number === undefined) {
      number = links.length;
      numbers.set(link, number);
      links.push(link);
      counts.push(0);
    }
    numberOf[index] = number;
    counts[number] = (counts[number] as number) + 1;
  }
  const places = new Int32Array(links.length);
  let place = 0;
  for (const number of links.map((_, index) => index).sort((one, other) => byId(links[one], links[other]))) {
    places[number] = place;
    place += counts[number] as number;
  }
  const sorted = new Array<JournalledClick>(clicks.length);
  for (let index = 0; index < clicks.length; index += 1) {
    const number = numberOf[index] as number;
    sorted[places[number] as number] = clicks[index] as JournalledClick;
    places[number] = (places[number] as number) + 1;
  }
  return sorted;
}

/** Ids are decimal text, without leading zeros. */
function byId(one: JournalledLink | undefined, other: JournalledLink | undefined): number {
  const [left, right] = [one?.urlId ?? '', other?.urlId ?? ''];
  if (left.length !== right.length) return left.length - right.length;
  if (left === right) return 0;
  return left < right ? -1 : 1;
}
