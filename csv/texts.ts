import { at, cumulate, type Random } from './random.js';
import { formatTimestamp } from './rows.js';
import { SLOTS } from './slots.js';
import { TOPICS } from './topics.js';
import { capitalise, ORGANISATIONS } from './words.js';

/** What a link is called and where it leads. */
export interface Texts {
  readonly title: string;
  readonly target: string;
}

const TOPIC_SUMS = cumulate(TOPICS.map((topic) => topic.weight));
const ALPHANUMERIC = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';
/** Longest slug, in characters; a longer one ends at the last whole word. */
const SLUG_LENGTH = 72;
const LONG_SHARE = 0.02;

/** Slots that are computed; all others are phrases from SLOTS. */
const COMPUTED: Readonly<Record<string, (random: Random) => string>> = {
  org: (random) => random.pick(ORGANISATIONS),
  k: (random) => String(random.int(2, 24)),
  q: (random) => String(random.int(1, 4)),
  n: (random) => String(random.int(100, 9_999)),
  id: (random) => String(random.int(1_000_000, 999_999_999)),
  letter: (random) => random.pick(['A', 'B', 'C', 'D']),
  hex: (random) => random.string('0123456789abcdef', 10),
  token: (random) => random.string(ALPHANUMERIC, random.int(11, 28)),
  code: (random) => random.string('ABCDEFGHJKLMNPQRSTUVWXYZ23456789', 6),
};

/** A title and a matching target for a link made at `createdAt` (Unix seconds). */
export function makeTexts(random: Random, createdAt: number): Texts {
  const topic = at(TOPICS, random.weighted(TOPIC_SUMS));
  const slots = dateSlots(createdAt);
  const title = capitalise(fill(random, random.pick(topic.titles), slots, (value) => value));
  derive(random, slots, title);
  const plain = fill(random, random.pick(topic.targets), slots, (value, name) =>
    name in SLOTS ? asciiSlug(value) : value,
  );
  return { title, target: random.chance(LONG_SHARE) ? lengthen(random, plain) : plain };
}

/** A title that a link may have had before it was called `title`. */
export function formerTitle(random: Random, title: string): string {
  return random.pick([`Draft: ${title}`, `${title} (old)`, `TODO "${title}"`, `${title}, first version`, '']);
}

/** `template` with every slot replaced by `show` of its value; values drawn here are kept in `slots`. */
function fill(
  random: Random,
  template: string,
  slots: Map<string, string>,
  show: (value: string, name: string) => string,
): string {
  return template.replace(/\{(\w+)\}/g, (_, name: string) => show(slotValue(random, slots, name), name));
}

function slotValue(random: Random, slots: Map<string, string>, name: string): string {
  const known = slots.get(name);
  if (known !== undefined) return known;
  const value = COMPUTED[name]?.(random) ?? random.pick(SLOTS[name] ?? []);
  slots.set(name, value);
  return value;
}

function dateSlots(createdAt: number): Map<string, string> {
  const date = formatTimestamp(createdAt);
  return new Map([
    ['year', date.slice(0, 4)],
    ['month', date.slice(5, 7)],
    ['day', date.slice(8, 10)],
  ]);
}

/** Sets the slots of a target that follow from the title or from other slots. */
function derive(random: Random, slots: Map<string, string>, title: string): void {
  const place = slotValue(random, slots, 'place');
  slots
    .set('host', slotValue(random, slots, 'org').toLowerCase())
    .set('slug', asciiSlug(title))
    .set('unicode', slugOf(title))
    .set('plus', encodeURIComponent(title).replaceAll('%20', '+'))
    .set('encoded', encodeURIComponent(title))
    .set('lowerencoded', encodeURIComponent(title).toLowerCase())
    .set('encodedplace', encodeURIComponent(place))
    .set('campaign', `${asciiSlug(slotValue(random, slots, 'season'))}_${slots.get('year')}`);
}

/** Lower-case letters and digits of any script, the rest as single hyphens. */
function slugOf(text: string): string {
  const slug = text
    .toLowerCase()
    .replace(/[^\p{L}\p{M}\p{N}]+/gu, '-')
    .replace(/^-|-$/g, '');
  return slug.length <= SLUG_LENGTH ? slug : slug.slice(0, slug.lastIndexOf('-', SLUG_LENGTH));
}

/** The slug in [a-z0-9-]: accents dropped, other letters treated as separators. */
function asciiSlug(text: string): string {
  const plain = text
    .normalize('NFD')
    .replace(/\p{M}/gu, '')
    .replaceAll(/[łŁ]/g, 'l')
    .replaceAll(/[øØ]/g, 'o');
  return slugOf(plain.replace(/[^\p{ASCII}]/gu, ' '));
}

/** Ways to make a query long; each piece is under 80 characters. */
const LONG_PIECES: readonly ((random: Random, i: number) => string)[] = [
  (random, i) =>
    `filter%5B${i}%5D=${random.pick(['service', 'team', 'region'])}%3A${random.string('abcdefgh-', 12)}`,
  (random, i) => `p${i}=${random.string(`${ALPHANUMERIC}-_`, 64)}`,
  (random, i) => `selected=${random.int(100_000, 999_999)}&row${i}=${random.int(1, 400)}`,
  (random, i) => `next${i}=https%3A%2F%2Fapp.example.org%2Fr%2F${random.string(ALPHANUMERIC, 16)}%3Fx%3D${i}`,
];

/** `target` with a query that brings it to between 300 and 1,000 characters. */
function lengthen(random: Random, target: string): string {
  const [base = '', fragment] = target.split('#');
  const goal = random.int(300, 880);
  const piece = random.pick(LONG_PIECES);
  let long = base;
  for (let i = 1; long.length < goal; i++) long += `${long.includes('?') ? '&' : '?'}${piece(random, i)}`;
  return fragment === undefined ? long : `${long}#${fragment}`;
}
