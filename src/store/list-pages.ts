import { decodeCursor, listDigest, type Position } from '../api/cursors.js';
import { sqlStateOf } from '../postgres/failures.js';
import { type Connection, inTransaction } from '../postgres/pool.js';
import { type Condition, Parameters } from './lists.js';
import { type Look, type Looked, timeMs } from './newest-events.js';

/** The order of a list: by a key, if any, and then by the id, both in one direction. */
export interface Order {
  /** SQL of the key; without one, the id alone. */
  readonly key?: string;
  readonly type?: 'timestamp' | 'text' | 'bigint';
  /** The id's column, if the order's index has it under another name. */
  readonly id?: string;
  readonly direction: 'ASC' | 'DESC';
  /** Whether the table is partitioned by the key. */
  readonly isPartitioned?: true;
}

/** How to find a page's rows. */
interface Source {
  /** The columns of a row to show. */
  readonly columns: string;
  /** What follows FROM. */
  readonly source: string;
  readonly order: Order;
  /** A condition for which an index gives the rows in order. */
  readonly leading?: Condition;
  /** Conditions of the order's key: the rows between two of its values. */
  readonly range?: readonly Condition[];
  /** Conditions that choose the rows which are then put in order: no index has it. */
  readonly chosen?: readonly Condition[];
  /** Conditions that are checked row by row. */
  readonly rest?: readonly Condition[];
  /** A consequence of the conditions that an index can find. */
  readonly finding?: readonly Condition[];
  /** Whether indexes find the rows of the conditions, in any order. */
  readonly gatherable?: boolean;
  /** Reads the page from a part of the table that has its rows. */
  readonly within?: (
    connection: Connection,
    rows: number,
    after: Position | undefined,
    look: Look<Page>,
  ) => Promise<Page>;
}

export interface PageQuery extends Source {
  readonly digest: string;
  readonly after: Position | undefined;
  readonly limit: number;
}

export interface Page {
  readonly rows: readonly (readonly (string | null)[])[];
  /** Where it ended, if more may follow. */
  readonly next?: Position;
}

interface Asked {
  readonly limit?: number | undefined;
  readonly after?: string | undefined;
}

/** Of a page whose cursor came without a limit. */
const DEFAULT_LIMIT = 1000;

/** A page looks at no more rows than this: it ends early, and the next one continues from there. */
export const MAX_LOOKED_ROWS = 50_000;
/** Rows of those that are looked at in the list's order before the conditions' indexes are asked. */
const WALKED_FIRST = 10_000;

/** @returns `undefined` if no page by cursor was requested. @throws for a cursor that was not checked. */
export function pageQuery(
  list: string,
  input: Asked & Readonly<Record<string, unknown>>,
  source: Source,
): PageQuery | undefined {
  // The owner whose rows are shown is not part of the client's request.
  const { owner: _, ...asked } = input;
  const { limit, after } = asked as Asked;
  if (limit === undefined && after === undefined) return undefined;
  const position = after === undefined ? undefined : decodeCursor(after);
  if (after !== undefined && position === undefined) throw new Error(`a cursor of ${list} was not checked`);
  return { ...source, digest: listDigest(list, asked), after: position, limit: limit ?? DEFAULT_LIMIT };
}

/** @returns `undefined` for a cursor that this list never issued. */
export async function readPage(connection: Connection, query: PageQuery): Promise<Page | undefined> {
  try {
    return await read(connection, query);
  } catch (error) {
    // The position is not a value of its type, which only the database can tell.
    if (query.after !== undefined && sqlStateOf(error)?.startsWith('22') === true) return undefined;
    throw error;
  }
}

async function read(connection: Connection, query: PageQuery): Promise<Page> {
  const { rest = [], gatherable = false, chosen, within, limit, after } = query;
  if (chosen !== undefined) return pageOf(await rowsOf(connection, chosenStatement(query)), limit);
  if (within !== undefined)
    return within(connection, limit + 1, after, (source) => look(connection, { ...query, source }));
  if (rest.length === 0) return readInOrder(connection, query);
  const walked = await walk(connection, query, gatherable ? WALKED_FIRST : MAX_LOOKED_ROWS);
  if (!walked.isCut || !gatherable) return walked.page;
  return (await gather(connection, query, MAX_LOOKED_ROWS - WALKED_FIRST)) ?? walked.page;
}

