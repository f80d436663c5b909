import { Option } from 'commander';
import type { z as zod } from 'zod';
import { type JsonSchema, jsonSchemaOf } from '../api/openapi/json-schema.js';
import { routes } from '../api/registry.js';
import type { RouteDeclaration } from '../api/route.js';
import type { Z } from '../api/schema.js';

/** A member of a body, or a parameter of a query, as an option of a command. */
export interface Field {
  readonly name: string;
  readonly schema: JsonSchema;
}

/** The fields that a route takes, from the schemas that check them. */
export function fieldsOf(z: Z, name: string, part: 'body' | 'query'): Field[] {
  const route = (routes as readonly RouteDeclaration[]).find(
    ({ method, path }) => `${method} ${path}` === name,
  );
  const schema: zod.ZodType | undefined = route?.[part]?.(z);
  if (schema === undefined) return [];
  const { properties = {} } = jsonSchemaOf(z, schema, 'input');
  return Object.entries(properties).map(([field, one]) => ({ name: field, schema: one }));
}

/** `--redirect-status <value>`, and its possible values. */
export function optionOf({ name, schema }: Field): Option {
  const isFlag = typesOf(schema).includes('boolean');
  const flag = `--${name.replaceAll('_', '-')}`;
  const option = new Option(`${flag} ${isFlag ? '[true|false]' : '<value>'}`, noteOf(schema));
  return isFlag ? option.preset('true') : option;
}

/** The fields that were given, as the API wants them. @param given By commander's names: `redirectStatus`. */
export function valuesOf(
  fields: readonly Field[],
  given: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  return Object.fromEntries(
    fields.flatMap(({ name, schema }) => {
      const text = given[name.replaceAll(/_(\w)/g, (_, letter: string) => letter.toUpperCase())];
      return typeof text === 'string' ? [[name, parseField(schema, text)]] : [];
    }),
  );
}

/** A value of another type is sent as it is: the server says what is wrong with it. */
function parseField(schema: JsonSchema, text: string): unknown {
  const types = typesOf(schema);
  if (text === 'none' && types.includes('null')) return null;
  if (types.some((type) => type === 'integer' || type === 'number') && /^-?\d+$/.test(text))
    return Number(text);
  if (types.includes('boolean') && (text === 'true' || text === 'false')) return text === 'true';
  if (types.includes('array')) return text === '' ? [] : text.split(',');
  if (!types.includes('object')) return text;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}

function typesOf({ type, anyOf = [] }: JsonSchema): string[] {
  if (type !== undefined) return Array.isArray(type) ? type : [type];
  return anyOf.flatMap(typesOf);
}

function noteOf(schema: JsonSchema): string {
  const types = typesOf(schema);
  const part = schema.anyOf?.find(({ type }) => type !== 'null') ?? schema;
  const { enum: values, minimum, maximum, description } = part;
  const range = [minimum, maximum].some((one) => one !== undefined)
    ? `${minimum ?? ''} to ${String(maximum ?? '')}`
    : '';
  return [
    description ?? '',
    values === undefined ? '' : values.join(', '),
    values === undefined && description === undefined ? range : '',
    types.includes('array') ? 'separated by commas' : '',
    types.includes('object') ? 'JSON' : '',
    types.includes('null') ? '"none" for none' : '',
  ]
    .filter((text) => text !== '')
    .join('; ');
}
