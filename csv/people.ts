import { DAY, END, momentBetween, START } from './moments.js';
import { at, cumulate, type Random } from './random.js';
import type { UserRow } from './rows.js';
import {
  capitalise,
  GIVEN_NAMES,
  HANDLE_HEADS,
  HANDLE_TAILS,
  ORGANISATIONS,
  SURNAMES,
  TEAMS,
} from './words.js';

/** Whose account it is; all in lower-case ASCII. */
interface Person {
  readonly given: string;
  readonly surname: string;
}

type Style = (random: Random, person: Person) => string;

/** Unix seconds after which nobody signs up, so that everybody still has time to make links. */
const LAST_SIGN_UP = END - 20 * DAY;

/** The ways people choose a username, with how often they do. */
const STYLES: readonly (readonly [weight: number, style: Style])[] = [
  [14, (_, { given, surname }) => `${given}.${surname}`],
  [10, (_, { given, surname }) => `${given.charAt(0)}${surname}`],
  [9, (_, { given, surname }) => `${given}_${surname}`],
  [6, (_, { given, surname }) => `${given}${surname}`],
  [5, (_, { given, surname }) => `${surname}${given.charAt(0)}`],
  [5, (_, { given, surname }) => `${given}-${surname.charAt(0)}`],
  [4, (_, { given, surname }) => `${capitalise(given)}${capitalise(surname)}`],
  [7, (random, { given }) => `${given}${random.int(71, 99)}`],
  [4, (random, { surname }) => `${surname}${random.int(1, 9)}`],
  [4, (_, { given }) => given],
  [4, (random, { given }) => `${given}_${random.pick(HANDLE_TAILS)}`],
  [8, (random) => `${random.pick(HANDLE_HEADS)}${random.pick(HANDLE_TAILS)}`],
  [6, (random) => `${random.pick(HANDLE_HEADS)}_${random.pick(HANDLE_TAILS)}`],
  [4, (random) => `${capitalise(random.pick(HANDLE_HEADS))}${capitalise(random.pick(HANDLE_TAILS))}`],
  [3, (random) => `the${random.pick(HANDLE_TAILS)}${random.int(2, 77)}`],
  [7, (random) => `${random.pick(ORGANISATIONS).toLowerCase()}-${random.pick(TEAMS)}`],
];
const STYLE_SUMS = cumulate(STYLES.map(([weight]) => weight));

const COMMON_HOSTS = [
  'example.com',
  'example.com',
  'example.org',
  'example.net',
  'mail.example.com',
  'post.example.net',
];

/** `count` accounts in the order of their making; no two share a username or an address in any letter case. */
export function makeUsers(random: Random, count: number): UserRow[] {
  const moments = Array.from({ length: count }, () => momentBetween(random, START, LAST_SIGN_UP));
  const taken = new Set<string>();
  return moments
    .sort((a, b) => a - b)
    .map((createdAt, i) => ({ id: i + 1, ...makeNames(random, taken), createdAt }));
}

/** A username and an address not in `taken`, which then holds both. */
function makeNames(random: Random, taken: Set<string>): { username: string; email: string } {
  for (;;) {
    const person = { given: random.pick(GIVEN_NAMES), surname: random.pick(SURNAMES) };
    const [, style] = at(STYLES, random.weighted(STYLE_SUMS));
    const username = style(random, person);
    const email = makeEmail(random, person, username.toLowerCase());
    if (taken.has(username.toLowerCase()) || taken.has(email)) continue;
    taken.add(username.toLowerCase()).add(email);
    return { username, email };
  }
}

function makeEmail(random: Random, person: Person, username: string): string {
  const local = random.chance(0.5) ? username : `${person.given}.${person.surname}`;
  const tag = random.chance(0.04) ? '+links' : '';
  return `${local}${tag}@${emailHost(random)}`;
}

function emailHost(random: Random): string {
  const organisation = random.pick(ORGANISATIONS).toLowerCase();
  if (random.chance(0.5)) return random.pick(COMMON_HOSTS);
  return random.chance(0.85) ? `${organisation}.example` : `mail.${organisation}.test`;
}
