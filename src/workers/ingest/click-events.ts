import { formatTimestamp } from '../../api/values.js';
import type { JournalledLink } from '../../journal/format.js';
import type { JournalledClick } from '../../journal/known.js';
import { COPY_NULL, copyText } from '../../postgres/copy.js';
import { isVisit, visitFacts } from './visit-details.js';

const CHUNK_CHARACTERS = 128 * 1024;

/** The event of a visit, and of a request that only looked: a HEAD, a link preview, a crawler. */
const CLICK = 'click';
const PREVIEW = 'preview';

/** Whether a click is a visit, which its link's counter counts. Where visits are not noted, all are. */
export function isCounted({ visit }: JournalledClick): boolean {
  return visit === undefined || isVisit(visit);
}

/**
 * The events of clicks in COPY's text form: url_id, user_id, event_type, timestamp, details. All of a
 * plain click but its time is the same for every click on its link.
 */
export function* copyRows(clicks: readonly JournalledClick[]): Generator<string> {
  const plain = new Map<JournalledLink, readonly [before: string, after: string]>();
  let chunk = '';
  let timeMs = Number.NaN;
  let time = '';
  for (const click of clicks) {
    if (click.timeMs !== timeMs) {
      timeMs = click.timeMs;
      time = formatTimestamp(timeMs);
    }
    if (click.visit === undefined) {
      let parts = plain.get(click.link);
      if (parts === undefined) {
        parts = plainParts(click.link);
        plain.set(click.link, parts);
      }
      chunk += parts[0] + time + parts[1];
    } else {
      chunk += detailedRow(click, time);
    }
    if (chunk.length < CHUNK_CHARACTERS) continue;
    yield chunk;
    chunk = '';
  }
  if (chunk !== '') yield chunk;
}

function plainParts(link: JournalledLink): readonly [before: string, after: string] {
  const details = JSON.stringify({ short_code: link.shortCode, original_url: link.target });
  return [`${link.urlId}\t${link.userId ?? COPY_NULL}\t${CLICK}\t`, `\t${copyText(details)}\n`];
}

function detailedRow(click: JournalledClick, time: string): string {
  const { link, visit } = click;
  const facts = visit === undefined ? {} : visitFacts(visit);
  const details = { short_code: link.shortCode, original_url: link.target, ...facts };
  const type = isCounted(click) ? CLICK : PREVIEW;
  return `${link.urlId}\t${link.userId ?? COPY_NULL}\t${type}\t${time}\t${copyText(JSON.stringify(details))}\n`;
}
