import type { z as zod } from 'zod';
import type { Z } from '../schema.js';

export interface JsonSchema {
  type?: string | string[];
  properties?: Record<string, JsonSchema>;
  required?: string[];
  items?: JsonSchema;
  anyOf?: JsonSchema[];
  enum?: unknown[];
  examples?: unknown[];
  format?: string;
  pattern?: string;
  minimum?: number;
  [keyword: string]: unknown;
}

/** One of our schemas as JSON Schema: `input` as a client sends it, `output` as we answer. */
export function jsonSchemaOf(z: Z, schema: zod.ZodType, io: 'input' | 'output'): JsonSchema {
  const { $schema: _dialect, ...made } = z.toJSONSchema(schema, {
    io,
    unrepresentable: 'any',
    reused: 'inline',
    override: ({ zodSchema, jsonSchema }) => {
      const { type } = zodSchema._zod.def;
      // More members may come in a later version: clients have to ignore what they don't know.
      if (type === 'object') delete jsonSchema.additionalProperties;
      if (type !== 'object' || jsonSchema.properties === undefined) return;
      const { shape } = zodSchema._zod.def as unknown as { shape: Record<string, zod.ZodType> };
      for (const [name, member] of Object.entries(shape)) {
        // Only refused, if it is given.
        if (isNever(member)) delete jsonSchema.properties[name];
      }
    },
  });
  return made as JsonSchema;
}

/** Whether it accepts nothing but an absent value. */
function isNever(schema: zod.ZodType): boolean {
  const { type, innerType } = schema._zod.def as { type: string; innerType?: zod.ZodType };
  return type === 'undefined' || (type === 'optional' && innerType !== undefined && isNever(innerType));
}

const named: Readonly<Record<string, unknown>> = {
  url: 'https://example.com/a/long/path',
  original_url: 'https://example.com/a/long/path',
  expired_url: 'https://example.com/over',
  short_code: 'spring-sale',
  title: 'Spring sale',
  username: 'ada',
  email: 'ada@example.com',
  event_type: 'view',
  details: { source: 'newsletter' },
  tags: ['spring', 'sale'],
  password: 'open sesame',
  redirect_status: 302,
  cache_seconds: 60,
  max_clicks: 100,
  page: 1,
  per_page: 50,
  limit: 50,
  filter: 'listening',
  level: 'INFO',
  name: 'dashboard',
  scopes: ['links:read'],
  valid_since: '2026-01-31T12:00:00Z',
  expires_at: '2027-01-31T12:00:00Z',
};

/** A value that the schema accepts; one that people recognise if the name is known. */
export function exampleOf(name: string, schema: JsonSchema): unknown {
  if (schema.examples?.[0] !== undefined) return schema.examples[0];
  if (schema.enum !== undefined) return schema.enum[0];
  const type = Array.isArray(schema.type) ? schema.type[0] : schema.type;
  if (named[name] !== undefined) return type === 'string' ? String(named[name]) : named[name];
  if (type === undefined && schema.anyOf?.[0] !== undefined) return exampleOf(name, schema.anyOf[0]);
  switch (type) {
    case 'integer':
    case 'number':
      return Math.max(1, schema.minimum ?? 1);
    case 'boolean':
      return true;
    case 'array':
      return schema.items === undefined ? [] : [exampleOf(name, schema.items)];
    case 'object':
      return objectExample(schema);
    default:
      return 'text';
  }
}

/** An example of an object: its required members, or the first member if none is required. */
export function objectExample(schema: JsonSchema): Record<string, unknown> {
  const properties = Object.entries(schema.properties ?? {});
  const wanted = schema.required ?? properties.slice(0, 1).map(([name]) => name);
  return Object.fromEntries(
    properties.flatMap(([name, member]) => (wanted.includes(name) ? [[name, exampleOf(name, member)]] : [])),
  );
}