/** A page of a part of the table. */
async function look(connection: Connection, query: PageQuery): Promise<Looked<Page>> {
  const { rest = [] } = query;
  const page =
    rest.length === 0
      ? await readInOrder(connection, query)
      : (await walk(connection, query, MAX_LOOKED_ROWS)).page;
  const lastMs = page.next === undefined ? undefined : timeMs(page.next.key);
  return { result: page, found: page.rows.length, lastMs };
}

/** Statements for a page, exported for tests of their plans. */
export interface PageStatement {
  readonly text: string;
  readonly values: readonly unknown[];
}

/**
 * Rows that an index gives in order: as many are read as are shown, and one. What is made of columns is made of those
 * alone, and not of all rows that a part of a table without an index has.
 */
export function orderedStatement({
  columns,
  source,
  order,
  leading,
  range = [],
  after,
  limit,
}: PageQuery): PageStatement {
  const parameters = new Parameters();
  const conditions = [
    ...(leading === undefined ? [] : [parameters.all([leading])]),
    ...(range.length === 0 ? [] : [parameters.all(range)]),
    ...beyond(order, after, parameters),
  ];
  const where = conditions.length === 0 ? '' : ` WHERE ${conditions.join(' AND ')}`;
  return {
    text: `SELECT ${columns}, ${position(order)}
           FROM (SELECT * FROM ${source}${where} ORDER BY ${orderBy(order)} LIMIT ${limit + 1}) AS shown
           ORDER BY ${orderBy(order)}`,
    values: parameters.values,
  };
}

/**
 * Rows that no index gives in order: all that the conditions choose are looked at, by several processes where the
 * database has them. What is put in order is as narrow as can be.
 */
export function chosenStatement({
  columns,
  source,
  order,
  chosen = [],
  after,
  limit,
}: PageQuery): PageStatement {
  const parameters = new Parameters();
  const conditions = [
    ...(chosen.length === 0 ? [] : [parameters.all(chosen)]),
    ...beyond(order, after, parameters),
  ];
  const where = conditions.length === 0 ? '' : ` WHERE ${conditions.join(' AND ')}`;
  return {
    text: `SELECT ${columns}, ${position(order)} FROM ${source}
           WHERE id = ANY (ARRAY(SELECT id FROM ${source}${where} ORDER BY ${orderBy(order)} LIMIT ${limit + 1}))
           ORDER BY ${orderBy(order)}`,
    values: parameters.values,
  };
}

async function readInOrder(connection: Connection, query: PageQuery): Promise<Page> {
  return pageOf(await rowsOf(connection, orderedStatement(query)), query.limit);
}

/**
 * Looks at rows in the list's order, `budget` at most, and takes those that the other conditions let pass. The
 * last row looked at comes along even if it does not, so that one statement knows where it stopped.
 */
export function walkStatement(query: PageQuery, budget: number): PageStatement {
  const { columns, source, order, leading, range = [], rest = [], after, limit } = query;
  const parameters = new Parameters();
  const conditions = [
    ...(leading === undefined ? [] : [parameters.all([leading])]),
    ...(range.length === 0 ? [] : [parameters.all(range)]),
    ...beyond(order, after, parameters),
  ];
  const where = conditions.length === 0 ? '' : ` WHERE ${conditions.join(' AND ')}`;
  const passes = parameters.all(rest);
  return {
    text: `SELECT ${columns}, ${passes}, place, ${position(order)}
           FROM (SELECT *, row_number() OVER (ORDER BY ${orderBy(order)}) AS place FROM ${source}${where}
                 ORDER BY ${orderBy(order)} LIMIT ${budget}) AS looked
           WHERE (${passes}) OR place = ${budget}
           ORDER BY ${orderBy(order)} LIMIT ${limit + 1}`,
    values: parameters.values,
  };
}

async function walk(
  connection: Connection,
  query: PageQuery,
  budget: number,
): Promise<{ readonly page: Page; readonly isCut: boolean }> {
  const all = await rowsOf(connection, walkStatement(query, budget));
  const last = all.at(-1);
  const isCut = last !== undefined && last.at(-3) === String(budget);
  const passed = all.filter((row) => row.at(-4) === 't');
  if (passed.length > query.limit || !isCut) return { page: pageOf(passed, query.limit), isCut: false };
  return { page: { rows: passed, next: positionOf(last) }, isCut: true };
}

