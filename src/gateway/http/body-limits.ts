import type { JsonLimits } from '../../api/json-text.js';
import type { BodyLimit } from '../../api/route.js';

/** The limits of a class of bodies. */
export interface BodyClass {
  readonly maxBytes: number;
  readonly json: JsonLimits;
}

export type BodyClasses = Readonly<Record<Exclude<BodyLimit, 'none' | 'upload'>, BodyClass>>;

/** The object itself, and 200 within it. */
const DEPTH = 201;
const VALUES = 50_000;
const BULK_BYTES = 16 * 1024 * 1024;
const BULK_VALUES = 500_000;
/** A form has a field or two. */
const FORM_BYTES = 16 * 1024;

/** @param maxBytes Of a JSON body: BODY_MAX_BYTES. */
export function bodyClasses(maxBytes: number): BodyClasses {
  return {
    json: { maxBytes, json: { depth: DEPTH, values: VALUES } },
    bulk: { maxBytes: BULK_BYTES, json: { depth: DEPTH, values: BULK_VALUES } },
    form: { maxBytes: FORM_BYTES, json: { depth: DEPTH, values: VALUES } },
  };
}
