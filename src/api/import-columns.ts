import { unguardCell } from './csv-cells.js';
import type { ExportName, ImportedField } from './link-import.js';
import { parseBoolean } from './values.js';

/** A cell's value as JSON; `undefined` for an empty one. */
type Reader = (cell: string) => unknown;

interface Column {
  readonly index: number;
  readonly field: ImportedField;
  readonly read: Reader;
}

/** How to read a file's rows, according to its header. */
export interface ImportPlan {
  /** If two columns give one field, the first non-empty one counts. */
  readonly columns: readonly Column[];
  readonly fields: ReadonlySet<ImportedField>;
  /** The column with the host of a row's short URL; -1 without one. */
  readonly hostIndex: number;
}

/** Text that does not fit the type goes to the schema, which refuses it by its field's name. */
const number: Reader = (cell) => (/^-?\d{1,16}$/.test(cell.trim()) ? Number(cell) : cell);
const flag: Reader = (cell) => parseBoolean(cell) ?? cell;
const trimmed: Reader = (cell) => cell.trim();
const text: Reader = (cell) => cell;

function listBy(separator: string | RegExp): Reader {
  return (cell) => cell.split(separator).filter((tag) => tag.trim() !== '');
}

const ownColumns: Readonly<Partial<Record<ImportedField, Reader>>> = {
  short_code: trimmed,
  original_url: trimmed,
  title: text,
  is_active: flag,
  user_id: number,
  created_at: trimmed,
  updated_at: trimmed,
  redirect_status: number,
  cache_seconds: number,
  valid_since: trimmed,
  expires_at: trimmed,
  expired_url: trimmed,
  max_clicks: number,
  forward_query: flag,
  tags: listBy(','),
  code_length: number,
  domain: trimmed,
  has_password: flag,
  password: text,
};

