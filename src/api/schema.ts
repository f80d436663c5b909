import type { z as zod } from 'zod';

/**
 * The schema library, as passed to declarations. Loading it takes a thread some 70 ms; only gateways need it, and
 * not for redirects. Declarations therefore import only its types.
 */
export type Z = typeof zod;

/**
 * How a part of a request is checked; built once, when the library is loaded. An issue's message is an
 * ErrorCode; `params.detail` of a custom issue becomes the detail of the answer.
 */
export type Schema<Type extends zod.ZodType = zod.ZodType> = (z: Z) => Type;
