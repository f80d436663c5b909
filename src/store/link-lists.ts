import type { SortKey } from '../api/list-fields.js';
import type { InputFor } from '../api/registry.js';
import { MAX_TOTAL } from '../api/results.js';
import { renewClickOrder } from './click-order.js';
import { type LinkRow, linkCsv, linkJson, links } from './link-table.js';
import { MAX_LOOKED_ROWS, type Order, pageQuery } from './list-pages.js';
import {
  type Condition,
  type CountSelect,
  countList,
  equals,
  type Listed,
  selectList,
  visibleTo,
} from './lists.js';
import type { ListOperation } from './operation.js';
import { contains, hasTrigrams, mayContain, SEARCH_INDEX } from './search.js';

interface Prepared {
  /** The copy of the order by clicks is too old: the links themselves are put in order. */
  readonly isCopyBehind?: boolean;
}

type Input = Listed<InputFor<'listLinks'>> & Prepared;

interface LinkOrder {
  readonly key: string;
  readonly type: 'timestamp' | 'text' | 'bigint';
  readonly id?: string;
  /** The source of the order, if the links themselves lack it. */
  readonly source?: string;
  /** Set if the index may still be under construction. */
  readonly index?: string;
}

const orders: Readonly<Record<SortKey, LinkOrder>> = {
  created_at: { key: 'created_at', type: 'timestamp' },
  updated_at: { key: 'updated_at', type: 'timestamp', index: 'short_urls_by_update' },
  click_count: {
    key: 'clicks',
    type: 'bigint',
    id: 'link_id',
    source: `link_clicks JOIN ${links.name} ON id = link_id`,
  },
  title: { key: 'title COLLATE "C"', type: 'text', index: 'short_urls_by_title' },
};

/** No index has it, which would cost every click; its positions are those of the copy. */
const byCounters: LinkOrder = { key: 'click_count', type: 'bigint' };

function orderOf({ sort, isCopyBehind = false }: Input): Order & LinkOrder {
  const isDescending = sort.startsWith('-');
  const order = isCopyBehind ? byCounters : orders[(isDescending ? sort.slice(1) : sort) as SortKey];
  return { ...order, direction: isDescending ? 'DESC' : 'ASC' };
}

/** The filters, each with whether an index finds its rows in order of creation. */
function filtersOf(input: Input): { condition: Condition; isOrdered: boolean; isIndexed: boolean }[] {
  const { user_id, is_active, short_code, tag, tags } = input;
  const state = is_active === undefined ? undefined : String(is_active);
  const wanted: Condition[] =
    tag === undefined
      ? []
      : [{ value: tag, sql: (list) => `tags ${tags === 'any' ? '&&' : '@>'} ${list}::text[]` }];
  return [
    ...equals('short_code', short_code).map((condition) => ({
      condition,
      isOrdered: false,
      isIndexed: true,
    })),
    ...equals('user_id', visibleTo(input.owner, user_id)).map((condition) => ({
      condition,
      isOrdered: true,
      isIndexed: true,
    })),
    ...wanted.map((condition) => ({ condition, isOrdered: false, isIndexed: true })),
    ...equals('is_active', state).map((condition) => ({ condition, isOrdered: true, isIndexed: true })),
  ];
}

/** The most links that a list which can't end early may find; each is folded and compared several times. */
const MAX_FOUND_ROWS = 20_000;

function isFound(q: string | undefined): boolean {
  return q !== undefined && hasTrigrams(q);
}

function findingOf(q: string | undefined): Condition[] {
  return q !== undefined && hasTrigrams(q) ? [mayContain(q)] : [];
}

/** All conditions of the list's rows. */
function conditionsOf(input: Input): Condition[] {
  const { q } = input;
  const filters = filtersOf(input).map(({ condition }) => condition);
  return q === undefined ? filters : [...filters, ...findingOf(q), contains(q)];
}

function counted(
  conditions: readonly Condition[],
  max: number,
  isSearch: boolean,
): { readonly count: CountSelect; readonly max: number } {
  return { count: { ...countList(links.name, max + 1, conditions), isSearch }, max };
}

export const listLinks: ListOperation<Input> = {
  kind: 'list',
  json: (row, { origin }) => linkJson(row as LinkRow, origin),
  csv: linkCsv,
  select: (input, limit) => {
    const { key, id = 'id', direction, source = links.name } = orderOf(input);
    const order = `${key} ${direction}, ${id} ${direction}`;
    const isSearch = isFound(input.q);
    return { ...selectList(links.columns, source, order, input, limit, conditionsOf(input)), isSearch };
  },
  page: (input) => {
    const order = orderOf(input);
    // How it is read is no part of what was asked for.
    const { isCopyBehind = false, ...asked } = input;
    if (isCopyBehind)
      return pageQuery('listLinks', asked, {
        columns: links.columns,
        source: links.name,
        order,
        chosen: conditionsOf(input),
      });
    const filters = filtersOf(input);
    const { q } = input;
    const leading =
      order.key === 'created_at' ? filters.find(({ isOrdered }) => isOrdered)?.condition : undefined;
    return pageQuery('listLinks', asked, {
      columns: links.columns,
      source: order.source ?? links.name,
      order,
      ...(leading === undefined ? {} : { leading }),
      rest: filters
        .map(({ condition }) => condition)
        .filter((condition) => condition !== leading)
        .concat(q === undefined ? [] : [contains(q)]),
      finding: findingOf(q),
      gatherable: isFound(q) || filters.some(({ isIndexed }) => isIndexed),
    });
  },
  looked: (input) => {
    const { q, limit, after } = input;
    if (q === undefined) return undefined;
    const isPage = limit !== undefined || after !== undefined;
    const filters = filtersOf(input).map(({ condition }) => condition);
    // A page or a total may take the first of the rows that the index finds.
    if (isFound(q)) return isPage ? undefined : counted([...filters, ...findingOf(q)], MAX_FOUND_ROWS, true);
    if (isPage && input.with_total !== true) return undefined;
    return counted(filters, MAX_LOOKED_ROWS, false);
  },
  total: (input) =>
    input.with_total === true
      ? { ...countList(links.name, MAX_TOTAL + 1, conditionsOf(input)), isSearch: isFound(input.q) }
      : undefined,
  prepare: async (connection, input, deadlineMs) => {
    if (orderOf(input).key !== orders.click_count.key) return {};
    const readiness = await renewClickOrder(connection, deadlineMs);
    const prepared: Prepared = { isCopyBehind: readiness === 'behind' };
    return readiness === 'unbuilt' ? undefined : prepared;
  },
  indexes: (input) => {
    const { index } = orderOf(input);
    return [...(index === undefined ? [] : [index]), ...(input.q === undefined ? [] : [SEARCH_INDEX])];
  },
};
