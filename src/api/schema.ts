import type { z as zod } from 'zod';

/**
 * The schema library, as a declaration is given it. To load it takes a thread some 70 ms, and only a
 * gateway needs it, and not for redirects. The declarations therefore name its types alone.
 */
export type Z = typeof zod;

/**
 * How a part of a request is checked: made once, when the library is there. An issue's message is an
 * ErrorCode; `params.detail` of a custom issue becomes the detail of the answer.
 */
export type Schema<Type extends zod.ZodType = zod.ZodType> = (z: Z) => Type;
