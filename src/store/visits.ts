import { linksByAsked, redirectLinkIn } from '../api/redirect-link.js';
import type { LinkPreview, PasswordAnswer, VisitInputs } from '../api/visits.js';
import { type Connection, rowsOf, type Statement } from '../postgres/pool.js';
import { isPasswordOf } from '../runtime/password-hash.js';
import { isEarly, isExpired } from './claims.js';
import { linkJson, links } from './link-table.js';
import { failed, type OperationContext, type ReadOperation } from './operation.js';
import { linkLines, resolveCodes } from './resolve.js';

const protectedStatement: Statement = {
  name: 'link_password',
  text: `SELECT ${linkLines()}, password_hash FROM short_urls WHERE short_code = $1 AND is_active`,
};

type ProtectedRow = readonly [lines: string, passwordHash: string | null];

/** What `checkPassword` hands on from its read to its comparison; the hash goes no further. */
interface Found {
  readonly hash: string | null;
  readonly answer: PasswordAnswer;
}

/** Comparing takes 16 MiB and some 50 ms of a core: one at a time in a thread, and at most this many wait. */
const COMPARISONS_MAX = 32;
let comparisons = 0;
let lastComparison: Promise<unknown> = Promise.resolve();

/** Whether a link's password is the given one, with the link as it is now. */
export const checkPassword: ReadOperation<VisitInputs['checkPassword']> = {
  kind: 'read',
  async run(connection, { shortCode }) {
    const [row] = await rowsOf<ProtectedRow>(connection, protectedStatement, [shortCode]);
    const found: Found =
      row === undefined
        ? { hash: null, answer: { state: 'unknown', link: null } }
        : {
            hash: row[1],
            answer: { state: 'right', link: redirectLinkIn(row[0]) },
          };
    return { ok: true, body: JSON.stringify(found) };
  },
  async finish(result, { password }) {
    if (!result.ok) return result;
    const { hash, answer } = JSON.parse(result.body) as Found;
    if (hash === null) return { ok: true, body: JSON.stringify(answer) };
    if (comparisons >= COMPARISONS_MAX) return failed('UNAVAILABLE');
    comparisons += 1;
    const compared = lastComparison.then(() => isPasswordOf(hash, password));
    lastComparison = compared.catch(() => undefined);
    try {
      const state = (await compared) ? 'right' : 'wrong';
      return { ok: true, body: JSON.stringify({ ...answer, state } satisfies PasswordAnswer) };
    } finally {
      comparisons -= 1;
    }
  },
};

const previewStatement: Statement = {
  name: 'link_preview',
  text: `SELECT ${links.columns},
           is_active AND NOT ${isEarly} AND NOT ${isExpired} AND coalesce(claimed_clicks < max_clicks, true)
         FROM short_urls
         WHERE id = $1 AND NOT EXISTS (SELECT FROM short_urls AS other WHERE other.short_code = $2)`,
};

/** Where a code leads, if it leads anywhere now; codes are forgiven as in a visit, and one that ends in `+` is final. */
export const previewLink: ReadOperation<VisitInputs['previewLink']> = {
  kind: 'read',
  async run(connection: Connection, { shortCode }, { origin }: OperationContext) {
    const { text } = await resolveCodes(connection, shortCode, 1);
    const id = linksByAsked(text).get(shortCode)?.urlId;
    const [row] =
      id === undefined ? [] : await links.rows(connection, previewStatement, [id, `${shortCode}+`]);
    if (row === undefined || links.extra(row, 0) !== 't') return failed('SHORT_URL_NOT_FOUND');
    if (links.value(row, 'has_password') === 't') return failed('PASSWORD_REQUIRED');
    const { short_code, short_url, original_url, title, created_at, expires_at } = JSON.parse(
      linkJson(row, origin),
    ) as LinkPreview;
    const preview: LinkPreview = { short_code, short_url, original_url, title, created_at, expires_at };
    return { ok: true, body: JSON.stringify(preview) };
  },
};
