import { sentenceOf } from '../api/call.js';
import { changeLink, deleteLinks } from '../api/links.js';
import type { Link } from '../api/types.js';
import { say } from '../parts/toast.js';
import { createStore } from '../store.js';

const UNDO_MS = 10_000;

/** Links about to be deleted, which can still be restored: there is an undo instead of a confirmation. */
export const doomed = createStore<ReadonlySet<number>>(new Set());

const pending = new Map<number, readonly Link[]>();
/** They are deleted: a list that was read before must not show them again. */
const deleted = new Set<number>();
let lastBatch = 0;

export function removeWithUndo(links: readonly Link[], onDone: () => void): void {
  lastBatch += 1;
  const batch = lastBatch;
  pending.set(batch, links);
  mark();
  const name = links.length === 1 ? links[0]?.short_code : `${links.length} links`;
  const timer = window.setTimeout(() => void finish(batch, false).then(onDone), UNDO_MS);
  say(
    `${name} is deleted`.replace(/links is/, 'links are'),
    () => {
      window.clearTimeout(timer);
      pending.delete(batch);
      mark();
    },
    UNDO_MS,
  );
}

function mark(): void {
  doomed.set(new Set([...deleted, ...[...pending.values()].flat().map(({ id }) => id)]));
}

/** The API deletes up to this many at once. */
const BATCH = 1000;

async function finish(batch: number, isLeaving: boolean): Promise<void> {
  const ids = (pending.get(batch) ?? []).map(({ id }) => id);
  pending.delete(batch);
  try {
    for (let from = 0; from < ids.length; from += BATCH) {
      const batchIds = ids.slice(from, from + BATCH);
      await deleteLinks(batchIds, isLeaving);
      for (const id of batchIds) deleted.add(id);
    }
  } catch (error) {
    say(`Not deleted: ${sentenceOf(error)}`);
  }
  mark();
}

// Closing the page ends the ten seconds.
window.addEventListener('pagehide', () => {
  for (const batch of [...pending.keys()]) void finish(batch, true);
});

export async function setActive(
  links: readonly Link[],
  isActive: boolean,
  onDone: () => void,
): Promise<void> {
  try {
    await Promise.all(links.map(({ id }) => changeLink(id, { is_active: isActive })));
  } catch (error) {
    say(sentenceOf(error));
  }
  onDone();
}
