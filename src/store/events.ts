import type { InputFor } from '../api/registry.js';
import type { OperationResult } from '../api/results.js';
import { formatTimestamp } from '../api/values.js';
import { type Connection, inTransaction, rowsOf, type Statement } from '../postgres/pool.js';
import { IS_VISIBLE, VISIBLE_EVENTS } from './deleted-links.js';
import { pageQuery } from './list-pages.js';
import { type Condition, equals, type Listed, type ListSelect, selectList } from './lists.js';
import { readNewest, timeMs } from './newest-events.js';
import { failed, type ListOperation, nothingToShow, type OperationContext } from './operation.js';
import { csvOf, Table } from './table.js';

const events = new Table('events', {
  id: { as: 'number' },
  url_id: { as: 'number', isNullable: true },
  user_id: { as: 'number', isNullable: true },
  event_type: { as: 'text' },
  timestamp: { as: 'time' },
  details: { as: 'json' },
});

/** Columns of a SELECT of events, and the row that it returns. */
export const eventColumns = events.columns;
export type EventRow = Parameters<typeof events.json>[0];

/** An event as the API shows it. */
export function eventJson(row: EventRow): string {
  return events.json(row);
}

/** Whether an event is on a link of the owner; without an owner, always. */
function onOwnLink(owner: string): string {
  return `(${owner}::bigint IS NULL OR url_id IN (SELECT id FROM short_urls WHERE user_id = ${owner}))`;
}

const getStatement: Statement = {
  name: 'event_get',
  text: `SELECT ${events.columns} FROM events WHERE id = $1 AND ${onOwnLink('$2')} AND ${IS_VISIBLE}`,
};

/**
 * Locks the user, then the link (the count in the second condition makes it wait for the first): neither can be
 * deleted before the event is stored.
 */
const insertStatement: Statement = {
  name: 'event_insert',
  text: `
    WITH owner AS (SELECT id FROM users WHERE id = $2 FOR KEY SHARE),
         link AS (SELECT id FROM short_urls WHERE id = $1 AND (SELECT count(*) FROM owner) >= 0
                    AND ($6::bigint IS NULL OR user_id = $6) FOR KEY SHARE),
         found AS (SELECT $1::bigint IS NULL OR EXISTS (SELECT FROM link) AS link,
                          $2::bigint IS NULL OR EXISTS (SELECT FROM owner) AS owner),
         made AS (INSERT INTO events (url_id, user_id, event_type, "timestamp", details)
                  SELECT $1, $2, $3::text, $4::timestamp, $5::json FROM found WHERE link AND owner RETURNING ${events.columns})
    SELECT ${events.columns}, link, owner FROM found LEFT JOIN made ON true`,
};

const countClickStatement: Statement = {
  name: 'event_count_click',
  text: 'UPDATE short_urls SET click_count = click_count + 1 WHERE id = $1',
};

/** Locks the link before its event, as everywhere; deleting a click lowers the link's counter. */
const deleteStatement: Statement = {
  name: 'event_delete',
  text: `
    WITH doomed AS (SELECT url_id, event_type FROM events
                    WHERE id = $1 AND ${onOwnLink('$2')} AND ${IS_VISIBLE}),
         link AS (SELECT id FROM short_urls
                  WHERE id = (SELECT url_id FROM doomed WHERE event_type IN ('click', 'preview')) FOR NO KEY UPDATE),
         gone AS (DELETE FROM events WHERE id = $1 AND EXISTS (SELECT FROM doomed) AND (SELECT count(*) FROM link) >= 0
                  RETURNING url_id, event_type),
         counted AS (UPDATE short_urls SET click_count = click_count - 1 FROM gone
                     WHERE short_urls.id = gone.url_id AND gone.event_type = 'click')
    SELECT count(*) FROM gone`,
};

async function getEvent(
  connection: Connection,
  { id }: InputFor<'getEvent'>,
  { owner }: OperationContext,
): Promise<OperationResult> {
  const [row] = await events.rows(connection, getStatement, [id, owner ?? null]);
  return row === undefined ? failed('EVENT_NOT_FOUND') : { ok: true, body: events.json(row) };
}

/** A `click` posted by hand counts: a link's counter always equals its click events. */
async function createEvent(
  connection: Connection,
  given: InputFor<'createEvent'>,
  { owner }: OperationContext,
): Promise<OperationResult> {
  // An owner's events are on their own links, and have them as the user.
  if (owner !== undefined && given.url_id === null) return failed('URL_NOT_FOUND');
  if (owner !== undefined && (given.user_id ?? owner) !== owner) return failed('USER_NOT_FOUND');
  const event = { ...given, user_id: owner ?? given.user_id };
  if (event.event_type !== 'click' || event.url_id === null) return insertEvent(connection, event, owner);
  return inTransaction(connection, async () => {
    const made = await insertEvent(connection, event, owner);
    if (made.ok) await rowsOf(connection, countClickStatement, [event.url_id]);
    return made;
  });
}