/**
 * All rows of the conditions, found by their indexes and then put in order. Seldom done: only where the walk
 * found that they are rare.
 */
export function gatherStatement(query: PageQuery, budget: number): PageStatement {
  const { columns, source, order, leading, rest = [], finding = [], after, limit } = query;
  const parameters = new Parameters();
  const conditions = parameters.all([...(leading === undefined ? [] : [leading]), ...finding, ...rest]);
  const rowsBeyond = beyond({ ...order, key: 'sort_key', id: 'id' }, after, parameters);
  const where = rowsBeyond.length === 0 ? '' : ` WHERE ${rowsBeyond.join(' AND ')}`;
  const { direction } = order;
  return {
    text: `WITH found AS MATERIALIZED
             (SELECT id AS found_id, ${order.key ?? 'id'} AS sort_key FROM ${source} WHERE ${conditions} LIMIT ${budget + 1}),
           shown AS
             (SELECT found_id FROM (SELECT found_id AS id, found_id, sort_key FROM found) AS ordered${where}
              ORDER BY sort_key ${direction}, id ${direction} LIMIT ${limit + 1})
           SELECT rows.*, n
           FROM (SELECT count(*) AS n FROM found) AS counted
             LEFT JOIN (SELECT ${columns}, row_number() OVER (ORDER BY ${orderBy(order)}) AS place,
                               ${position(order)}
                        FROM shown JOIN ${source} ON id = found_id) AS rows ON true
           ORDER BY place`,
    values: parameters.values,
  };
}

/** @returns `undefined` if there are too many. */
async function gather(connection: Connection, query: PageQuery, budget: number): Promise<Page | undefined> {
  const rows = await inTransaction(connection, async () => {
    // A plan that reads the table until it has met enough rows would read all of it for rows that are rare.
    await connection.query('SET LOCAL enable_seqscan = off');
    return rowsOf(connection, gatherStatement(query, budget));
  });
  const [first] = rows;
  if (first === undefined) throw new Error('a count without a row');
  if (Number(first.at(-1)) > budget) return undefined;
  // One row without an id stands for none.
  const found = rows.map((row) => row.slice(0, -1)).filter((row) => row.at(-1) !== null);
  return pageOf(found, query.limit);
}

function orderBy({ key, id = 'id', direction }: Order): string {
  return key === undefined ? `${id} ${direction}` : `${key} ${direction}, ${id} ${direction}`;
}

/** The last two columns of every statement, under names that no table uses. */
function position({ key }: Order): string {
  return `${key === undefined ? "''" : `(${key})::text`} AS position_key, id AS position_id`;
}

/** The condition that a row lies beyond a position. */
function beyond(
  { key, type, id: idColumn = 'id', direction, isPartitioned }: Order,
  after: Position | undefined,
  parameters: Parameters,
): string[] {
  if (after === undefined) return [];
  const compare = direction === 'ASC' ? '>' : '<';
  const id = `${parameters.add(after.id)}::bigint`;
  if (key === undefined) return [`${idColumn} ${compare} ${id}`];
  const value = `${parameters.add(after.key)}::${type}`;
  const rows = `(${key}, ${idColumn}) ${compare} (${value}, ${id})`;
  // The key by itself keeps partitions out, which the comparison of rows does not.
  return isPartitioned === true ? [`${key} ${compare}= ${value}`, rows] : [rows];
}

async function rowsOf(
  connection: Connection,
  { text, values }: PageStatement,
): Promise<(readonly (string | null)[])[]> {
  const { rows } = await connection.query<(string | null)[]>({ text, values: [...values], rowMode: 'array' });
  return rows;
}

/** The first rows, and where they end if there is one more. */
function pageOf(rows: readonly (readonly (string | null)[])[], limit: number): Page {
  const shown = rows.slice(0, limit);
  const last = shown.at(-1);
  return rows.length > limit && last !== undefined
    ? { rows: shown, next: positionOf(last) }
    : { rows: shown };
}

function positionOf(row: readonly (string | null)[]): Position {
  return { key: row.at(-2) ?? '', id: row.at(-1) ?? '' };
}
