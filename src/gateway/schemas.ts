import type { z as zod } from 'zod';
import { type Checked, check } from '../api/check.js';
import { routes } from '../api/registry.js';
import type { RouteDeclaration } from '../api/route.js';
import type { Z } from '../api/schema.js';
import { nearestKnown } from './nearest.js';

interface RouteSchemas {
  readonly params: zod.ZodObject | undefined;
  readonly query: zod.ZodObject | undefined;
  readonly body: zod.ZodType | undefined;
}

/**
 * The schemas of all routes, made from their declarations. The first issue is the answer, because the
 * contract has one error in each answer.
 */
export class Schemas {
  readonly #schemas: ReadonlyMap<RouteDeclaration, RouteSchemas>;
  /** Every parameter and field of the API: a parameter that resembles one was meant to be one. */
  readonly #words: ReadonlySet<string>;

  private constructor(z: Z) {
    this.#schemas = new Map(
      (routes as readonly RouteDeclaration[]).map((route) => [
        route,
        { params: route.params?.(z), query: route.query?.(z), body: route.body?.(z) },
      ]),
    );
    this.#words = new Set(
      [...this.#schemas].flatMap(([{ path }, { query, body }]) => [
        ...[...path.matchAll(/:(\w+)/g)].map(([, name]) => name ?? ''),
        ...namesIn(query),
        ...namesIn(body),
      ]),
    );
  }

  /** First loads the library, which takes some 70 ms; redirects do not wait for it. */
  static async load(): Promise<Schemas> {
    const { z } = await import('zod');
    return new Schemas(z);
  }

  /** The names in a route's query and body. */
  namesOf(route: RouteDeclaration): { readonly query: string[]; readonly body: string[] } {
    const { query, body } = this.#of(route);
    return { query: namesIn(query), body: namesIn(body) };
  }

  params(route: RouteDeclaration, parameters: Readonly<Record<string, string>>): Checked {
    return checkAgainst(this.#of(route).params, parameters);
  }

  query(route: RouteDeclaration, text: string): Checked {
    const { query } = this.#of(route);
    if (query === undefined) return { ok: true, value: {} };
    const given = new URLSearchParams(text);
    if (route.isTolerant !== true) {
      const mistake = nearestKnown(given.keys(), Object.keys(query.shape), this.#words);
      if (mistake !== undefined) return { ok: false, error: 'UNKNOWN_PARAMETER', detail: mistake };
    }
    // If a name comes twice, the first counts, unless the schema takes all.
    const values: Record<string, string | string[]> = Object.fromEntries([...given].reverse());
    for (const name of route.repeatable ?? []) if (given.has(name)) values[name] = given.getAll(name);
    return checkAgainst(query, values);
  }

  body(route: RouteDeclaration, members: Readonly<Record<string, unknown>>): Checked {
    return checkAgainst(this.#of(route).body, members);
  }

  #of(route: RouteDeclaration): RouteSchemas {
    const schemas = this.#schemas.get(route);
    if (schemas === undefined) throw new Error(`${route.method} ${route.path} is not in the registry`);
    return schemas;
  }
}

function checkAgainst(schema: zod.ZodType | undefined, given: unknown): Checked {
  return schema === undefined ? { ok: true, value: {} } : (check(schema, given) as Checked);
}

/** The members of an object's schema, transformed or not. */
function namesIn(schema: zod.ZodType | undefined): string[] {
  if (schema === undefined) return [];
  const { shape, in: before } = schema.def as { shape?: object; in?: zod.ZodType };
  return shape === undefined ? namesIn(before) : Object.keys(shape);
}
