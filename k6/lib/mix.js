// What visitors and clients do, in the proportions of a link service: nearly all of it is redirects, and
// a few links get most of them.
import { sleep } from 'k6';
import { follow, getLink, list, shortenAndFollow, unknownCode } from './switchyard.js';

/** Between two requests of a virtual user. 0: as fast as answers come. */
const PAUSE_MS = Number(__ENV.PAUSE_MS || 100);

/** A link by its popularity: a fifth of them gets more than half of the visits. */
export function pick(links) {
  return links[Math.floor(links.length * Math.random() ** 3)];
}

export function oneRequest(links) {
  const draw = Math.random() * 100;
  if (draw < 88) follow(pick(links));
  else if (draw < 90) unknownCode();
  else if (draw < 94) shortenAndFollow();
  else if (draw < 97) getLink(pick(links));
  else if (draw < 98) list(`/events?url_id=${pick(links).id}&page=1&per_page=20`);
  else if (draw < 99) list('/urls?page=1&per_page=20');
  else list('/users?page=1&per_page=20');
  // Not in step: half to one and a half times the pause.
  if (PAUSE_MS > 0) sleep((PAUSE_MS / 1000) * (0.5 + Math.random()));
}
