import { type IntervalName, intervalsOf } from '../api/intervals.js';
import type { InputFor } from '../api/registry.js';
import type { OperationResult } from '../api/results.js';
import type { StatsField } from '../api/stats.js';
import type { ErrorCode } from '../errors.js';
import { type Connection, inTransaction, rowsOf, type Statement } from '../postgres/pool.js';
import { failed, type OperationContext } from './operation.js';
import { coverValues, topCodes, type ValueRow } from './stats-codes.js';
import { coverOf, DAY_MS, type FoldMarks, NOTHING_FOLDED, SPANS } from './stats-cover.js';
import {
  linkSeriesStatement,
  linkValuesStatement,
  seriesStatement,
  valuesStatement,
} from './stats-queries.js';

const MAX_INTERVALS = 2000;
/** How many intervals an answer has at most if the request names none. */
const MAX_POINTS = 200;
const DEFAULT_DAYS = 30;

/** Kinds of sums. */
const FACTS = 'f';
const LINKS = 'l';

/** The key of the sums of all links. */
const ALL_LINKS = '0';

/** Fields in the form of the sums. */
const letters: Readonly<Record<StatsField, string>> = {
  country: 'c',
  referrer: 'r',
  browser: 'b',
  os: 'o',
  device: 'd',
  code: 'l',
};

type Input = InputFor<'getStats'>;

/** What to count: bounds of intervals in ms since 1970; the last one ends the last interval. */
interface Range {
  readonly interval: IntervalName;
  readonly bounds: readonly number[];
}

interface Counts {
  clicks: number;
  previews: number;
}

interface Value extends Counts {
  readonly value: string | null;
}

/** The source of the counts: the sums, or a link's events and what is known of dropped ones. */
interface Source {
  readonly asOfMs: number;
  /** Counts by the number of their interval, from 1 on. */
  series(range: Range): Promise<Map<number, Counts>>;
  /** The values with the most clicks of each field; `all` are the totals of the range. */
  values(
    range: Range,
    by: readonly StatsField[],
    limit: number,
    all: Readonly<Counts>,
  ): Promise<Map<StatsField, Value[]>>;
}

/** The state of the database at the moment of an answer; times are ms since 1970. */
interface State {
  readonly nowMs: number;
  readonly asOfMs: number;
  /** Whether the sums have all events. */
  readonly isWhole: boolean;
  /** How far each kind of sum is folded. */
  readonly folds: ReadonlyMap<string, FoldMarks>;
}

const msOf = (time: string): string => `(extract(epoch FROM ${time}) * 1000)::bigint`;

const stateStatement: Statement = {
  name: 'stats_slot_state',
  // If the queue is empty, the sums have all that was committed before the transaction began, but only a part of a
  // delete whose events are still being removed, and of what came later.
  text: `SELECT ${msOf('now()')}, is_whole,
                ${msOf(`CASE WHEN EXISTS (SELECT FROM stats_queue) OR EXISTS (SELECT FROM stats_batches) THEN as_of
                             ELSE greatest(as_of, least(now(), (SELECT min(deleted_at) FROM deleted_links))) END`)},
                kind, ${msOf('parts_to')}, ${msOf('hours_to')}, ${msOf('quarters_to')}, ${msOf('days_to')},
                ${SPANS.map((_, place) => msOf(`spans_to[${place + 1}]`)).join(', ')}
         FROM stats_state, stats_folds`,
};

async function readState(connection: Connection): Promise<State> {
  type Values = readonly [now: string, isWhole: string, asOf: string, kind: string, ...marks: string[]];
  const rows = await rowsOf<Values>(connection, stateStatement);
  const [now, isWhole, asOf] = rows[0] ?? [];
  const folds = rows.map(([, , , kind, ...marks]): [string, FoldMarks] => {
    const [partsMs = 0, hoursMs = 0, quartersMs = 0, daysMs = 0, ...spansMs] = marks.map(Number);
    return [kind, { partsMs: kind === LINKS ? partsMs : 0, hoursMs, quartersMs, daysMs, spansMs }];
  });
  return { nowMs: Number(now), isWhole: isWhole === 't', asOfMs: Number(asOf), folds: new Map(folds) };
}