/** The code of a short URL, with its scheme and host or without: `bit.ly/abc`, `/abc/`. */
const codeOfUrl: Reader = (cell) =>
  cell
    .trim()
    .replace(/[?#].*$/, '')
    .replace(/\/+$/, '')
    .split('/')
    .at(-1);

/** The first of several back-halves, which may come as a JSON array. */
const firstCode: Reader = (cell) => {
  const [first = ''] = cell
    .replace(/[[\]"]/g, ' ')
    .trim()
    .split(/[\s,;|]+/);
  return codeOfUrl(first);
};

/** Tags as a JSON array or in one text. */
const anyTags: Reader = (cell) => listBy(/[,;|]/)(cell.replace(/^\s*\[|\]\s*$/g, '').replaceAll('"', ''));

/** Reads `Jan 2, 2024` and `January 2, 2024 3:04 PM`, as shown to people; keeps other forms. */
const shownTime: Reader = (cell) => {
  const m =
    /^([A-Z][a-z]{2})[a-z]*\.? (\d{1,2}), (\d{4})(?:,? (?:at )?(\d{1,2}):(\d\d)(?::(\d\d))? ?([AP]M)?)?$/i.exec(
      cell.trim(),
    );
  if (m === null) return cell.trim();
  const [, month, day, year, hour, minute, second = '00', half] = m;
  if (hour === undefined) return `${day} ${month} ${year}`;
  const hours = half === undefined ? Number(hour) : (Number(hour) % 12) + (/p/i.test(half) ? 12 : 0);
  return `${day} ${month} ${year} ${String(hours).padStart(2, '0')}:${minute}:${second}`;
};

/** A link's password as a flag or a hash, which we can't check. */
const hasPassword: Reader = (cell) => !/^(?:false|0|no|null|\\N)?$/i.test(cell.trim());
const notFlag: Reader = (cell) => {
  const value = parseBoolean(cell);
  return value === undefined ? cell : !value;
};

type Columns = readonly (readonly [name: string, field: ImportedField, read: Reader])[];

/** Names in the form of `plain`; if two columns give one field, the one that counts comes first. */
const exports: Readonly<Record<ExportName, Columns>> = {
  bitly: [
    ['customlink', 'short_code', firstCode],
    ['customlinks', 'short_code', firstCode],
    ['custombitlinks', 'short_code', firstCode],
    ['link', 'short_code', codeOfUrl],
    ['bitlink', 'short_code', codeOfUrl],
    ['shortlink', 'short_code', codeOfUrl],
    ['id', 'short_code', codeOfUrl],
    ['longurl', 'original_url', trimmed],
    ['destinationurl', 'original_url', trimmed],
    ['destination', 'original_url', trimmed],
    ['title', 'title', text],
    ['createdat', 'created_at', shownTime],
    ['created', 'created_at', shownTime],
    ['datecreated', 'created_at', shownTime],
    ['createddate', 'created_at', shownTime],
    ['creationdate', 'created_at', shownTime],
    ['tags', 'tags', anyTags],
  ],
  kutt: [
    ['address', 'short_code', trimmed],
    ['target', 'original_url', trimmed],
    ['description', 'title', text],
    ['expirein', 'expires_at', trimmed],
    ['createdat', 'created_at', trimmed],
    ['updatedat', 'updated_at', trimmed],
    ['banned', 'is_active', notFlag],
    ['password', 'has_password', hasPassword],
  ],
  yourls: [
    ['keyword', 'short_code', codeOfUrl],
    ['source', 'short_code', codeOfUrl],
    ['url', 'original_url', trimmed],
    ['target', 'original_url', trimmed],
    ['title', 'title', (cell) => (cell === 'NULL' ? undefined : cell)],
    ['timestamp', 'created_at', trimmed],
  ],
  shlink: [
    ['shortcode', 'short_code', trimmed],
    ['longurl', 'original_url', trimmed],
    ['title', 'title', text],
    ['tags', 'tags', listBy('|')],
    ['createdat', 'created_at', trimmed],
    ['datecreated', 'created_at', trimmed],
    ['validsince', 'valid_since', trimmed],
    ['validuntil', 'expires_at', trimmed],
    ['maxvisits', 'max_clicks', number],
    ['forwardquery', 'forward_query', flag],
  ],
};

/** Columns that distinguish the exports, the most distinctive first. */
const signs: readonly (readonly [ExportName, readonly string[]])[] = [
  ['shlink', ['shortcode', 'longurl']],
  ['kutt', ['address', 'target']],
  ['yourls', ['keyword', 'url']],
  ['yourls', ['source', 'target']],
  ['bitly', ['longurl']],
  ['bitly', ['destinationurl']],
];

/**
 * Reads a header: of an export if one is named or recognised by its columns, otherwise of our own.
 * @returns `undefined` if no column has targets, and rows can't name existing links either.
 */
export function importPlan(
  header: readonly string[],
  format: ExportName | undefined,
  canUpdate: boolean,
): ImportPlan | undefined {
  const own = header.map((name) => name.trim().toLowerCase());
  const names = own.map((name) => name.replace(/^meta\./, '').replace(/[^a-z]/g, ''));
  const isOwn = own.includes('original_url') || (canUpdate && own.includes('short_code'));
  const name =
    format ?? (isOwn ? undefined : signs.find(([, all]) => all.every((one) => names.includes(one)))?.[0]);
  const columns =
    name === undefined
      ? Object.entries(ownColumns).map(([field, read]): Column => {
          const unguarded: Reader = (cell) => (read as Reader)(unguardCell(cell));
          return { index: own.indexOf(field), field: field as ImportedField, read: unguarded };
        })
      : exports[name].map(([column, field, read]): Column => ({ index: names.indexOf(column), field, read }));
  const found = columns.filter(({ index }) => index !== -1);
  const fields = new Set(found.map(({ field }) => field));
  if (!fields.has('original_url') && !(canUpdate && fields.has('short_code'))) return undefined;
  const hasHost = name === 'shlink' || name === 'kutt';
  return { columns: found, fields, hostIndex: hasHost ? names.indexOf('domain') : -1 };
}

/** A row's cells as the fields of a link, without empty ones. */
export function fieldsOf(plan: ImportPlan, row: readonly string[]): Record<string, unknown> {
  const fields: Record<string, unknown> = {};
  for (const { index, field, read } of plan.columns) {
    const cell = row[index];
    if (cell === undefined || cell === '' || fields[field] !== undefined) continue;
    const value = read(cell);
    if (value !== '' && value !== undefined) fields[field] = value;
  }
  return fields;
}
