import type { z as zod } from 'zod';
import { type ErrorCode, errorRegistry } from '../errors.js';

/** A schema's result: the value to use from here on, or why it is refused. */
export type Checked<Value = Readonly<Record<string, unknown>>> =
  | { readonly ok: true; readonly value: Value }
  | { readonly ok: false; readonly error: ErrorCode; readonly detail?: string };

/** The first issue is the answer, because the contract has one error in each answer. */
export function check<Type extends zod.ZodType>(schema: Type, given: unknown): Checked<zod.output<Type>> {
  const parsed = schema.safeParse(given);
  if (parsed.success) return { ok: true, value: parsed.data };
  const [issue] = parsed.error.issues;
  const error = issue?.message ?? '';
  if (!isErrorCode(error))
    throw new Error(`a schema refused ${String(issue?.path)} without a code: ${error}`);
  const detail: unknown = issue?.code === 'custom' ? issue.params?.detail : undefined;
  return typeof detail === 'string' ? { ok: false, error, detail } : { ok: false, error };
}

function isErrorCode(text: string): text is ErrorCode {
  return Object.hasOwn(errorRegistry, text);
}
