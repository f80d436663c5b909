import { linksByAsked, type ResolvedLinks } from '../api/redirect-link.js';
import { type Connection, rowsOf, type Statement } from '../postgres/pool.js';
import { createdMs } from './link-table.js';

/** An option of a link in SQL: its value, and whether a link has it. */
interface Option {
  readonly value: string;
  /** Absent where only another option gives it a meaning. */
  readonly isSet?: string;
}

/** The options of a link by their names in the JSON object that the gateway reads. */
const options: Readonly<Record<string, Option>> = {
  status: { value: 'redirect_status', isSet: 'redirect_status <> 302' },
  cache: { value: 'cache_seconds', isSet: 'cache_seconds IS NOT NULL' },
  since: { value: 'floor(extract(epoch FROM valid_since))', isSet: 'valid_since IS NOT NULL' },
  until: { value: 'floor(extract(epoch FROM expires_at))', isSet: 'expires_at IS NOT NULL' },
  expired_url: { value: 'expired_url' },
  limited: { value: 'max_clicks IS NOT NULL', isSet: 'max_clicks IS NOT NULL' },
  password: { value: 'password_hash IS NOT NULL', isSet: 'password_hash IS NOT NULL' },
  query: { value: 'forward_query', isSet: 'forward_query' },
};

const isSpecial = Object.values(options).flatMap(({ isSet }) => isSet ?? []);
const members = Object.entries(options).map(([name, { value }]) => `'${name}', ${value}`);
/** NULL for a plain link, which has none of them. */
const optionsJson = `
  CASE WHEN ${isSpecial.join(' OR ')} THEN json_build_object(${members.join(', ')}) END`;

/**
 * What a redirect needs of a link, as `linksByAsked` and `redirectLinkIn` read it. A target with a line break leads
 * nowhere, and still does with another control character in its place; JSON has none.
 * @param asked SQL of the code that was asked for; empty where it is the link's own.
 */
export function linkLines(asked = `''`): string {
  return `concat(${asked}, E'\\n', short_code, E'\\n', id, E'\\n', user_id, E'\\n', ${createdMs}, E'\\n',
    ${optionsJson}, E'\\n', replace(original_url, E'\\n', E'\\r'))`;
}

/** Of codes, a line each: how many exist, the active ones as one text, and the codes of the others. */
const exactStatement: Statement = {
  name: 'link_resolve',
  text: `
    SELECT count(*), string_agg(${linkLines()}, E'\\n') FILTER (WHERE is_active),
           string_agg(short_code, E'\\n') FILTER (WHERE NOT is_active), (SELECT id FROM switchyard_database)
    FROM short_urls WHERE short_code = ANY (string_to_array($1, E'\\n'))`,
};

type ExactRow = readonly [
  count: string,
  links: string | null,
  inactive: string | null,
  databaseId: string | null,
];

/** Two of another letter case are enough to know that none of them is meant for certain. */
const forgivingStatement: Statement = {
  name: 'link_resolve_forgiving',
  text: `
    SELECT asked.code, found.short_code, CASE WHEN found.is_active THEN found.lines END
    FROM unnest($1::text[], $2::text[], $3::text[]) AS asked (code, slashless, bare)
    CROSS JOIN LATERAL (
      SELECT short_code, is_active, ${linkLines('asked.code')} AS lines FROM short_urls
      WHERE asked.bare <> asked.code AND short_code IN (asked.slashless, asked.bare)
      UNION ALL
      (SELECT short_code, is_active, ${linkLines('asked.code')} FROM short_urls
       WHERE is_chosen AND lower(short_code) = lower(asked.bare) AND short_code <> asked.bare LIMIT 2)
    ) AS found`,
};

/** The lines are of an active link. */
type FoundRow = readonly [asked: string, shortCode: string, lines: string | null];

/** What people and programs put behind a link by mistake when they copy it out of a text. */
const trailingPunctuation = /[.,;:!?)\]}>'"]+$/;
const codePattern = /^[A-Za-z0-9_-]{1,128}$/;

/**
 * The active links of these codes, in no particular order. A code that nobody has is tried without a
 * slash behind it, then without punctuation, and then in another letter case, where exactly one chosen code
 * matches. A code that exists is final, active or not.
 * @param codes One a line; a code may come twice.
 * @param count How many there are.
 */
export async function resolveCodes(
  connection: Connection,
  codes: string,
  count: number,
): Promise<ResolvedLinks> {
  const [row] = await rowsOf<ExactRow>(connection, exactStatement, [codes]);
  if (row === undefined) throw new Error('an aggregate without a row');
  const [existing, text, inactive, databaseId] = row;
  const exact = text ?? '';
  if (Number(existing) === count) return { text: exact, databaseId };
  const others = await forgiven(connection, missingOf(codes, exact, inactive));
  const found = others.flatMap(([, , lines]) => lines ?? []);
  return { text: [...(exact === '' ? [] : [exact]), ...found].join('\n'), databaseId };
}

/** A code that nobody has, and what it may be written for. */
interface Missing {
  readonly code: string;
  readonly withoutSlash: string;
  readonly bare: string;
}

function missingOf(codes: string, active: string, inactive: string | null): Missing[] {
  const known = new Set(inactive?.split('\n'));
  const found = linksByAsked(active);
  return [...new Set(codes.split('\n'))].flatMap((code) => {
    if (known.has(code) || found.has(code)) return [];
    const withoutSlash = code.replace(/\/$/, '');
    const bare = withoutSlash.replace(trailingPunctuation, '');
    return codePattern.test(bare) ? [{ code, withoutSlash, bare }] : [];
  });
}

async function forgiven(connection: Connection, missing: readonly Missing[]): Promise<FoundRow[]> {
  if (missing.length === 0) return [];
  const found = await rowsOf<FoundRow>(connection, forgivingStatement, [
    missing.map(({ code }) => code),
    missing.map(({ withoutSlash }) => withoutSlash),
    missing.map(({ bare }) => bare),
  ]);
  if (found.length === 0) return [];
  return missing.flatMap(({ code, withoutSlash, bare }) => {
    const own = found.filter(([asked]) => asked === code);
    const exact =
      own.find(([, shortCode]) => shortCode === withoutSlash) ??
      own.find(([, shortCode]) => shortCode === bare);
    if (exact !== undefined) return [exact];
    return own.length === 1 ? own : [];
  });
}
