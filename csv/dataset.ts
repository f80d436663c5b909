import { makeEvents } from './history.js';
import { makeLinks } from './links.js';
import { makeUsers } from './people.js';
import { Random } from './random.js';
import type { Dataset } from './rows.js';

/** The seed of the committed files. */
export const DEFAULT_SEED = 20_240_101;

const USERS = 400;
const URLS = 2_000;
const EVENTS = 3_422;

/**
 * The whole data set of a seed; the same seed always gives the same rows.
 *
 * @param seed a whole number, 0 to 2^32 - 1
 */
export function makeDataset(seed: number): Dataset {
  const random = new Random(seed);
  const users = makeUsers(random, USERS);
  const links = makeLinks(random, users, URLS);
  return { users, urls: links.map((link) => link.row), events: makeEvents(random, links, EVENTS) };
}
