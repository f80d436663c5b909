import type { z as zod } from 'zod';
import { redirectStatusCodes } from '../link-fields.js';
import type { Z } from '../schema.js';

/**
 * What the API answers with, one declaration for each resource. The document consists of them, and a test
 * compares them strictly with the server's answers.
 */

const int64 = (z: Z) => z.number().meta({ type: 'integer', format: 'int64' });
const id = (z: Z) => int64(z).meta({ type: 'integer', format: 'int64', minimum: 1, examples: [17] });
/** In UTC, without a zone and in whole seconds. */
const time = (z: Z) =>
  z
    .string()
    .regex(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$/)
    .meta({ description: 'UTC, without a zone', examples: ['2026-01-31T12:00:00'] });
const shortCode = (z: Z) => z.string().meta({ examples: ['aB3xYz'] });
const shortUrl = (z: Z) => z.string().meta({ examples: ['https://sho.rt/aB3xYz'] });
const target = (z: Z) => z.string().meta({ examples: ['https://example.com/a/long/path'] });

const counted = <Name extends string>(z: Z, ...names: Name[]) =>
  Object.fromEntries(names.map((name) => [name, int64(z).meta({ minimum: 0 })])) as Record<
    Name,
    ReturnType<typeof int64>
  >;

function link(z: Z) {
  return z.strictObject({
    id: id(z),
    user_id: id(z).nullable(),
    short_code: shortCode(z),
    original_url: target(z),
    title: z.string().nullable(),
    is_active: z.boolean(),
    created_at: time(z),
    updated_at: time(z),
    click_count: int64(z),
    redirect_status: z.literal([...redirectStatusCodes]),
    cache_seconds: z.number().meta({ type: 'integer' }).nullable(),
    valid_since: time(z).nullable(),
    expires_at: time(z).nullable(),
    expired_url: z.string().nullable(),
    max_clicks: int64(z).nullable(),
    has_password: z.boolean(),
    forward_query: z.boolean(),
    tags: z.array(z.string()),
    short_url: shortUrl(z),
  });
}

function key(z: Z) {
  return {
    id: id(z),
    name: z.string(),
    prefix: z.string(),
    scopes: z.array(z.string()),
    user_id: id(z).nullable(),
    created_at: time(z),
    last_used_at: time(z).nullable(),
    expires_at: time(z).nullable(),
  };
}

export const resources = {
  Link: link,
  ShortLink: (z: Z) =>
    z.strictObject({
      short_code: shortCode(z),
      short_url: shortUrl(z),
      original_url: target(z),
      id: id(z),
    }),
  LinkPreview: (z: Z) =>
    z.strictObject({
      short_code: shortCode(z),
      short_url: shortUrl(z),
      original_url: target(z),
      title: z.string().nullable(),
      created_at: time(z),
      expires_at: time(z).nullable(),
    }),
  User: (z: Z) => z.strictObject({ id: id(z), username: z.string(), email: z.string(), created_at: time(z) }),
  UserImport: (z: Z) =>
    z.strictObject({
      imported: int64(z),
      skipped: int64(z).optional(),
      errors: z.array(z.strictObject({ line: int64(z), error: z.string() })).optional(),
    }),
  Event: (z: Z) =>
    z.strictObject({
      id: id(z),
      url_id: id(z).nullable(),
      user_id: id(z).nullable(),
      event_type: z.string().meta({ examples: ['click'] }),
      timestamp: time(z),
      details: z.looseObject({}),
    }),
  Key: (z: Z) => z.strictObject(key(z)),
  NewKey: (z: Z) =>
    z.strictObject({
      ...key(z),
      key: z.string().meta({ description: 'shown this once' }),
    }),
  BulkCreate: (z: Z) =>
    z.strictObject({
      ...counted(z, 'created', 'failed'),
      results: z.array(bulkResult(z, { url: link(z).optional() })),
    }),
  BulkUpdate: (z: Z) =>
    z.strictObject({
      ...counted(z, 'updated', 'failed'),
      results: z.array(bulkResult(z, { id: int64(z), url: link(z).optional() })),
    }),
  BulkDelete: (z: Z) =>
    z.strictObject({
      ...counted(z, 'deleted', 'failed'),
      results: z.array(bulkResult(z, { id: int64(z) })),
    }),
  LinkImport: (z: Z) =>
    z.strictObject({
      ...counted(z, 'imported', 'updated', 'skipped', 'failed'),
      errors: z.array(z.strictObject({ line: int64(z), error: z.string() })),
    }),
  Statistics: (z: Z) =>
    z.strictObject({
      from: time(z),
      to: time(z),
      interval: z.enum(['minute', 'hour', 'day', 'week', 'month']),
      timezone: z.string().meta({ examples: ['Europe/Berlin'] }),
      as_of: time(z).meta({ description: 'what was answered before is in' }),
      ...counted(z, 'clicks', 'previews'),
      series: z.array(z.strictObject({ start: time(z), ...counted(z, 'clicks', 'previews') })),
      by: z
        .record(
          z.string(),
          z.array(z.strictObject({ value: z.string().nullable(), ...counted(z, 'clicks', 'previews') })),
        )
        .meta({ description: 'most clicks first, then by value; unknown is null' })
        .optional(),
      other: z
        .record(z.string(), z.strictObject(counted(z, 'clicks', 'previews')))
        .meta({ description: 'what is not listed' })
        .optional(),
    }),
  Health: (z: Z) => z.strictObject({ status: z.literal('ok') }),
  Readiness: (z: Z) =>
    z.looseObject({
      status: z.enum(['ready', 'degraded']),
      database: z.enum(['up', 'listen-lost', 'down']),
      journal: z.enum(['ok', 'buffering', 'full']),
    }),
  Logs: (z: Z) =>
    z.strictObject({
      count: int64(z),
      logs: z.array(z.looseObject({ levelname: z.string(), name: z.string(), message: z.string() })),
    }),
  OpenApi: (z: Z) => z.looseObject({ openapi: z.literal('3.1.0'), paths: z.looseObject({}) }),
  Error: (z: Z) =>
    z.strictObject({
      error: z.string(),
      status: z.number().meta({ type: 'integer', description: 'of faults that no route caused' }).optional(),
    }),
  Problem: (z: Z) =>
    z
      .strictObject({
        type: z.string().meta({ format: 'uri-reference' }),
        title: z.string(),
        status: z.number().meta({ type: 'integer' }),
        detail: z.string(),
      })
      .meta({ description: 'RFC 9457' }),
} as const satisfies Record<string, (z: Z) => zod.ZodType>;

export type ResourceName = keyof typeof resources;

/** The values that the schema of that name accepts. */
export type Resource<Name extends ResourceName> = zod.output<ReturnType<(typeof resources)[Name]>>;

function bulkResult<Shape extends zod.ZodRawShape>(z: Z, more: Shape) {
  return z.strictObject({
    index: int64(z),
    status: z.number().meta({ type: 'integer' }),
    error: z.string().optional(),
    ...more,
  });
}
