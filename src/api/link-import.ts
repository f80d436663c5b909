import type { ErrorCode } from '../errors.js';
import { endsAfterItBegins, newLink, target, time } from './link-fields.js';
import type { Z } from './schema.js';

/** Whose exports POST /urls/import knows besides our own. */
export const exportNames = ['bitly', 'kutt', 'yourls', 'shlink'] as const;
export type ExportName = (typeof exportNames)[number];

/** What becomes of a row whose code is there already. */
export const conflictRules = ['fail', 'skip', 'update'] as const;
export type ConflictRule = (typeof conflictRules)[number];

/** A link as a file has it: what a new link may have, and its past. */
export function importedLink(z: Z) {
  return z
    .object({
      ...newLink(z),
      // A row may change a link that is there without naming its target.
      original_url: target(z, 'INVALID_ORIGINAL_URL', 'REFUSED_ORIGINAL_URL').optional(),
      created_at: time(z, 'INVALID_CREATED_AT').optional(),
      updated_at: time(z, 'INVALID_UPDATED_AT').optional(),
      has_password: z.boolean({ error: 'INVALID_HAS_PASSWORD' satisfies ErrorCode }).optional(),
    })
    .superRefine(endsAfterItBegins);
}

export type ImportedLink = ReturnType<ReturnType<typeof importedLink>['parse']>;
export type ImportedField = Exclude<keyof ImportedLink, 'find_if_exists'>;
