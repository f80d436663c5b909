import { DAY, END, momentBetween, momentsBetween } from './moments.js';
import { at, cumulate, type Random } from './random.js';
import type { UrlRow, UserRow } from './rows.js';
import { formerTitle, makeTexts } from './texts.js';

/** A change of a link: what it was called and whether it was active from then on. */
export interface Update {
  /** Unix time, whole seconds. */
  readonly at: number;
  readonly title: string;
  readonly isActive: boolean;
}

/** A link and what happened to it besides clicks. */
export interface Link {
  readonly row: UrlRow;
  /** In time order; the last agrees with `row`. */
  readonly updates: readonly Update[];
  /** Why it was deactivated for good, at `row.updatedAt`; `null` where it was not. */
  readonly deletion: string | null;
}

/** What becomes of a link. */
type Fate = 'kept' | 'edited' | 'paused' | 'deactivated' | 'deleted';

/** Owner (`null`: made without an account) and Unix seconds of a link's making. */
interface Birth {
  readonly owner: UserRow | null;
  readonly createdAt: number;
}

/** How many links have each fate; all others are kept as they were made. */
const FATES: readonly (readonly [fate: Fate, count: number])[] = [
  ['deleted', 132],
  ['deactivated', 154],
  ['edited', 128],
  ['paused', 24],
];
const ANONYMOUS_SHARE = 0.03;
const UNTITLED_SHARE = 0.07;
const REASONS = [
  'campaign_ended',
  'target_gone',
  'owner_request',
  'superseded',
  'reported_as_spam',
  'typo_in_target',
];
const RESERVED_CODES = new Set(['health', 'events']);
const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';

/** Unix seconds after which no link is made, so that each still has time for what happens to it. */
const LAST_BIRTH = END - 4 * DAY;
const MINUTES_10 = 600;
const HOUR = 3_600;

/** `count` links of `users` in the order of their making. */
export function makeLinks(random: Random, users: readonly UserRow[], count: number): Link[] {
  const births = makeBirths(random, users, count);
  const codes = makeCodes(random, count);
  const fates = makeFates(random, count);
  return births.map((birth, i) => makeLink(random, i + 1, birth, at(codes, i), at(fates, i)));
}

function makeBirths(random: Random, users: readonly UserRow[], count: number): Birth[] {
  const sums = cumulate(activity(random, users));
  const anonymous = Math.floor(count * ANONYMOUS_SHARE);
  const births = Array.from({ length: count }, (_, i) => {
    const owner = at(users, random.weighted(sums));
    const createdAt = momentBetween(random, owner.createdAt + MINUTES_10, LAST_BIRTH);
    return { owner: i < anonymous ? null : owner, createdAt };
  });
  return births.sort((a, b) => a.createdAt - b.createdAt);
}

/** How many links each user makes, relatively: Zipf-like, and less for those who came late. */
function activity(random: Random, users: readonly UserRow[]): number[] {
  const ranks = random.shuffle(users.map((_, i) => i));
  return users.map((user, i) => (LAST_BIRTH - user.createdAt) / (at(ranks, i) + 12));
}

function makeCodes(random: Random, count: number): string[] {
  const codes = new Set<string>();
  while (codes.size < count) {
    const code = random.string(ALPHABET, 6);
    if (!RESERVED_CODES.has(code.toLowerCase())) codes.add(code);
  }
  return [...codes];
}

function makeFates(random: Random, count: number): Fate[] {
  const fates = FATES.flatMap(([fate, number]) => Array<Fate>(number).fill(fate));
  const kept = Array<Fate>(count - fates.length).fill('kept');
  return random.shuffle([...fates, ...kept]);
}

function makeLink(random: Random, id: number, birth: Birth, shortCode: string, fate: Fate): Link {
  const { owner, createdAt } = birth;
  const texts = makeTexts(random, createdAt);
  const title = random.chance(UNTITLED_SHARE) ? '' : texts.title;
  const updates = makeUpdates(random, createdAt, fate, texts.title, title);
  const row = {
    id,
    userId: owner?.id ?? null,
    shortCode,
    originalUrl: texts.target,
    title,
    isActive: updates.at(-1)?.isActive ?? true,
    createdAt,
    updatedAt: updates.at(-1)?.at ?? createdAt,
  };
  return { row, updates, deletion: fate === 'deleted' ? random.pick(REASONS) : null };
}

/** The changes that `fate` means for a link now called `title`; `name` is its title, or what it might have been. */
function makeUpdates(random: Random, createdAt: number, fate: Fate, name: string, title: string): Update[] {
  const steps = [...earlierSteps(random, fate, name, title), ...lastStep(fate, title)];
  const to = Math.min(END, createdAt + random.int(2 * DAY, 260 * DAY));
  const moments = momentsBetween(random, steps.length, createdAt + HOUR, to);
  return steps.map((step, i) => ({ at: at(moments, i), ...step }));
}

type Step = Omit<Update, 'at'>;

function lastStep(fate: Fate, title: string): Step[] {
  return fate === 'kept' ? [] : [{ title, isActive: fate === 'edited' || fate === 'paused' }];
}

function earlierSteps(random: Random, fate: Fate, name: string, title: string): Step[] {
  if (fate === 'kept') return [];
  if (fate === 'paused') return [{ title, isActive: false }];
  if (!random.chance(fate === 'edited' ? 0.4 : 0.2)) return [];
  return [{ title: formerTitle(random, name), isActive: true }];
}