const ownLinkStatement: Statement = {
  name: 'stats_link',
  text: `SELECT EXISTS (SELECT FROM stats_summed_links WHERE url_id = id)
         FROM short_urls WHERE id = $1 AND ($2::bigint IS NULL OR user_id = $2)`,
};

type SeriesRow = readonly [place: string, clicks: string, previews: string];

/** The sums of all links, of one owner's, or of one link. */
function sumsOf(connection: Connection, key: string, { asOfMs, folds }: State): Source {
  return {
    asOfMs,
    series: async (range) =>
      seriesOf(await rowsOf<SeriesRow>(connection, seriesStatement, [range.bounds, key, ...endsOf(range)])),
    values: async (range, by, limit, all) => {
      const facts = by.filter((field) => field !== 'code').map((field) => letters[field]);
      const rows: ValueRow[] = [];
      if (facts.length > 0) {
        const values = [...coveredBy(range, folds.get(FACTS)), key, facts, limit, all.clicks, all.previews];
        rows.push(...(await rowsOf<ValueRow>(connection, valuesStatement, values)));
      }
      if (by.includes('code')) {
        const covered = coveredBy(range, folds.get(LINKS));
        rows.push(...(await topCodes(connection, covered, limit, key === ALL_LINKS ? undefined : key)));
      }
      return valuesOf(rows, by, (field) => letters[field]);
    },
  };
}

function coveredBy(range: Range, marks = NOTHING_FOLDED): unknown[] {
  const ends = endsOf(range);
  return coverValues(coverOf(...ends, marks), ends);
}

/** Counts the events of one link, and those that were dropped: whole quarters of an hour, and minutes of the last day. */
function eventsOf(connection: Connection, id: string, asOfMs: number): Source {
  return {
    asOfMs,
    series: async (range) =>
      seriesOf(await rowsOf<SeriesRow>(connection, linkSeriesStatement, [range.bounds, id])),
    values: async (range, by, limit) => {
      const rows = await rowsOf<ValueRow>(connection, linkValuesStatement, [...endsOf(range), id, by, limit]);
      return valuesOf(rows, by, (field) => field);
    },
  };
}

function endsOf({ bounds }: Range): readonly [first: number, last: number] {
  return [bounds[0] ?? 0, bounds.at(-1) ?? 0];
}

function seriesOf(rows: readonly SeriesRow[]): Map<number, Counts> {
  return new Map(
    rows.map(([place, clicks, previews]) => [
      Number(place),
      { clicks: Number(clicks), previews: Number(previews) },
    ]),
  );
}

function valuesOf(
  rows: readonly ValueRow[],
  by: readonly StatsField[],
  nameOf: (field: StatsField) => string,
): Map<StatsField, Value[]> {
  const valuesIn = (name: string): Value[] =>
    rows
      .filter(([field]) => field === name)
      .map(([, value, clicks, previews]) => ({ value, clicks: Number(clicks), previews: Number(previews) }));
  return new Map(by.map((field) => [field, valuesIn(nameOf(field))]));
}

/** The requested intervals, or why there are none. */
function rangeOf({ from, to, interval, timezone }: Input, nowMs: number): Range | ErrorCode {
  const toMs = to ?? nowMs;
  const fromMs = from ?? toMs - DEFAULT_DAYS * DAY_MS;
  if (fromMs >= toMs) return 'FROM_NOT_BEFORE_TO';
  const hasMinutes = fromMs >= nowMs - DAY_MS;
  if (interval === 'minute' && !hasMinutes) return 'MINUTES_TOO_OLD';
  const bounds = (name: IntervalName, max: number): Range | undefined => {
    const found = intervalsOf(name, timezone, fromMs, toMs, max);
    return found === undefined ? undefined : { interval: name, bounds: found };
  };
  if (interval !== undefined) return bounds(interval, MAX_INTERVALS) ?? 'TOO_MANY_INTERVALS';
  return (
    (hasMinutes ? bounds('minute', MAX_POINTS) : undefined) ??
    bounds('hour', MAX_POINTS) ??
    bounds('day', MAX_POINTS) ??
    bounds('week', MAX_POINTS) ??
    bounds('month', MAX_INTERVALS) ??
    'TOO_MANY_INTERVALS'
  );
}

