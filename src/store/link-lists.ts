import type { SortKey } from '../api/list-fields.js';
import type { InputFor } from '../api/registry.js';
import { MAX_TOTAL } from '../api/results.js';
import { type LinkRow, linkCsv, linkJson, links } from './link-table.js';
import { type Order, pageQuery } from './list-pages.js';
import { type Condition, countList, equals, type Listed, selectList, visibleTo } from './lists.js';
import type { ListOperation } from './operation.js';

type Input = Listed<InputFor<'listLinks'>>;

interface LinkOrder {
  readonly key: string;
  readonly type: 'timestamp' | 'text';
  /** Where it may still be being built. */
  readonly index?: string;
}

const orders: Readonly<Record<SortKey, LinkOrder>> = {
  created_at: { key: 'created_at', type: 'timestamp' },
  updated_at: { key: 'updated_at', type: 'timestamp', index: 'short_urls_by_update' },
  title: { key: 'title COLLATE "C"', type: 'text', index: 'short_urls_by_title' },
};

function orderOf({ sort }: Input): Order & LinkOrder {
  const isDescending = sort.startsWith('-');
  const order = orders[(isDescending ? sort.slice(1) : sort) as SortKey];
  return { ...order, direction: isDescending ? 'DESC' : 'ASC' };
}

/** The filters, each with whether an index finds its rows in the order of their making. */
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

export const listLinks: ListOperation<Input> = {
  kind: 'list',
  json: (row, { origin }) => linkJson(row as LinkRow, origin),
  csv: linkCsv,
  select: (input, limit) => {
    const { key, direction } = orderOf(input);
    const order = `${key} ${direction}, id ${direction}`;
    const filters = filtersOf(input).map(({ condition }) => condition);
    return selectList(links.columns, links.name, order, input, limit, filters);
  },
  page: (input) => {
    const order = orderOf(input);
    const filters = filtersOf(input);
    const leading =
      order.key === 'created_at' ? filters.find(({ isOrdered }) => isOrdered)?.condition : undefined;
    return pageQuery('listLinks', input, {
      columns: links.columns,
      source: links.name,
      order,
      ...(leading === undefined ? {} : { leading }),
      rest: filters.map(({ condition }) => condition).filter((condition) => condition !== leading),
      gatherable: filters.some(({ isIndexed }) => isIndexed),
    });
  },
  total: (input) =>
    input.with_total === true
      ? countList(
          links.name,
          MAX_TOTAL + 1,
          filtersOf(input).map(({ condition }) => condition),
        )
      : undefined,
  indexes: (input) => {
    const { index } = orderOf(input);
    return index === undefined ? [] : [index];
  },
};
