import { z } from 'zod';
import type { ApiClient } from './api-client.js';

const responseSchema = z.looseObject({
  headers: z.record(
    z.string(),
    z.looseObject({ required: z.boolean(), schema: z.looseObject({ pattern: z.string().optional() }) }),
  ),
  content: z
    .record(
      z.string(),
      z.looseObject({
        schema: z.looseObject({}),
        examples: z.record(z.string(), z.looseObject({ value: z.unknown() })).optional(),
      }),
    )
    .optional(),
});

const operationSchema = z.looseObject({
  operationId: z.string(),
  parameters: z.array(
    z.looseObject({ name: z.string(), in: z.string(), schema: z.looseObject({}), example: z.unknown() }),
  ),
  requestBody: z
    .looseObject({
      content: z.record(
        z.string(),
        z.looseObject({ schema: z.looseObject({}), example: z.unknown().optional() }),
      ),
    })
    .optional(),
  responses: z.record(z.string(), responseSchema),
  security: z.array(z.record(z.string(), z.array(z.string()))),
});

const documentSchema = z.looseObject({
  openapi: z.string(),
  paths: z.record(z.string(), z.record(z.string(), operationSchema)),
  components: z.looseObject({ schemas: z.record(z.string(), z.looseObject({})) }),
});

export type OpenApiOperation = z.output<typeof operationSchema>;

/** What the tests read of the OpenAPI document that a server answers with. */
export async function openApiDocument(client: ApiClient): Promise<z.output<typeof documentSchema>> {
  return documentSchema.parse(await client.get('/openapi.json'));
}