/**
 * Before the snapshot: a chunk that is dropped later would be gone, and what was kept of it not there yet. Whoever drops one
 * waits for the answer.
 */
const KEEP_EVENTS = 'LOCK TABLE ONLY events IN ACCESS SHARE MODE';

/** Answers from one snapshot of the database. @param before A statement that runs before it is taken. */
async function answer(
  connection: Connection,
  input: Input,
  sourceAt: (state: State) => Promise<Source | ErrorCode>,
  before = '',
): Promise<OperationResult> {
  return inTransaction(connection, async () => {
    // The planner can't estimate how much is in arrays: it would compile plans that only look expensive.
    await connection.query(
      `SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL jit = off; ${before}`,
    );
    const state = await readState(connection);
    const range = rangeOf(input, state.nowMs);
    if (typeof range === 'string') return failed(range);
    const source = await sourceAt(state);
    if (typeof source === 'string') return failed(source);
    return { ok: true, body: JSON.stringify(await statisticsOf(source, range, input)) };
  });
}

async function statisticsOf(source: Source, range: Range, input: Input): Promise<object> {
  const { by, limit, timezone } = input;
  const found = await source.series(range);
  const series = range.bounds.slice(0, -1).map((start, index) => {
    const { clicks, previews } = found.get(index + 1) ?? { clicks: 0, previews: 0 };
    return { start: timeOf(start), clicks, previews };
  });
  const all = total(series);
  const [first, last] = endsOf(range);
  const answered = {
    from: timeOf(first),
    to: timeOf(last),
    interval: range.interval,
    timezone,
    as_of: timeOf(source.asOfMs),
    ...all,
    series,
  };
  if (by === undefined) return answered;
  const values = await source.values(range, by, limit, all);
  const others = [...values].map(([field, listed]): [StatsField, Counts] => {
    const { clicks, previews } = total(listed);
    return [field, { clicks: all.clicks - clicks, previews: all.previews - previews }];
  });
  return { ...answered, by: Object.fromEntries(values), other: Object.fromEntries(others) };
}

function total(counts: readonly Readonly<Counts>[]): Counts {
  return {
    clicks: counts.reduce((sum, one) => sum + one.clicks, 0),
    previews: counts.reduce((sum, one) => sum + one.previews, 0),
  };
}

/** A time in the API's form. */
function timeOf(ms: number): string {
  return new Date(ms).toISOString().slice(0, -5);
}

function getLinkStats(
  connection: Connection,
  input: InputFor<'getLinkStats'>,
  { owner }: OperationContext,
): Promise<OperationResult> {
  const sourceAt = async (state: State): Promise<Source | ErrorCode> => {
    const [link] = await rowsOf(connection, ownLinkStatement, [input.id, owner ?? null]);
    if (link === undefined) return 'URL_NOT_FOUND';
    const isSummed = state.isWhole && link[0] === 't';
    return isSummed ? sumsOf(connection, `-${input.id}`, state) : eventsOf(connection, input.id, state.nowMs);
  };
  return answer(connection, input, sourceAt, KEEP_EVENTS);
}

function getStats(
  connection: Connection,
  input: InputFor<'getStats'>,
  { owner }: OperationContext,
): Promise<OperationResult> {
  return answer(connection, input, async (state) =>
    state.isWhole ? sumsOf(connection, owner ?? ALL_LINKS, state) : 'STATISTICS_UNDER_WAY',
  );
}

export const statsOperations = {
  getLinkStats: { kind: 'read', run: getLinkStats },
  getStats: { kind: 'read', run: getStats },
} as const;