async function insertEvent(
  connection: Connection,
  { url_id, user_id, event_type, details }: InputFor<'createEvent'>,
  owner: string | undefined,
): Promise<OperationResult> {
  const values = [url_id, user_id, event_type, formatTimestamp(Date.now()), details, owner ?? null];
  const [row] = await events.rows(connection, insertStatement, values);
  if (row === undefined || events.extra(row, 0) !== 't') return failed('URL_NOT_FOUND');
  if (events.extra(row, 1) !== 't') return failed('USER_NOT_FOUND');
  return { ok: true, body: events.json(row), id: events.value(row, 'id') };
}

async function deleteEvent(
  connection: Connection,
  { id }: InputFor<'deleteEvent'>,
  { owner }: OperationContext,
): Promise<OperationResult> {
  const [row] = await rowsOf<[string]>(connection, deleteStatement, [id, owner ?? null]);
  return row?.[0] === '1' ? nothingToShow : failed('EVENT_NOT_FOUND');
}

/** Nearly all events are of this type. */
const COMMON_TYPE = 'click';

/** A list's conditions: those with an index in its order, the narrowest first, those of time, and the others. */
function eventFilters({ url_id, user_id, event_type, from, to, owner }: Listed<InputFor<'listEvents'>>): {
  readonly indexed: readonly Condition[];
  readonly range: readonly Condition[];
  readonly others: readonly Condition[];
} {
  const ofType = equals('event_type', event_type);
  const onOwnLinks: Condition = {
    value: owner,
    sql: (placeholder) => `url_id IN (SELECT id FROM short_urls WHERE user_id = ${placeholder})`,
  };
  const isCommon = event_type === COMMON_TYPE;
  return {
    indexed: [...equals('url_id', url_id), ...equals('user_id', user_id), ...(isCommon ? [] : ofType)],
    range: [...ofTime('>=', from), ...ofTime('<', to)],
    others: [...(isCommon ? ofType : []), ...(owner === undefined ? [] : [onOwnLinks])],
  };
}

/** @param ms Since 1970. */
function ofTime(compare: '>=' | '<', ms: number | undefined): Condition[] {
  return ms === undefined
    ? []
    : [{ value: formatTimestamp(ms), sql: (value) => `"timestamp" ${compare} ${value}::timestamp` }];
}

const ORDER = '"timestamp" DESC, id DESC';

const listEvents: ListOperation<Listed<InputFor<'listEvents'>>> = {
  kind: 'list',
  json: (row) => events.json(row),
  csv: csvOf(events),
  select: (input, limit) => {
    const { indexed, range, others } = eventFilters(input);
    const conditions = [...indexed, ...range, ...others];
    const selectFrom = (source: string): ListSelect =>
      selectList(events.columns, source, ORDER, input, limit, conditions);
    const select = selectFrom(VISIBLE_EVENTS);
    const { rowLimit, skippedRows } = select;
    // PostgreSQL reads nothing for a page without a row.
    if (rowLimit === undefined || rowLimit === 0) return select;
    const wanted = {
      rows: skippedRows + rowLimit,
      conditions,
      isIndexed: indexed.length > 0,
      sinceMs: input.from,
      untilMs: input.to,
    };
    return {
      ...select,
      read: (connection) =>
        readNewest(connection, wanted, async (source) => {
          const { text, values } = selectFrom(source);
          const statement = { text, values: [...values], rowMode: 'array' } as const;
          const { rows } = await connection.query<(string | null)[]>(statement);
          const last = rows.length < rowLimit ? undefined : rows.at(-1);
          return {
            result: rows,
            found: rows.length === 0 ? 0 : skippedRows + rows.length,
            lastMs: last === undefined ? undefined : timeMs(events.value(last, 'timestamp')),
          };
        }),
    };
  },
  page: (input) => {
    const { indexed, range, others } = eventFilters(input);
    const [leading, ...further] = indexed;
    return pageQuery('listEvents', input, {
      columns: events.columns,
      source: VISIBLE_EVENTS,
      order: { key: '"timestamp"', type: 'timestamp', direction: 'DESC', isPartitioned: true },
      range,
      rest: [...further, ...others],
      ...(leading === undefined ? {} : { leading }),
      within: (connection, rows, after, look) => {
        const conditions = [...indexed, ...range, ...others];
        const untilMs = after === undefined ? input.to : timeMs(after.key);
        const wanted = { rows, conditions, isIndexed: indexed.length > 0, sinceMs: input.from, untilMs };
        return readNewest(connection, wanted, look);
      },
    });
  },
};

export const eventOperations = {
  createEvent: { kind: 'write', run: createEvent },
  getEvent: { kind: 'read', run: getEvent },
  deleteEvent: { kind: 'write', run: deleteEvent },
  listEvents,
} as const;
