import type { z as zod } from 'zod';
import { check } from '../api/check.js';
import { checkJsonBody } from '../api/json-body.js';
import { routes } from '../api/registry.js';
import type { RouteDeclaration } from '../api/route.js';
import type { Z } from '../api/schema.js';
import type { BodyCheck, BodyChecked } from '../messages/body-checks.js';
import { describeError } from '../runtime/describe-error.js';
import type { WorkerThread } from './thread.js';

const schemas = new Map<RouteDeclaration, zod.ZodType | undefined>();

/** Parses and checks a body that would hold a gateway for too long, and all its visitors with it. */
export async function checkBodyOf({ log }: WorkerThread, job: BodyCheck): Promise<void> {
  const { method, path, contentType, limits, port } = job;
  try {
    const { z } = await import('zod');
    const [route, schema] = schemaOf(z, method, path);
    const sent = { contentType, limits, bytes: Buffer.from(job.bytes) };
    const checked: BodyChecked = checkJsonBody(route, sent, (members) =>
      schema === undefined ? { ok: true, value: {} } : (check(schema, members) as BodyChecked),
    );
    port.postMessage(checked);
  } catch (error) {
    log.error({ error }, `a body of ${method} ${path} can't be checked: ${describeError(error)}`);
    port.postMessage({ ok: false, error: 'INTERNAL' } satisfies BodyChecked);
  } finally {
    port.close();
  }
}

function schemaOf(z: Z, method: string, path: string): [RouteDeclaration, zod.ZodType | undefined] {
  const route = (routes as readonly RouteDeclaration[]).find(
    (one) => one.method === method && one.path === path,
  );
  if (route === undefined) throw new Error('there is no such route');
  if (!schemas.has(route)) schemas.set(route, route.body?.(z));
  return [route, schemas.get(route)];
}
